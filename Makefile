# `make demo` and `make test` are all a fresh machine needs; see README.md.
.PHONY: setup build wheel install uninstall demo test test-python test-page test-wheel test-cluster soak fuzz lint audit gpu-kit bench-dtype bench-effects bench-engine bench-import bench-merge bench-pretrain bench-python bench-regulatory bench-remote bench-splice bench-store bench-tokenizer bench-transfer clean

CARGO ?= cargo
comma := ,

# CUDA=1 also fetches the libraries that the engine loads on a machine with a GPU (5 GB).
setup:
	@python3 scripts/libtorch.py $(if $(filter 1,$(CUDA)),--cuda)

# Leaves target/release/vestore and target/release/vestore-ingest, the extension of the Python package, and what demo and
# tests feed them with.
build: setup
	$(CARGO) build --release --workspace --lib --bins --examples --locked

# Packs them into target/wheels: `pip install target/wheels/*.whl`.
wheel: build
	python3 scripts/wheel

# Installs what `make build` built, as whoever may write there: programs, libtorch (CUDA=1: with its libraries for GPUs),
# manual pages and completions. Nothing is built, so that root needs no Rust.
PREFIX ?= /usr/local
install uninstall:
	DESTDIR="$(DESTDIR)" CUDA=$(CUDA) scripts/install $@ "$(PREFIX)"

# Fetches a splice model once; without it, the demo scores the mitochondrial genome with a test model instead.
demo: build
	examples/demo.sh

# The whole workspace is built first: tests start both programs and refuse stale ones.
# Threads of libtorch that wait do not spin: beside another program that would take minutes.
test: build test-python
	OMP_WAIT_POLICY=passive $(CARGO) test --release --workspace --locked

