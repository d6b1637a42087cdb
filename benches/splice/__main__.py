"""`make bench-splice`: splicing scores of ClinVar's SNVs of BRCA1, beside CI-SpliceAI itself and beside whole windows in
PyTorch, with the same weights and one thread each.

    python benches/splice [--original PYTHON] [--variants N] [--peers N] [--stretch BP] [--distance BP ...]

`--original` is a Python that has cispliceai and TensorFlow; this one has torch and safetensors. Variants are taken evenly
from those of `examples/splice_labels.py`; the peers, whose time per variant depends on no other variant, get every so
manieth of them. vestore is timed on all of them, where neighbours share the reference, and on those of the peers alone.
Every time is wall time of a fresh process, loading included. Answers are compared before any time is printed. With
`--stretch`, every SNV of so many bases around an exon boundary is scored, too.
"""

import argparse
import csv
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).parent
ROOT = FOLDER.parent.parent
PROGRAM = ROOT / "target/release/vestore"
CHANGES = ("acceptor_gain", "acceptor_loss", "donor_gain", "donor_loss")
# Apart because float32 sums are rounded in another order.
NEAR = 1e-5
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1",
              "TF_NUM_INTEROP_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}


def measured(command, task=None):
    """Wall seconds, peak resident megabytes and output of a program that reads `task`."""
    with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile("w+") as output, \
            tempfile.TemporaryFile("w+") as errors:
        json.dump(task, given)
        given.seek(0)
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdin=given, stdout=output, stderr=errors,
                                   env={**os.environ, **ONE_THREAD})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        if status:
            errors.seek(0)
            sys.exit(f"{' '.join(map(str, command))} failed: {errors.read()[-2000:]}")
        return seconds, usage.ru_maxrss / 1024, output.read()


def vestore(*words):
    return measured([PROGRAM, *words])


class Store:
    def __init__(self, folder, fasta, model):
        self.path, self.folder, self.tracks = f"{folder}/store", folder, 0
        vestore("init", self.path, "--reference", fasta)
        vestore("model", "add", self.path, "splice", "--checkpoint", model)
        vestore("genes", "add", self.path, f"{model}/genes.GRCh38.csv")

    def score(self, distance, where):
        """Seconds, megabytes and deltas by position, alternate and gene."""
        self.tracks += 1
        track = f"t{self.tracks}"
        seconds, memory, _ = vestore("score", self.path, "--model", "splice", *where, "--genes", "genes.GRCh38.csv",
                                     "--distance", distance, "--convention", "cispliceai", "--track", track,
                                     "--device", "cpu", "--threads", 1, "--quiet")
        rows = vestore("query", self.path, "--gene-effects", "--track", track, "--format", "tsv")[2].splitlines()
        vestore("track", "remove", self.path, track)
        found = {(int(row["position"]), row["alternate"], row["gene"]): [float(row[name]) for name in CHANGES]
                 for row in csv.DictReader(rows, delimiter="\t")}
        return seconds, memory, found

    def score_variants(self, distance, variants):
        path = f"{self.folder}/variants.vcf"
        with open(path, "w", encoding="ascii") as file:
            file.write("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
            for contig, position, reference, alternate in variants:
                file.write(f"{contig}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.\n")
        return self.score(distance, ["--variants", path])


def chosen(genes, count):
    """So many SNVs, evenly from ClinVar's near the exon boundaries of BRCA1."""
    select = [sys.executable, ROOT / "examples/splice_labels.py", ROOT / "examples/clinvar.BRCA1.vcf.gz", genes,
              "ENSG00000012048"]
    lines = subprocess.run(select, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return evenly([("chr" + row[0].removeprefix("chr"), int(row[1]), row[3], row[4]) for row in rows], count)


def evenly(items, count):
    count = min(count, len(items))
    return [items[at * len(items) // count] for at in range(count)]


def largest_difference(ours, theirs, side):
    worst = 0
    for position, alternate, gene, deltas in theirs:
        found = ours.get((position, alternate, gene))
        if found is None:
            sys.exit(f"vestore has no row for {position} {alternate} in {gene}, {side} has")
        worst = max([worst, *(abs(one - other) for one, other in zip(found, deltas))])
    if worst > NEAR:
        sys.exit(f"{side} and vestore differ by {worst:.2g}, more than {NEAR}")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", metavar="PYTHON", help="compare with the cispliceai that this Python has")
    parser.add_argument("--variants", type=int, default=200)
    parser.add_argument("--peers", type=int, default=20)
    parser.add_argument("--stretch", type=int, default=0, metavar="BP")
    parser.add_argument("--distance", type=int, nargs="+", default=[50, 1000])
    arguments = parser.parse_args()
    fetched = subprocess.run([ROOT / "scripts/splice-model"], check=True, capture_output=True, text=True).stdout
    model = fetched.strip().rpartition("splice-model: ")[2]
    genes = f"{model}/genes.GRCh38.csv"
    variants = chosen(genes, arguments.variants)
    some = evenly(variants, arguments.peers)
    with tempfile.TemporaryDirectory() as folder:
        fasta = f"{folder}/BRCA1.fa"
        with gzip.open(ROOT / "examples/BRCA1.GRCh38.fa.gz") as packed, open(fasta, "wb") as file:
            file.write(packed.read())
        store = Store(folder, fasta, model)
        print("distance  side                 variants   seconds  s/variant  peak MB  largest difference", flush=True)
        for distance in arguments.distance:
            task = {"fasta": fasta, "genes": genes, "model": model, "distance": distance, "variants": some}
            sides = [("windows in PyTorch", [sys.executable, FOLDER / "windows.py"])]
            if arguments.original:
                sides.append(("CI-SpliceAI", [arguments.original, FOLDER / "original.py"]))
            ours = [("vestore", variants, store.score_variants(distance, variants)),
                    ("vestore, the peers'", some, store.score_variants(distance, some))]
            results = []
            for side, command in sides:
                seconds, memory, output = measured(command, task)
                rows = json.loads(output[output.index("["):])
                results.append((side, some, seconds, memory, largest_difference(ours[0][2][2], rows, side)))
            results += [(side, of, found[0], found[1], None) for side, of, found in ours]
            for side, of, seconds, memory, difference in results:
                shown = "" if difference is None else f"{difference:.1e}"
                print(f"{distance:>8}  {side:<20} {len(of):>8}  {seconds:>8.1f}  {seconds / len(of):>9.3f}  "
                      f"{memory:>7.0f}  {shown:>18}", flush=True)
            if arguments.stretch:
                contig, middle, *_ = variants[len(variants) // 2]
                start = middle - arguments.stretch // 2
                where = ["--region", f"{contig}:{start}-{start + arguments.stretch - 1}"]
                seconds, memory, found = store.score(distance, where)
                count = 3 * arguments.stretch
                print(f"{distance:>8}  {'vestore, every SNV':<20} {count:>8}  {seconds:>8.1f}  {seconds / count:>9.3f}  "
                      f"{memory:>7.0f}", flush=True)


main()
