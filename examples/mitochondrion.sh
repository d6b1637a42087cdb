#!/usr/bin/env bash
# Saturation: scores every SNV of the human mitochondrial genome with the small test model that ships with vestore.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-mitochondrion.vestore}
work=.work/mitochondrion
export PATH=$PWD/target/release:$PATH
rm -rf "$store" "$work"
mkdir -p "$work"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

say "A store for the mitochondrial genome, and a small test model in it: it cannot tell which variants are harmful"
show vestore init "$store" --reference examples/mitochondrion.fa --assembly rCRS
show vestore model add "$store" small --checkpoint examples/model
show vestore model show "$store" small

say "Every SNV of all 16,569 bases, scored on the CPU"
show vestore score "$store" --model small --region MT --score llr --device cpu --track demo

say "One variant: m.3243A>G, the most common cause of MELAS"
show vestore query "$store" MT-3243-A-G

say "Known pathogenic variants: their llr, and the share of all SNVs that the model finds even less likely"
show vestore query "$store" --format tsv -o "$work/mitochondrion.tsv"
show vestore query "$store" --variants examples/pathogenic.vcf --format tsv -o "$work/pathogenic.tsv"
awk -F '\t' -v every=8 '
    FNR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    FNR == NR { all[++total] = $column["llr"]; next }
    {
        below = 0
        for (i = 1; i <= total; i++) below += all[i] < $column["llr"]
        share[++found] = 100 * below / total
        lower += share[found] < 50
        if (found % every == 1) {
            printf "m.%s%s>%s  llr %6.2f  lower than this: %4.1f %%\n", $2, $3, $4, $column["llr"], share[found]
        }
    }
    END { printf "%d of %d pathogenic variants lie in the lower half of all SNVs, where chance puts %d\n", lower, found, found / 2 }
' "$work/mitochondrion.tsv" "$work/pathogenic.tsv"

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
printf '\nWhat the model can and cannot do: examples/model/README.md. The store stays in %s.\n' "$store"
