#!/usr/bin/env bash
# Scores every SNV of the human mitochondrial genome with a small model, then looks at the result.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-demo.vestore}
work=.work/demo
export PATH=$PWD/target/release:$PATH
rm -rf "$store" "$work"
mkdir -p "$work"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

say "A model: small, shaped like Nucleotide Transformer v2, with random weights. Untrained: the numbers mean nothing yet."
show target/release/examples/synthetic_checkpoint nucleotide-transformer-v2 "$work/untrained" \
    --layers 4 --hidden 128 --heads 4 --intermediate 256 --seed 7

say "A store for the mitochondrial genome, and the model in it"
show vestore init "$store" --reference examples/mitochondrion.fa --assembly rCRS
show vestore model add "$store" untrained --checkpoint "$work/untrained"

say "Every SNV of all 16,569 bases, scored on the CPU"
show vestore score "$store" --model untrained --region MT --score llr --device cpu --track demo

say "One variant: m.3243A>G, the most common cause of MELAS"
show vestore query "$store" MT-3243-A-G

say "The twenty most extreme variants by llr"
vestore query "$store" --format tsv -o "$work/mitochondrion.tsv"
{ head -n 1 "$work/mitochondrion.tsv"; tail -n +2 "$work/mitochondrion.tsv" | sort -t "$(printf '\t')" -k 8,8g; } \
    | awk 'NR <= 21' | cut -f 1-4,8-10

say "An Arrow file for other tools"
show vestore export "$store" --format arrow -o "$work/mitochondrion.arrow"

for python in python3 "${VESTORE_PYTHON:-python3}"; do
    if "$python" -c 'import duckdb' 2>/dev/null; then
        say "DuckDB reads the store's own files"
        show "$python" -c "import duckdb; print(duckdb.sql(\"select contig, track, count(*) as variants, avg(llr) as mean_llr from read_parquet('$store/scores/**/*.parquet', hive_partitioning=true, hive_types_autocast=0, union_by_name=true) group by all\"))"
        break
    fi
    if "$python" -c 'import polars' 2>/dev/null; then
        say "Polars reads the Arrow file"
        show "$python" -c "import polars; print(polars.read_ipc('$work/mitochondrion.arrow').sort('llr').head(5))"
        break
    fi
done

say "What the store holds"
show vestore info "$store"
show vestore verify "$store"
printf '\nThe model is untrained: the numbers above mean nothing yet. The store stays in %s.\n' "$store"
