"""Merging many shards: seconds and memory of `vestore merge`, as many as a genome-wide plan has.

`make bench-merge BENCH="--shards 1000 --rows 10000"`. Shards are scored with a model of one layer, and kept in
target/merge-bench: the same command resumes.
"""

import argparse
import os
import pathlib
import random
import resource
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
VESTORE = ROOT / "target/release/vestore"
CHECKPOINT = ROOT / "target/release/examples/synthetic_checkpoint"
TINY = "--layers 1 --hidden 8 --heads 1 --intermediate 8 --seed 5".split()


def measured(*words):
    """Seconds and peak memory in bytes of a command."""
    started = time.monotonic()
    process = subprocess.Popen(list(map(str, words)))
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(map(str, words))}")
    return time.monotonic() - started, usage.ru_maxrss * 1024


def compact(shard):
    subprocess.run([VESTORE, "compact", shard], check=True, capture_output=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=10_000, help="rows per shard")
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--compact", action="store_true", help="compact the shards before they are merged")
    sizes = parser.parse_args()
    folder = ROOT / f"target/merge-bench/{sizes.shards}x{sizes.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    store, fresh = folder / "store", folder / "fresh"
    bases = sizes.shards * sizes.rows // 3
    if not fresh.exists():
        contigs, genome = 10, random.Random(3)
        with open(folder / "genome.fa", "w") as file:
            for contig in range(contigs):
                length = bases // contigs + (bases % contigs if contig == 0 else 0)
                file.write(f">chr{contig + 1}\n{''.join(genome.choices('ACGT', k=length))}\n")
        subprocess.run([CHECKPOINT, "nucleotide-transformer-v2", folder / "model", *TINY], check=True)
        subprocess.run([VESTORE, "init", fresh, "--reference", folder / "genome.fa"], check=True)
        subprocess.run([VESTORE, "model", "add", fresh, "tiny", "--checkpoint", folder / "model"], check=True)
    regions = [word for contig in range(1, 11) for word in ("--region", f"chr{contig}")]

    def score(part):
        name = f"{part}/{sizes.shards}"
        flags = f"--model tiny --window {sizes.window} --score llr-grid --device cpu --threads 1 --quiet".split()
        words = [VESTORE, "score", fresh, *flags, *regions, "--shard", name, "--output", folder / f"shard.{part}"]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"shard {name}: {done.stderr}")

    started = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(score, range(1, sizes.shards + 1)))
    print(f"scoring {sizes.shards} shards: {time.monotonic() - started:.0f} s (kept in {folder.relative_to(ROOT)})")

    if sizes.compact:
        started = time.monotonic()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(compact, (folder / f"shard.{part}" for part in range(1, sizes.shards + 1))))
        print(f"compacting {sizes.shards} shards: {time.monotonic() - started:.0f} s")
    shards = [folder / f"shard.{part}" for part in range(1, sizes.shards + 1)]
    if store.exists():
        shutil.rmtree(store)
    shutil.copytree(fresh, store)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    seconds, memory = measured(VESTORE, "merge", store, *shards, "--quiet")
    again, _ = measured(VESTORE, "merge", store, *shards, "--quiet")
    verify, _ = measured(VESTORE, "verify", store, "--quiet")
    rows = int(subprocess.run([VESTORE, "query", store, "--count"], check=True, capture_output=True, text=True).stdout)
    if rows != 3 * bases:
        raise SystemExit(f"{rows} rows, expected {3 * bases}")
    size = sum(path.stat().st_size for path in (store / "scores").rglob("*.parquet"))
    compacting, _ = measured(VESTORE, "compact", store)
    compacted = sum(path.stat().st_size for path in (store / "scores").rglob("*.parquet"))
    print(f"| {sizes.shards:,} shards of {sizes.rows:,} rows | |\n|---|---|")
    print(f"| merge | {seconds:.1f} s, {memory / 1e6:.0f} MB of memory, at most {soft:,} open files |")
    print(f"| the same command again | {again:.1f} s |")
    print(f"| verify | {verify:.1f} s |")
    print(f"| rows, bytes per row before and after compacting | {rows:,}; {size / rows:.2f}, {compacted / rows:.2f} |")
    print(f"| compact | {compacting:.1f} s |")


if __name__ == "__main__":
    main()
