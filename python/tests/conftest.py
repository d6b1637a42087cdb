"""Stores that tests read. `make test` runs this with both wheels installed."""

import pathlib
import random
import subprocess

import pytest

import vestore
from vestore.program import place

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGETS = """\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription
0\tA+\t/a\t1\t0.3\t0.5\tsum\t1\tCAGE:liver
1\tA-\t/a\t1\t0.3\t0.5\tsum\t0\tCAGE:liver
2\tB\t/b\t1\t32\t2\tmean\t2\tATAC:brain
"""
GENES = """1\tx\texon\t2245\t2340\t.\t+\t.\tgene_id "plus"; transcript_id "p1";
1\tx\texon\t2450\t2476\t.\t+\t.\tgene_id "plus"; transcript_id "p1";
1\tx\texon\t2309\t2404\t.\t-\t.\tgene_id "minus"; transcript_id "m1";
"""
SMALL = "--layers 2 --hidden 24 --heads 2 --intermediate 40 --widths 7,8,9,10,11,12 --targets 3,2 --bins 16".split()


def command(*words, **options):
    """What `vestore` prints."""
    return subprocess.run([place(), *map(str, words)], check=True, capture_output=True, **options).stdout


def bases(length, seed):
    return "".join(random.Random(seed).choices("ACGT", k=length))


@pytest.fixture(scope="session")
def mito(tmp_path_factory):
    """The folder of `mito.vestore`, which the examples of the docstrings read: 300 imported variants, two tracks."""
    folder = tmp_path_factory.mktemp("mito")
    sequence = "".join("GACT"[position % 4] for position in range(1, 16_570))
    (folder / "mito.fa").write_text(f">MT\n{sequence}\n")
    variants = [(position, sequence[position - 1]) for position in range(1, 301)]
    variants = [(position, base, "A" if base == "G" else "G") for position, base in variants]
    for track, columns, scale in [("full", ["llr", "cosine"], 1), ("half", ["llr"], -0.5)]:
        lines = ["\t".join(["contig", "position", "reference", "alternate", *columns])]
        for position, reference, alternate in variants:
            scores = [scale * (position - 99) / 4, position / 1000][: len(columns)]
            lines.append("\t".join(map(str, ["MT", position, reference, alternate, *scores])))
        (folder / f"{track}.tsv").write_text("\n".join(lines) + "\n")
    lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
    lines += [f"MT\t{position}\t.\t{reference}\t{alternate}\t.\t.\t." for position, reference, alternate in variants[::7]]
    (folder / "mito.vcf").write_text("\n".join(lines) + "\n")
    command("init", folder / "mito.vestore", "--reference", folder / "mito.fa")
    for track in ["full", "half"]:
        command("import", folder / "mito.vestore", "--track", track, folder / f"{track}.tsv", "--quiet")
    return folder


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """A store with every table: scores, embeddings and ablation of a language model, effects of a regulatory one."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "genome.fa").write_text(f">1\n{bases(20_000, 1)}\n>HLA-A*01:01\n{bases(3_000, 2)}\n")
    (folder / "genes.gtf").write_text(GENES)
    root = folder / "store"
    command("init", root, "--reference", folder / "genome.fa")
    command("model", "add", root, "small", "--checkpoint", ROOT / "examples/model")
    checkpoint = ROOT / "target/release/examples/synthetic_checkpoint"
    subprocess.run([checkpoint, "borzoi", folder / "borzoi", *SMALL], check=True, capture_output=True)
    (folder / "borzoi/targets.txt").write_text(TARGETS)
    command("model", "add", root, "regulatory", "--checkpoint", folder / "borzoi")
    options = dict(device="cpu", threads=1, quiet=True)
    places = ["1:2400-2460", "HLA-A*01:01:1001-1020"]
    vestore.score(root, model="small", regions=places, score="llr", track="llr", embeddings="pooled", **options)
    vestore.score(root, model="small", regions=places[:1], score="distance", track="distance", **options)
    vestore.score(
        root, model="regulatory", regions="1:2425-2465", window=2048, score="sum,log-sum,gene-sed,gene-d2",
        genes=folder / "genes.gtf", track="effects", **options,
    )  # fmt: skip
    words = ["ablate", root, "--model", "small", "--region", "1:2400-2410", "--score", "llr", "--track", "llr"]
    command(*words, "--device", "cpu", "--threads", "1", "--quiet")
    return root
