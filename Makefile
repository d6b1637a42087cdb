# `make demo` and `make test` are all a fresh machine needs; see README.md.
.PHONY: setup build demo test lint bench-dtype clean

CARGO ?= cargo

setup:
	@python3 scripts/libtorch.py

# Leaves target/release/vestore and target/release/vestore-ingest, and what demo and tests feed them with.
build: setup
	$(CARGO) build --release --workspace --bins --examples --locked

demo: build
	examples/demo.sh

# The whole workspace is built first: tests start both programs and refuse stale ones.
test: build
	$(CARGO) test --release --workspace --locked

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings

# How far bfloat16 scores lie from float32 ones.
bench-dtype: setup
	$(CARGO) bench --locked -p vestore-ingest --bench dtype

clean:
	$(CARGO) clean