# The Python package as people install it, beside pandas, Polars, pyarrow and DuckDB.
test-python: wheel
	test -x target/python/bin/python || python3 -m venv target/python
	target/python/bin/pip install --quiet --requirement python/tests/requirements.txt
	target/python/bin/pip install --quiet --no-deps --force-reinstall target/wheels/*.whl
	target/python/bin/python -m pytest --quiet -p no:cacheprovider python/tests

# Pages of `vestore view` in a headless Chromium (CHROMIUM=program), against `query`; SHOTS=folder keeps pictures.
CHROMIUM ?= /usr/bin/chromium
test-page: build
	@if ! test -x "$(CHROMIUM)" || ! command -v npm >/dev/null; then \
		echo "not tested: pages need Chromium ($(CHROMIUM)) and Node.js with npm"; else \
		npm ci --prefix tests/page --no-audit --no-fund --silent && CHROMIUM="$(CHROMIUM)" SHOTS="$(SHOTS)" node tests/page/page.test.mjs; fi

# The schedulers of docs/cluster.md for real, on one machine: Ray with three nodes, SLURM with two (as root; it is
# installed if apt can), Snakemake. Nodes are killed while they score. Some minutes.
test-cluster: wheel
	test -x target/cluster/bin/python || python3 -m venv target/cluster
	target/cluster/bin/pip install --quiet --requirement python/tests_cluster/requirements.txt
	target/cluster/bin/pip install --quiet --no-deps --force-reinstall target/wheels/*.whl
	command -v slurmctld >/dev/null || test "$$(id -u)" != 0 || DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes slurm-wlm munge || \
		echo "SLURM is not installed; its tests are skipped"
	target/cluster/bin/python -m pytest --quiet -rs -p no:cacheprovider --durations=0 python/tests_cluster

# The wheels in environments that have nothing else, the second with all of torch (6 GB, deleted at the end).
test-wheel: wheel
	python3 scripts/test-wheel

# The long run: the same tests of crashes, faults and hostile input, with many more rounds, and the fuzz
# targets where cargo-fuzz is installed. About an hour.
soak: build
	VESTORE_KILLS=200 VESTORE_MODEL_CASES=3000 VESTORE_READ_SECONDS=60 VESTORE_FLIPS=3000 VESTORE_MUTATIONS=20 \
		VESTORE_FORGED=250 VESTORE_INJECTED=200 \
		$(CARGO) test --release --workspace --locked -- --nocapture \
		kill:: model:: crash:: faults:: damage:: processes:: mutations:: hostile:: forged:: links:: injected:: refused_or_harmless
	if $(CARGO) fuzz --version >/dev/null 2>&1; then $(MAKE) fuzz; else \
		echo "not fuzzed: \`cargo install cargo-fuzz --locked\` gives the program that does"; fi

# A minute for each fuzz target (FUZZ_SECONDS=n: n seconds). Without a sanitizer, since there is next to no unsafe
# code of ours that one would watch; the variable lets a stable compiler take cargo-fuzz's flags. What is found
# stays in fuzz/artifacts.
fuzz: setup
	for target in $$($(CARGO) fuzz list); do \
		mkdir -p target/fuzz/$$target; \
		RUSTC_BOOTSTRAP=1 LD_LIBRARY_PATH=$(CURDIR)/.libtorch/lib $(CARGO) fuzz run $$target --features engine --sanitizer none \
			target/fuzz/$$target fuzz/corpus/$$target -- -max_total_time=$(or $(FUZZ_SECONDS),60) \
			-timeout=30 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 || exit 1; \
	done

lint: setup
	scripts/check-links
	scripts/gpu-table --check
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --workspace --no-deps --locked

# Licences, duplicate versions and, where the database can be fetched, advisories of all crates; see deny.toml.
audit:
	@$(CARGO) deny --version >/dev/null 2>&1 || \
		{ echo "cargo-deny is not installed: run \`cargo install cargo-deny --locked\`"; exit 1; }
	$(CARGO) deny --workspace check licenses bans sources
	if $(CARGO) deny fetch db; then $(CARGO) deny --workspace check advisories; else \
		echo "not checked: the database of advisories cannot be fetched"; fi

# One archive for a machine with a GPU and no network, where `scripts/gpu-check` runs it (LIMIT_MB=n: refused above n).
gpu-kit: build
	scripts/gpu-kit --limit $(or $(LIMIT_MB),60)

# The engine beside a Python baseline on the same weights; installs the baseline (5 GB) once.
bench-engine: setup
	test -x target/baseline/bin/python || python3 -m venv target/baseline
	target/baseline/bin/pip install --quiet --requirement benches/engine/requirements.txt
	BASELINE_PYTHON=$(CURDIR)/target/baseline/bin/python $(CARGO) bench --locked --workspace --bench engine

# Pretraining beside a Python loop over the same model, windows and optimizer; the baseline is that of bench-engine.
bench-pretrain: setup
	test -x target/baseline/bin/python || python3 -m venv target/baseline
	target/baseline/bin/pip install --quiet --requirement benches/engine/requirements.txt
	BASELINE_PYTHON=$(CURDIR)/target/baseline/bin/python $(CARGO) bench --locked --workspace --bench pretrain

# Splicing scores beside CI-SpliceAI in TensorFlow (Python 3.9 to 3.11) and whole windows in PyTorch, one thread each;
# BENCH="--variants 910 --peers 30 --stretch 2000" sets sizes.
bench-splice: build
	test -x target/baseline/bin/python || python3 -m venv target/baseline
	target/baseline/bin/pip install --quiet --requirement benches/engine/requirements.txt
	test -x target/cispliceai/bin/python || python3 -m venv target/cispliceai
	target/cispliceai/bin/pip install --quiet --requirement benches/splice/requirements.txt
	target/baseline/bin/python benches/splice --original target/cispliceai/bin/python $(BENCH)

# Effects on 7,611 targets: layouts of a file, then a store of 100,000 variants and queries of it.
bench-effects: build
	$(CARGO) build --release --locked --workspace --examples
	python3 benches/effects $(BENCH)

# A forward pass of a regulatory model in its true shape beside the published Python code.
bench-regulatory: setup
	test -x target/regulatory/bin/python || python3 -m venv target/regulatory
	target/regulatory/bin/pip install --quiet --requirement benches/regulatory/requirements.txt
	BASELINE_PYTHON=$(CURDIR)/target/regulatory/bin/python $(CARGO) bench --locked --workspace --bench regulatory

# A published store over http, from nginx and an S3 server in memory, beside tabix (BENCH="--bases 1000000 --delay 30").
bench-remote: build
	test -x target/remote/bin/python || python3 -m venv target/remote
	target/remote/bin/pip install --quiet --requirement benches/remote/requirements.txt
	target/remote/bin/python benches/remote $(BENCH)

# How far bfloat16 scores lie from float32 ones.
bench-dtype: setup
	$(CARGO) bench --locked -p vestore-ingest --bench dtype

# Merging 1,000 shards of 10,000 rows, which are scored first: about a quarter of an hour (BENCH="--shards N --rows N").
bench-merge: build
	python3 benches/merge.py $(BENCH)

# Importing a file of CADD's shape: bytes per variant beside bgzip and tabix, rows per second (BENCH="--rows 20000000").
bench-import: build
	test -x target/import/bin/python || python3 -m venv target/import
	target/import/bin/pip install --quiet numpy==2.4.6
	target/import/bin/python benches/import.py $(BENCH)

# The store beside DuckDB, Polars, tabix, bcftools, echtvar (ECHTVAR=program), as far as they are installed:
# `pip install -r benches/peers/requirements.txt`. OLD=program puts an older vestore beside this one, where several
# tracks or many variants are asked for. ROWS=999000000 measures a billion rows, in one track and in fifty, which
# takes 16 GB of disk at once (ROWS=100000000: a tenth). BENCH="--only tracks,lookups" runs these sections alone.
bench-store: build
	@OLD=$(OLD) python3 benches/peers --rows $(or $(ROWS),3000000$(comma)30000000) $(BENCH)

# Reading a store from Python, beside DuckDB reading its files (ROWS=n).
bench-python: test-python
	target/python/bin/python benches/python.py $(ROWS)

# Learning a tokenizer beside the `tokenizers` library: FASTA="a.fa b.fa.gz", or seeded DNA without.
bench-tokenizer: build
	test -x target/tokenizers/bin/python || python3 -m venv target/tokenizers
	target/tokenizers/bin/pip install --quiet --requirement benches/tokenizer/requirements.txt
	target/tokenizers/bin/python benches/tokenizer $(FASTA)

# Transfer of a regulatory model beside a plain PyTorch loop over the published code: losses, files, seconds and memory;
# BENCH=--published adds a step at Borzoi's own size.
bench-transfer: build
	test -x target/transfer/bin/python || python3 -m venv target/transfer
	target/transfer/bin/pip install --quiet --requirement benches/transfer/requirements.txt
	target/transfer/bin/python benches/transfer $(BENCH)

clean:
	$(CARGO) clean
