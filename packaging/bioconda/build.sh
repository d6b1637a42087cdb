#!/usr/bin/env bash
# Builds against the environment's libtorch, which the installed programs find in its `lib`.
set -euo pipefail

export LIBTORCH=$PREFIX LD_LIBRARY_PATH=$PREFIX/lib
make build
make install PREFIX="$PREFIX" LIBTORCH_FROM=environment
