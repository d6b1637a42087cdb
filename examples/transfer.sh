#!/usr/bin/env bash
# Transfers a small trunk to new tracks by every method: learns it on one contig, then compares the methods on another, beside
# ridge regression on k-mers. About 40 minutes on two cores. `make` first; needs a Python with pyBigWig.
#
#     examples/transfer.sh GENOME.fa CONTIG-TO-LEARN-ON CONTIG-TO-TRANSFER-TO [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
genome=$1 first=$2 second=$3 work=${4:-.work/transfer}
export PATH=$here/target/release:$here/target/release/examples:$PATH
python=${PYTHON:-python3}

mkdir -p "$work"
"$python" "$here/examples/transfer_tracks.py" "$genome" "$first" "$work/first" first
"$python" "$here/examples/transfer_tracks.py" "$genome" "$second" "$work/second" second
synthetic_checkpoint borzoi "$work/random" --layers 4 --hidden 96 --heads 4 --intermediate 192 \
    --widths 48,56,64,72,80,88 --targets 5,3 --bins 64
vestore init "$work/store" --reference "$genome"
vestore model add "$work/store" random --checkpoint "$work/random"

windows=(--window 8192 --bins all --stride 4096)
vestore train transfer "$work/store" --model random --name trunk --output "$work/trunk" --method full \
    --targets "$work/first/targets.txt" --contig "$first" "${windows[@]}" \
    --steps "${STEPS:-4000}" --batch 1 --learning-rate 1e-3 --dropout 0.1 --evaluate-every 500 --patience 0
for model in trunk random; do
    vestore study transfer "$work/store" --name "$model-methods" --model "$model" --output "$work/$model-methods" \
        --targets "$work/second/targets.txt" --contig "$second" "${windows[@]}" --seeds "${SEEDS:-3}" \
        --steps "${BUDGET:-800}" --learning-rate 3e-3 --dropout 0.1 --evaluate-every 200 --patience 0
    vestore study report "$work/store" "$model-methods" -o "$work/$model-methods.html" --force
    vestore study show "$work/store" "$model-methods"
done
