"""Seconds of a step and peak memory, beside the plain PyTorch loop. CPU seconds tell what wall time does not where the
machine has other work; vestore's are the difference between processes of several steps and of one."""

import itertools
import os
import pathlib
import statistics
import sys
import tempfile

from parity import NEAR, PLAIN, described, furthest, peer, prepared, start_of

# A quarter of Borzoi's published widths.
QUARTER = {"layers": 4, "hidden": 384, "heads": 8, "intermediate": 768, "widths": "128,152,184,224,264,320",
           "bins": 512}
WINDOW = 32_768
# As published, but for the bins: the window is shorter.
PUBLISHED = {"bins": 3072, "targets": "7611,2608"}
PUBLISHED_WINDOW = 131_072
# One window for each, so that both sides see the same one in every step.
SPLITS = ["train", "valid"]
RATE = 1e-4
NAMES = (f"run{number}" for number in itertools.count())


class Side:
    """A method on both sides."""

    def __init__(self, store, method, options=None):
        self.store, self.method, self.options = store, method, options or {}
        self.start = None

    def vestore(self, steps, threads):
        return self.store.train(next(NAMES), self.method, threads=threads, steps=steps, evaluate_every=steps,
                                learning_rate=RATE, **PLAIN, **self.options)

    def pytorch(self, steps, threads):
        self.start = self.start or start_of(self.store, self.method, self.options)
        task = {"task": "train", "data": str(self.store.folder / "windows.npz"), "steps": steps, "batch": 1,
                "clip": 0.15, "rate": RATE, "weight_decay": 0.0, "total_weight": 0.2, "evaluate": False}
        return peer({**task, **self.start}, threads)

    def both(self, steps, threads):
        """Both answers, which have the same mean loss."""
        ours, theirs = self.vestore(steps, threads), self.pytorch(steps, threads)
        apart = furthest(ours["losses"][-1]["loss"], statistics.mean(theirs["losses"]))
        if apart > NEAR:
            sys.exit(f"{described(self.method, self.options)}: the mean loss differs by {apart:.2g}, more than {NEAR}")
        return ours, theirs


def compare(programs, rounds, steps):
    with tempfile.TemporaryDirectory() as folder:
        store = prepared(programs, pathlib.Path(folder), "borzoi", WINDOW, SPLITS, QUARTER)
        print(f"\na quarter of Borzoi's widths, 4 blocks, a window of {WINDOW:,} bases: seconds of a step\n"
              f"(means of {steps} steps, median of {rounds} rounds; load {os.getloadavg()[0]:.1f})\n"
              "                             wall                   CPU\n"
              "method    threads  vestore  PyTorch  times  vestore  PyTorch  times", flush=True)
        for method, threads in itertools.product(("full", "lora"), (1, 2)):
            side, found = Side(store, method), []
            for _ in range(rounds):
                ours, theirs = side.both(steps, threads)
                cpu = (ours["cpu"] - side.vestore(1, threads)["cpu"]) / (steps - 1)
                found.append((ours["seconds_per_step"], statistics.mean(theirs["seconds"]), cpu,
                              statistics.mean(theirs["cpu"])))
            wall, wall_peer, cpu, cpu_peer = (statistics.median(column) for column in zip(*found))
            print(f"{method:<9} {threads:>7}  {wall:>7.3f}  {wall_peer:>7.3f}  {wall_peer / wall:>5.2f}  {cpu:>7.3f}  "
                  f"{cpu_peer:>7.3f}  {cpu_peer / cpu:>5.2f}", flush=True)
        print("peak memory of the process in MB, one thread, 2 steps\nmethod             vestore  recomputed  PyTorch")
        for method in ("full", "linear", "lora", "houlsby"):
            ours, theirs = Side(store, method).both(2, 1)
            again = Side(store, method, {"activation_checkpointing": True}).vestore(2, 1)
            print(f"{method:<18} {ours['peak_memory'] / 1e6:>7,.0f}  {again['peak_memory'] / 1e6:>10,.0f}  "
                  f"{theirs['peak'] / 1e6:>7,.0f}", flush=True)


def published(programs, window):
    """LoRA on a model of Borzoi's published size, one step, two threads."""
    with tempfile.TemporaryDirectory() as folder:
        store = prepared(programs, pathlib.Path(folder), "borzoi", window, SPLITS, PUBLISHED)
        print(f"\nBorzoi as published, LoRA, a window of {window:,} bases, two threads, one step "
              f"(load {os.getloadavg()[0]:.1f})\nside                   seconds   peak MB", flush=True)
        ours, theirs = Side(store, "lora").both(1, 2)
        again = Side(store, "lora", {"activation_checkpointing": True}).vestore(1, 2)
        for side, seconds, peak in (("vestore", ours["seconds_per_step"], ours["peak_memory"]),
                                    ("vestore, recomputed", again["seconds_per_step"], again["peak_memory"]),
                                    ("PyTorch", theirs["seconds"][0], theirs["peak"])):
            print(f"{side:<20} {seconds:>9.1f}  {peak / 1e6:>8,.0f}", flush=True)
