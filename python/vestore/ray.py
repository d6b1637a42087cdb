"""Scoring the shards of a plan on a Ray cluster: `python -m vestore.ray score STORE --shards N --output FOLDER …`.

Every node needs this package with the engine, and a file system that has the store, the variants and FOLDER under the
same paths. A shard is a task that runs `vestore score --shard K/N` into a store of its own, so a task that Ray retries
on another node resumes where the lost one had committed. Logs are the events of `--progress json`; this program reads
them from FOLDER, merges shards as they end, and continues from the same command.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import IO, Any, Sequence

from . import program
from ._native import VestoreError
from .optional import needed

INTERRUPTED = 130
#: Flags that every shard gets from here, or whose file every shard would overwrite.
OURS = ("--shard", "--progress", "--wait", "--quiet", "--dry-run", "--report", "--summary")


def run_shard(commands: Sequence[Sequence[str]], log: str, cwd: str) -> tuple[int, float]:
    """The task: runs `vestore` until one fails; returns the exit code and seconds. Raises what Ray shall retry."""
    import ray

    # What a cancelled task gets; Ray started from a script's background would have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    node = f"{socket.gethostname()} {ray.get_runtime_context().get_node_id()[:8]}"
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "attempt", "node": node}) + "\n")
        file.flush()
        for words in commands:
            code = run_command(words, file, cwd)
            if code == INTERRUPTED or code < 0:
                raise RuntimeError(f"`vestore {words[0]}` was stopped (exit code {code})")
            if code != 0:
                break
    return code, time.monotonic() - started


def run_command(words: Sequence[str], log: IO[str], cwd: str) -> int:
    """Runs `vestore` and returns its exit code."""
    child = subprocess.Popen([program.place(), *words], cwd=cwd, stdout=log, stderr=log, start_new_session=True)
    try:
        # A cancelled task gets its KeyboardInterrupt between two waits.
        while child.poll() is None:
            try:
                child.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                pass
    except BaseException:
        # It commits what it has computed. Ray's workers block SIGINT, and so do their children.
        child.terminate()
        child.wait()
        raise
    return child.returncode


class Shard:
    """What this program knows of a shard: what its log says since this program began."""

    def __init__(self, part: int, of: int, folder: str) -> None:
        self.name = f"{part}/{of}"
        self.store = os.path.join(folder, f"{part}-of-{of}")
        self.log = self.store + ".log"
        self.read = os.path.getsize(self.log) if os.path.exists(self.log) else 0
        self.nodes: list[str] = []
        self.total: int | None = None
        self.left = 0
        self.message = ""
        self.seconds = 0.0
        self.ended = False

    def retries(self) -> int:
        """Attempts after the first."""
        return max(len(self.nodes) - 1, 0)

    def update(self) -> None:
        """Reads what was added to the log."""
        try:
            with open(self.log, "rb") as file:
                file.seek(self.read)
                added = file.read()
        except FileNotFoundError:
            return
        # The last line may be half written.
        added = added[: added.rfind(b"\n") + 1]
        self.read += len(added)
        for line in added.splitlines():
            try:
                event = json.loads(line)
                kind = event["event"]
            except (ValueError, TypeError, KeyError):
                # A loader or a library may print anything.
                self.message = line.decode(errors="replace").removeprefix("vestore: ")
                continue
            if kind == "attempt":
                self.nodes.append(event["node"])
            elif kind == "message":
                self.message = event["text"].removeprefix("vestore: ")
            elif event.get("unit") == "variants":
                self.left = event["total"] - event["done"]
                self.total = max(self.total or 0, self.left)


class Merger:
    """Merges shards into the store, one `vestore merge` at a time, beside scoring."""

    def __init__(self, store: str) -> None:
        self.store = store
        self.ready: list[Shard] = []
        self.child: subprocess.Popen[bytes] | None = None

    def step(self) -> None:
        """Starts the next merge if none is running."""
        if self.child is not None and self.child.poll() is not None:
            self.end()
        if self.child is None and self.ready:
            self.start(self.ready, "--partial")
            self.ready = []

    def start(self, shards: list[Shard], *flags: str) -> None:
        """Starts to merge these."""
        words = [program.place(), "merge", self.store, *(shard.store for shard in shards), *flags, "--wait", "--quiet"]
        # Of a session of its own: Ctrl-C on a terminal would interrupt it too.
        self.child = subprocess.Popen(words, start_new_session=True)

    def end(self) -> None:
        """Waits for the running merge."""
        if self.child is not None and self.child.wait() != 0:
            raise VestoreError("shards could not be merged, as said above; fix that and run the same command again")
        self.child = None


class Line:
    """One line for all shards: drawn anew on a terminal, printed every few seconds elsewhere."""

    def __init__(self, shards: list[Shard], per_hour: float | None) -> None:
        self.shards, self.per_hour = shards, per_hour
        self.started = self.printed = time.monotonic()

    def show(self, ended: int, stream: IO[str]) -> None:
        """Shows it, unless that was a moment ago."""
        now = time.monotonic()
        if now - self.printed < (1 if stream.isatty() else 5):
            return
        self.printed = now
        totals = [shard.total for shard in self.shards if shard.total is not None]
        if not totals:
            text = f"{ended} of {len(self.shards)} shards, waiting for the first to begin"
        else:
            done = sum(totals) - sum(shard.left for shard in self.shards)
            # Shards of a plan take about the same; one that ended without a word was complete before.
            silent = sum(1 for shard in self.shards if shard.total is None and not shard.ended)
            total = sum(totals) + silent * sum(totals) // len(totals)
            rate = done / (now - self.started)
            text = f"{ended} of {len(self.shards)} shards, {done:,} of {total:,} variants, {rate:,.0f}/s"
            if rate > 0:
                seconds = (total - done) / rate
                text += f", {int(seconds // 3600)}:{int(seconds // 60 % 60):02}:{int(seconds % 60):02} left"
                if self.per_hour is not None:
                    text += f", cost left {seconds / 3600 * self.per_hour:,.2f}"
        stream.write(f"\r\033[K{text}" if stream.isatty() else text + "\n")
        stream.flush()


def arguments(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our flags, and those of `vestore score` or `vestore ablate`."""
    parser = argparse.ArgumentParser(
        prog="python -m vestore.ray",
        usage="%(prog)s {score,ablate} STORE --shards N --output FOLDER [OPTIONS] [flags of `vestore score`]",
        description="Score the shards of a plan on a Ray cluster (RAY_ADDRESS, else this machine) and merge them.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("command", choices=["score", "ablate"], help="what to run")
    add("store", metavar="STORE", help="folder of the store")
    add("--shards", type=int, required=True, metavar="N", help="cut the plan into N shards")
    add("--output", required=True, metavar="FOLDER", help="keep the stores of shards, logs and the report here")
    add("--num-gpus", type=float, metavar="N", help="GPUs per shard; default: 1 if the cluster has GPUs")
    add("--num-cpus", type=float, default=1, metavar="N", help="CPUs per shard, as many threads; default: 1")
    add("--retries", type=int, default=3, metavar="N", help="repeat a lost or killed shard; -1: no limit; default: 3")
    add("--cost-per-hour", type=float, metavar="X", help="price of the cluster, to show the cost left")
    # Command and store come first: values of other flags are not told from a store.
    known, others = parser.parse_known_args(words)
    for word in others:
        if word.split("=")[0] in OURS:
            parser.error(f"{word.split('=')[0]} cannot be given: every shard has its own")
    if not 1 <= known.shards <= 1_000_000:
        parser.error(f"invalid number of shards: {known.shards}; expected 1 to 1,000,000")
    return known, others


def run(known: argparse.Namespace, others: list[str]) -> int:
    """Scores and merges all shards; returns the exit code."""
    ray = needed("ray", "scoring on a cluster")
    store, folder = os.path.abspath(known.store), os.path.abspath(known.output)
    os.makedirs(folder, exist_ok=True)
    try:
        ray.init(log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise VestoreError(
            f"cannot reach the Ray cluster: {reason}; check RAY_ADDRESS and the cluster's token"
        ) from None
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    gpus = known.num_gpus if known.num_gpus is not None else float(ray.cluster_resources().get("GPU", 0) > 0)
    # An exception is retried; a failure is what a task returns.
    task = ray.remote(run_shard).options(
        num_gpus=gpus, num_cpus=known.num_cpus, max_retries=known.retries, retry_exceptions=True
    )
    shards = [Shard(part, known.shards, folder) for part in range(1, known.shards + 1)]
    pending: dict[Any, Shard] = {}
    for shard in shards:
        words = [known.command, store, *others, "--shard", shard.name, "--output", shard.store]
        # A shard of millions of rows is thousands of files, which need not all be merged.
        commands = [[*words, "--progress", "json", "--wait"], ["compact", shard.store]]
        pending[task.remote(commands, shard.log, os.getcwd())] = shard
    merger, line = Merger(store), Line(shards, known.cost_per_hour)
    try:
        while pending:
            ended, _ = ray.wait(list(pending), timeout=1)
            for shard in pending.values():
                shard.update()
            for one in ended:
                finish(ray, one, pending.pop(one), merger)
            merger.step()
            line.show(known.shards - len(pending), sys.stderr)
        merger.end()
        merger.start(shards)
        merger.end()
    except (KeyboardInterrupt, VestoreError) as stopped:
        for one in pending:
            ray.cancel(one)
        if pending:
            print("\nstopping; shards commit what they have computed", file=sys.stderr)
            ray.wait(list(pending), num_returns=len(pending), timeout=60)
        if merger.child is not None:
            merger.child.wait()
        if isinstance(stopped, VestoreError):
            raise
        print("interrupted; the same command continues from there", file=sys.stderr)
        return INTERRUPTED
    report(shards, os.path.join(folder, "report.tsv"), time.monotonic() - line.started)
    return 0


def finish(ray: Any, ended: Any, shard: Shard, merger: Merger) -> None:
    """Takes the outcome of a task."""
    try:
        code, shard.seconds = ray.get(ended)
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        told = f"shard {shard.name} was lost: {reason}; see {shard.log}, then run the same command again"
        raise VestoreError(told) from None
    if code != 0:
        raise VestoreError(f"shard {shard.name} failed: {shard.message} ({shard.log})")
    shard.left, shard.ended = 0, True
    merger.ready.append(shard)


def report(shards: list[Shard], path: str, seconds: float) -> None:
    """Writes a line per shard to `path`, because Ray writes to stdout too, and says what all took."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("shard\tseconds\tvariants\tretries\tnodes\n")
        for shard in shards:
            nodes = ", ".join(dict.fromkeys(shard.nodes))
            file.write(f"{shard.name}\t{shard.seconds:.1f}\t{shard.total or 0}\t{shard.retries()}\t{nodes}\n")
    retries = sum(shard.retries() for shard in shards)
    nodes_used = len({node for shard in shards for node in shard.nodes})
    variants = sum(shard.total or 0 for shard in shards)
    longest = max(shard.seconds for shard in shards)
    print(
        f"\n{len(shards)} shards with {variants:,} new variants scored and merged in {seconds:.1f} s (longest shard: "
        f"{longest:.1f} s); nodes: {nodes_used}, retries: {retries}; {path}",
        file=sys.stderr,
    )


def main() -> int:
    """Runs the command line."""
    try:
        return run(*arguments(sys.argv[1:]))
    except (VestoreError, ImportError, OSError) as error:
        print(f"vestore.ray: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    # Under its name, so that nodes import the task instead of getting a copy.
    from vestore.ray import main as imported

    sys.exit(imported())
