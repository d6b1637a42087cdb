"""vestore and the program that writes checkpoints, as this bench runs them."""

import csv
import json
import os
import pathlib
import resource
import subprocess
import sys

import data

# Threads of libtorch that wait do not spin: beside another program that would take long.
PATIENT = {**os.environ, "OMP_WAIT_POLICY": "passive"}


class Store:
    """A store of a data set's genome with one regulatory model, `base`."""

    def __init__(self, programs, folder):
        self.programs, self.folder = pathlib.Path(programs), folder
        self.path = folder / "store"

    def make(self, family, **sizes):
        """Writes a checkpoint with random weights and makes the store."""
        words = [word for name, size in sizes.items() for word in (f"--{name}", size)]
        checkpoint = self.folder / "base"
        self.run("examples/synthetic_checkpoint", family, checkpoint, *words)
        if family == "enformer":
            # enformer-pytorch has the positions of TensorFlow for one length alone.
            config = json.loads((checkpoint / "config.json").read_text())
            (checkpoint / "config.json").write_text(json.dumps(config | {"use_tf_gamma": False}))
        self.run("vestore", "init", self.path, "--reference", self.folder / "genome.fa")
        # Of the head that is replaced; Enformer needs the names.
        count = int(str(sizes["targets"]).partition(",")[0])
        (self.folder / "old.txt").write_text("identifier\n" + "".join(f"old {at}\n" for at in range(count)))
        targets = ["--targets", self.folder / "old.txt"] if family == "enformer" else []
        self.run("vestore", "model", "add", self.path, "base", "--checkpoint", checkpoint, *targets)

    def run(self, program, *words):
        command = [self.programs / program, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=PATIENT, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, command))} failed: {done.stderr[-2000:]}")
        return done.stdout

    def train(self, name, method, threads=1, keep=False, **options):
        """What training.json of a new model says, and the `cpu` seconds of the process; the files are in
        `folder / name`, and with `keep` it stays in the store, which has a model of the same weights but once."""
        words = [word for option, value in options.items() for word in (f"--{option.replace('_', '-')}", value)]
        words = [word for word in words if word is not True]
        window = json.loads((self.folder / "data.json").read_text())["window"]
        before = children()
        self.run("vestore", "train", "transfer", self.path, "--model", "base", "--name", name, "--output",
                 self.folder / name, "--method", method, "--targets", self.folder / "targets.txt", "--sequences",
                 self.folder / "sequences.bed", "--window", window, "--device", "cpu", "--threads", threads, "--quiet",
                 *words)
        result = json.loads((self.folder / name / "training.json").read_text())["result"]
        result["cpu"] = children() - before
        if not keep:
            self.run("vestore", "model", "remove", self.path, name)
        return result

    def effects(self, model, kinds, variants):
        """By position, target and kind, what a model gives for SNVs (1-based position, reference, alternate)."""
        path = self.folder / "variants.vcf"
        lines = [f"{data.CONTIG}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.\n"
                 for position, reference, alternate in variants]
        path.write_text("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + "".join(lines))
        facts = json.loads((self.folder / "data.json").read_text())
        unet = ["--untransform", "none", "--strand-pairs", "keep", "--bins", "center"]
        plain = unet if facts["family"] == "borzoi" else []
        self.run("vestore", "score", self.path, "--model", model, "--variants", path, "--score", ",".join(kinds),
                 "--window", facts["window"], "--strands", "forward", *plain, "--track", model, "--device", "cpu",
                 "--threads", 1, "--quiet")
        rows = self.run("vestore", "query", self.path, "--variants", path, "--effects", "--track", model,
                        "--format", "tsv").splitlines()
        return {(int(row["position"]), row["target"]): [float(row[kind]) for kind in kinds]
                for row in csv.DictReader(rows, delimiter="\t")}


def children():
    """CPU seconds of all programs that have run."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
