#!/usr/bin/env bash
# What each residual block and each network of a splice model is worth, with labels: scores ClinVar's intron and splice SNVs
# of BRCA1 with pruned models and compares their AUROC with that of the whole model. About 40 CPU minutes. `make demo` first.
#
#     examples/splice_pruning.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

work=${1:-.work/splice_pruning}
store=$work/store
labels=$work/labels.vcf
export PATH=$PWD/target/release:$PATH
weights=$(scripts/splice-model)
weights=${weights##*splice-model: }  # of the last line
genes=$weights/genes.GRCh38.csv

mkdir -p "$work"
vestore init "$store" --reference examples/BRCA1.GRCh38.fa.gz --assembly GRCh38
vestore model add "$store" splice --checkpoint "$weights"
vestore genes add "$store" "$genes"
examples/splice_labels.py examples/clinvar.BRCA1.vcf.gz "$genes" ENSG00000012048 > "$labels"
awk '/^#/ || /SITE=other/' "$labels" > "$work/other.vcf"
awk '/^#/ || ++n % 45 == 0' "$labels" > "$work/some.vcf"
vestore ablate "$store" --model splice --variants "$work/some.vcf" --genes genes.GRCh38.csv --track splice

tracks=()
: > "$work/seconds.tsv"
score() {
    local model=$1 started
    shift
    [ "$#" = 0 ] || vestore model add "$store" "$model" --from splice "$@"
    started=$(date +%s.%N)
    vestore score "$store" --model "$model" --variants "$labels" --genes genes.GRCh38.csv --track "$model"
    printf '%s\t%.1f\n' "$model" "$(echo "$(date +%s.%N) - $started" | bc)" >> "$work/seconds.tsv"
    tracks+=(--track "$model")
}
score splice
for block in $(seq 0 15); do score "without-block-$block" --drop-layers "$block"; done
for number in 2 4 6 8 10 11 12 13 14; do score "without-$number-blocks" --drop-least "$number"; done
for networks in 0 1 2 3 4 0-1 0-2 0-3; do score "networks-$networks" --keep-networks "$networks"; done

for rows in labels other; do
    vestore evaluate "$store" --labels "$work/$rows.vcf" --label LABEL --metric auroc "${tracks[@]}" --format tsv > "$work/$rows.tsv"
done
for model in "${tracks[@]}"; do
    [ "$model" = --track ] || vestore diff "$store" splice "$model" --format json > "$work/diff.$model.json"
done
cat "$work/seconds.tsv" "$work/labels.tsv" "$work/other.tsv"
