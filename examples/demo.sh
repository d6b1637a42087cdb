#!/usr/bin/env bash
# Scores ClinVar's intron and splice variants of BRCA1 with a trained splice model, whole and with half its blocks, and
# compares the scores with ClinVar's labels. Without the model, runs mitochondrion.sh instead.
set -euo pipefail
cd "$(dirname "$0")/.."

store=${1:-demo.vestore}
work=.work/demo
export PATH=$PWD/target/release:$PATH

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }

say "The weights of CI-SpliceAI (Strauch et al. 2022, CC BY 4.0), fetched once"
if ! weights=$(scripts/splice-model); then
    say "The splice model is missing (see above): scoring every SNV of the mitochondrial genome instead"
    exec examples/mitochondrion.sh
fi
printf '%s\n' "$weights"
weights=${weights##*splice-model: }  # of the last line
genes=$weights/genes.GRCh38.csv
labels=$work/labels.vcf
rm -rf "$store" "$work"
mkdir -p "$work"

say "A store for BRCA1 and its neighbourhood, the splice model, and the small test model that ships with vestore"
show vestore init "$store" --reference examples/BRCA1.GRCh38.fa.gz --assembly GRCh38
show vestore model add "$store" splice --checkpoint "$weights"
show vestore model add "$store" small --checkpoint examples/model
show vestore genes add "$store" "$genes"

say "ClinVar's (likely) pathogenic and (likely) benign SNVs at most 50 bp from an exon boundary of BRCA1, in introns and splice sites"
examples/splice_labels.py examples/clinvar.BRCA1.vcf.gz "$genes" ENSG00000012048 > "$labels"

say "What each of the 16 residual blocks does to 20 of them: which blocks can go?"
awk '/^#/ || ++n % 45 == 0' "$labels" > "$work/some.vcf"
show vestore ablate "$store" --model splice --variants "$work/some.vcf" --genes genes.GRCh38.csv --distance 50 --track full
show vestore model add "$store" splice-half --from splice --drop-least 8

say "All of them, with the whole model, with half its blocks, and with the test model"
show vestore score "$store" --model splice --variants "$labels" --genes genes.GRCh38.csv --distance 50 --track full
show vestore score "$store" --model splice-half --variants "$labels" --genes genes.GRCh38.csv --distance 50 --track half
show vestore score "$store" --model small --variants "$labels" --score llr --track small
show vestore import "$store" "$labels" --track plain --columns NEARNESS,TRANSVERSION

evaluate() {
    show vestore evaluate "$store" --labels "$1" --label LABEL --metric auroc \
        --track full --track half --track plain:NEARNESS --track plain:TRANSVERSION --track small:-llr
}
say "Do the scores tell pathogenic from benign? Beside nearness to the boundary, transversions, and the test model's llr"
evaluate "$labels"
say "The same without the two intron bases next to an exon, where 164 of 165 are pathogenic"
awk '/^#/ || /SITE=other/' "$labels" > "$work/other.vcf"
evaluate "$work/other.vcf"
cat <<'END'
One gene, and rows near each other are not independent. ClinVar's curators use scores of such models as evidence, so the
labels are not blind. The blocks were chosen without labels. Half the blocks still separate pathogenic from benign, but
scores change: compare below.
END

say "Three known variants: pathogenic (a new donor 6 bp from the lost one), pathogenic (a new acceptor 2 bp from the lost one), likely benign (yet more than 0.2)"
show vestore query "$store" 17-43104264-G-C 17-43070922-A-C 17-43104967-A-G --track full --gene-effects --format tsv \
    -o "$work/known.tsv"
awk -F '\t' '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    {
        printf "%s %s>%s in %s\n", $2, $3, $4, $5
        split("acceptor_gain acceptor_loss donor_gain donor_loss", kinds, " ")
        for (k = 1; k <= 4; k++) {
            kind = kinds[k]
            place = $column[kind "_position"]
            printf "  %-13s  %.2f  probability %.2f -> %.2f", kind, $column[kind], $column[kind "_ref"], $column[kind "_alt"]
            print place == "" ? "" : sprintf("  at %+d", place)
        }
    }' "$work/known.tsv"

say "The whole model and its half, score by score"
show vestore diff "$store" full half

say "Arrow for other tools"
show vestore query "$store" --track full --gene-effects -o "$work/effects.arrow"
for python in python3 "${VESTORE_PYTHON:-python3}"; do
    if "$python" -c 'import pyarrow' 2>/dev/null; then
        show "$python" -c "
import pyarrow.compute as pc, pyarrow.ipc as ipc
rows = ipc.open_file('$work/effects.arrow').read_all()
for kind in 'acceptor_gain', 'acceptor_loss', 'donor_gain', 'donor_loss':
    print(f'{kind:14} at least 0.5 in', pc.sum(pc.greater_equal(rows[kind], 0.5)).as_py(), 'of', rows.num_rows, 'variants')"
        break
    fi
done

say "What the store holds"
show vestore info "$store"
show vestore verify "$store"
printf '\nOptions, columns and caveats: docs/splicing.md. Saturation of a genome: examples/mitochondrion.sh. The store stays in %s.\n' "$store"
