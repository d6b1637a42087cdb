"""Importing a file of CADD's shape: bytes per variant beside bgzip and tabix, rows per second, memory.

`make bench-import BENCH="--rows 10000000"`; needs numpy, bgzip and tabix. Scores follow the genome with noise and have six
significant digits; PHRED is the scaled rank. Files are kept in target/import-bench.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import time

import numpy

ROOT = pathlib.Path(__file__).resolve().parent.parent
VESTORE = os.environ.get("VESTORE", ROOT / "target/release/vestore")


def generate(folder, rows):
    """A reference, and a score for each of its SNVs, from a seed."""
    random = numpy.random.default_rng(5)
    positions = rows // 3
    bases = random.integers(0, 4, positions)
    letters = numpy.frombuffer(b"ACGT", dtype=numpy.uint8)[bases].tobytes().decode()
    (folder / "genome.fa").write_text(f">1\n{letters}\n")
    slow = numpy.convolve(random.standard_normal(positions + 49), numpy.full(50, 50**-0.5), "valid")
    raw = numpy.repeat(slow, 3) * 0.6 + random.standard_normal(3 * positions) * 0.5 + 0.3
    raw = numpy.array([float(f"{value:.6g}") for value in raw])
    # Ties share the worst rank.
    ordered = numpy.sort(-raw)
    rank = numpy.searchsorted(ordered, -raw, "right")
    phred = -10 * numpy.log10(rank / len(raw))
    with open(folder / "cadd.tsv", "w", buffering=1 << 22) as file:
        file.write("## CADD-shaped scores from a seed\n#Chrom\tPos\tRef\tAlt\tRawScore\tPHRED\n")
        at = 0
        for position, base in enumerate(letters, 1):
            for other in "ACGT":
                if other != base:
                    file.write(f"1\t{position}\t{base}\t{other}\t{raw[at]:.6g}\t{abs(phred[at]):.6g}\n")
                    at += 1
    subprocess.run(["bgzip", "-f", folder / "cadd.tsv"], check=True)
    subprocess.run(["tabix", "-f", "-s", "1", "-b", "2", "-e", "2", folder / "cadd.tsv.gz"], check=True)


def measured(*words):
    """Wall and CPU seconds and peak memory in bytes of a command."""
    started = time.monotonic()
    process = subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(map(str, words))}\n{errors}")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--no-preset", action="store_true", help="for programs without --preset")
    given = parser.parse_args()
    folder = ROOT / f"target/import-bench/{given.rows}"
    if not (folder / "cadd.tsv.gz.tbi").exists():
        folder.mkdir(parents=True, exist_ok=True)
        generate(folder, given.rows)
    rows = given.rows // 3 * 3
    table = folder / "cadd.tsv.gz"
    peer = table.stat().st_size + (folder / "cadd.tsv.gz.tbi").stat().st_size
    print(f"{rows:,} SNVs, two scores\nbgzip and tabix: {peer / rows:.2f} bytes per variant")
    preset = [] if given.no_preset else ["--preset", "cadd"]
    for name, flags in [("float32", []), ("--precision 0.001", ["--precision", "0.001"])]:
        runs = []
        for _ in range(given.repeat):
            store = folder / "store"
            shutil.rmtree(store, ignore_errors=True)
            subprocess.run([VESTORE, "init", store, "--reference", folder / "genome.fa"], check=True, stderr=subprocess.DEVNULL)
            runs.append(measured(VESTORE, "import", store, "--track", "cadd", *preset, *flags, table))
        seconds, cpu, memory = min(runs)
        print(
            f"store, {name}: {size(store) / rows:.2f} bytes per variant; import {rows / seconds / 1e6:.2f} M rows/s "
            f"({seconds:.1f} s, {cpu:.1f} s of CPU), {memory / 1e6:.0f} MB"
        )


if __name__ == "__main__":
    main()
