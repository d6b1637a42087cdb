"""`make bench-effects`: effects on 7,611 targets, with numbers drawn from a seed.

    python benches/effects [--variants N] [--folder FOLDER]

Compares layouts of one file (`examples/effects layout`), then fills a store of N variants, compacts it, and times queries:
wall time of fresh processes, best and median of seven, with peak memory. FOLDER needs 4 kB a variant and keeps nothing.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent / "target/release"
# The layout that vestore writes, larger and smaller lists and pages, and a column per target.
LAYOUTS = ("lists/7611/2/3", "columns/1024/3", "columns/256/3", "lists/32/512/3", "lists/64/64/3", "lists/64/256/3",
           "lists/128/128/3", "lists/256/64/3", "lists/128/128/15")


def measured(*words):
    """Wall seconds, peak resident megabytes and lines of output of a program."""
    with tempfile.TemporaryFile("w+b") as output:
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in words], stdout=output, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        assert status == 0, words
        output.seek(0)
        return seconds, usage.ru_maxrss / 1024, output.read().splitlines()


def query(what, lines, *words):
    runs = [measured(ROOT / "vestore", "query", *words) for _ in range(7)]
    seconds = [run[0] * 1e3 for run in runs]
    memory, output = runs[-1][1], runs[-1][2]
    if lines is not None:
        assert len(output) == lines, (what, len(output))
    print(f"{what:44}  {min(seconds):8.1f} ms  {statistics.median(seconds):8.1f} ms  {memory:6.0f} MB", flush=True)
    return output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        program = ROOT / "examples/effects"
        subprocess.run([program, "layout", folder, "16384", *LAYOUTS], check=True)
        subprocess.run([program, "store", folder, str(arguments.variants)], check=True)
        store, bases = f"{folder}/store", pathlib.Path(folder, "genome.fa").read_text().split()[1]
        place = len(bases) // 2
        base = bases[place - 1]
        variant = f"1-{place}-{base}-{'ACGT'.replace(base, '')[1]}"
        region = f"1:{place + 1}-{min(place + 3333, len(bases) - 1000)}"
        print(f"{'query, as TSV':44}  {'best':>11}  {'median':>11}  {'memory':>9}")
        query("one variant, one target", 2, store, variant, "--effects", "--target", "target 4000", "--format", "tsv")
        query("one variant, all targets", 7612, store, variant, "--effects", "--format", "tsv")
        query("one variant, its 10 largest", 11, store, variant, "--effects", "--top", "10", "--format", "tsv")
        query("9,999 variants, one target", None, store, region, "--effects", "--target", "target 4000",
              "--format", "tsv")
        query("9,999 variants, the largest of each", None, store, region, "--effects", "--top", "1", "--format", "tsv")
        query("all variants, one target", None, store, "--effects", "--target", "target 4000", "--format", "tsv")
        seconds, memory, _ = measured(ROOT / "vestore", "verify", store)
        print(f"verify: {seconds:.1f} s, {memory:.0f} MB")


main()
