#!/usr/bin/env python3
"""Selects labelled splice variants from a ClinVar VCF: `splice_labels.py CLINVAR.vcf.gz GENES.csv GENE_ID > LABELS.vcf`.

A record is selected if it is an SNV, at most 50 bp from an exon boundary that the gene table has, classified as
(likely) pathogenic or (likely) benign, and not missense, nonsense, start loss or stop loss: what these do to the
protein explains their label. Of the rest, records that ClinVar calls synonymous or in an UTR are left out as well, so
that introns and splice sites remain. INFO says what `vestore evaluate` and `vestore import` read: LABEL (1:
pathogenic), SITE (`1-2`: a splice donor or acceptor variant, that is one of the two intron bases next to an exon;
`other`), NEARNESS (minus the distance to the nearest boundary in bp), TRANSVERSION (1 or 0).
"""

import csv
import gzip
import sys

PATHOGENIC = {"Pathogenic", "Likely_pathogenic", "Pathogenic/Likely_pathogenic"}
BENIGN = {"Benign", "Likely_benign", "Benign/Likely_benign"}
PROTEIN = {"missense_variant", "nonsense", "initiator_codon_variant", "stop_lost"}
OTHER_EXONIC = {"synonymous_variant", "5_prime_UTR_variant", "3_prime_UTR_variant"}
SITES = {"splice_donor_variant", "splice_acceptor_variant"}
TRANSITIONS = {"AG", "GA", "CT", "TC"}
NEAR = 50
HEADER = """##fileformat=VCFv4.3
##INFO=<ID=LABEL,Number=1,Type=Integer,Description="1: pathogenic or likely pathogenic; 0: benign or likely benign">
##INFO=<ID=SITE,Number=1,Type=String,Description="1-2: splice donor or acceptor variant; other: any other">
##INFO=<ID=NEARNESS,Number=1,Type=Integer,Description="Minus the distance to the nearest exon boundary in bp">
##INFO=<ID=TRANSVERSION,Number=1,Type=Integer,Description="1: transversion; 0: transition">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"""


def boundaries(genes, gene):
    with open(genes, newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["gene_id"] == gene:
                return [int(place) for key in ("jn_start", "jn_end") for place in row[key].split(",")]
    sys.exit(f"no gene {gene} in {genes}")


def main():
    clinvar, genes, gene = sys.argv[1:]
    borders = boundaries(genes, gene)
    counts = {"near an exon boundary": [0, 0], "intron and splice": [0, 0]}
    print(HEADER)
    with gzip.open(clinvar, "rt", encoding="utf-8") as records:
        for line in records:
            if line.startswith("#"):
                continue
            contig, position, name, reference, alternate, _, _, text = line.rstrip("\n").split("\t")[:8]
            info = dict(field.partition("=")[::2] for field in text.split(";"))
            consequences = {part.partition("|")[2] for part in info.get("MC", "").split(",")}
            distance = min(abs(int(position) - border) for border in borders)
            label = info.get("CLNSIG") in PATHOGENIC
            if (reference not in ("A", "C", "G", "T") or alternate not in ("A", "C", "G", "T") or distance > NEAR
                    or not (label or info.get("CLNSIG") in BENIGN) or consequences & PROTEIN):
                continue
            selected = ["near an exon boundary"] + ["intron and splice"] * (not consequences & OTHER_EXONIC)
            for group in selected:
                counts[group][0] += 1
                counts[group][1] += label
            if len(selected) == 2:
                site = "1-2" if consequences & SITES else "other"
                transversion = reference + alternate not in TRANSITIONS
                print(contig, position, name, reference, alternate, ".", ".",
                      f"LABEL={label:d};SITE={site};NEARNESS={-distance};TRANSVERSION={transversion:d}", sep="\t")
    for group, (total, pathogenic) in counts.items():
        print(f"{group}: {total:,} SNVs, {pathogenic:,} pathogenic", file=sys.stderr)


main()
