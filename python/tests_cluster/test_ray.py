"""Shards on a Ray cluster of one machine: a head and two nodes with a GPU each by name."""

import json
import os
import pathlib
import secrets
import signal
import socket
import subprocess
import sys

import pytest
from conftest import SCORE, rows, until, vestore

pytest.importorskip("ray", reason="Ray is not installed; `make test-cluster` installs it")
RAY = pathlib.Path(sys.executable).with_name("ray")
SHARDS = 3


class Cluster:
    """Processes of Ray that this test started."""

    def __init__(self, folder):
        self.folder = folder
        # A token of its own: what lies in the home folder is none of this cluster's business.
        token = folder / "token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_DISABLE_USAGE_STATS": "1",
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_failure_threshold": "4",
        }
        self.environment.pop("RAY_AUTH_TOKEN", None)
        self.environment.pop("RAY_ADDRESS", None)
        self.nodes = []

    def start(self, *words):
        """Starts a node, and waits until it can take tasks."""
        log = open(self.folder / f"node{len(self.nodes)}.log", "w")
        words = [RAY, "start", "--block", "--disable-usage-stats", *words]
        node = subprocess.Popen(words, stdout=log, stderr=log, env=self.environment, start_new_session=True)
        self.nodes.append(node)
        until(
            "the node started", lambda: "To terminate" in pathlib.Path(log.name).read_text() or node.poll() is not None
        )
        assert node.poll() is None, pathlib.Path(log.name).read_text()
        return node

    def kill(self, node):
        """Kills all processes of a node, as a machine that fails does."""
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = "127.0.0.1:%d" % free.getsockname()[1]
        port = address.partition(":")[2]
        cluster.start("--head", f"--port={port}", "--num-cpus=0", "--num-gpus=0", "--include-dashboard=false")
        cluster.environment["RAY_ADDRESS"] = address
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            if node.poll() is None:
                cluster.kill(node)


def worker(cluster):
    return cluster.start(f"--address={cluster.environment['RAY_ADDRESS']}", "--num-cpus=1", "--num-gpus=1")


def driver(cluster, store, shards, *words):
    """Starts `python -m vestore.ray`."""
    command = [
        sys.executable,
        "-m",
        "vestore.ray",
        "score",
        store,
        *SCORE,
        "--shards",
        str(SHARDS),
        "--output",
        shards,
    ]
    return subprocess.Popen(
        [*command, *words],
        env=cluster.environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def events(shards, part):
    log = shards / f"{part}-of-{SHARDS}.log"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def running(shards):
    """Shards that have committed something and are not complete."""
    found = []
    for part in range(1, SHARDS + 1):
        seen = [event for event in events(shards, part) if event.get("unit") == "variants"]
        if seen and seen[-1]["event"] != "end" and list((shards / f"{part}-of-{SHARDS}").rglob("*.parquet")):
            found.append(part)
    return found


def test_a_lost_node_costs_nothing_but_time(cluster, store, wanted, tmp_path):
    first, _ = worker(cluster), worker(cluster)
    shards = tmp_path / "shards"
    run = driver(cluster, store, shards, "--cost-per-hour", "2")
    until("two shards are under way", lambda: len(running(shards)) == 2 or run.poll() is not None)
    assert run.poll() is None, run.communicate()
    cluster.kill(first)
    worker(cluster)
    _, progress = run.communicate(timeout=400)
    assert run.returncode == 0, progress
    assert rows(store) == wanted
    assert vestore("verify", store, "--quiet") == ""
    table = [line.split("\t") for line in (shards / "report.tsv").read_text().splitlines()]
    assert table[0] == ["shard", "seconds", "variants", "retries", "nodes"] and len(table) == SHARDS + 1
    assert sum(int(line[3]) for line in table[1:]) >= 1, table
    assert " variants, " in progress and "cost left" in progress, progress
    # The same command finds everything done.
    again = driver(cluster, store, shards)
    again.communicate(timeout=400)
    assert again.returncode == 0 and rows(store) == wanted


def test_an_interrupted_run_is_continued_by_the_same_command(cluster, store, wanted, tmp_path):
    worker(cluster)
    shards = tmp_path / "shards"
    run = driver(cluster, store, shards)
    part = until("a shard is under way", lambda: running(shards))[0]
    run.send_signal(signal.SIGINT)
    _, progress = run.communicate(timeout=200)
    assert run.returncode == 130, progress
    assert "the same command continues" in progress
    # It was asked to commit what it had, and did.
    assert any("continues from there" in event.get("text", "") for event in events(shards, part))
    run = driver(cluster, store, shards)
    _, progress = run.communicate(timeout=400)
    assert run.returncode == 0, progress
    assert rows(store) == wanted


def test_what_cannot_work_is_told_once(cluster, store, tmp_path):
    worker(cluster)
    run = driver(cluster, store, tmp_path / "shards", "--genes", "nowhere")
    _, progress = run.communicate(timeout=200)
    assert run.returncode in (1, 2) and "/3 failed: --genes is for splice models" in progress, progress
    assert "Traceback" not in progress
    run = driver(cluster, store, tmp_path / "shards", "--shard", "1/2")
    assert "every shard has its own" in run.communicate(timeout=60)[1] and run.returncode == 2
