"""The Snakefile of docs/cluster.md, whose first attempts are killed."""

import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, SCORE, rows, until

pytest.importorskip("snakemake", reason="Snakemake is not installed; `make test-cluster` installs it")


def test_snakemake_resumes_a_killed_shard(store, wanted, tmp_path):
    page = (ROOT / "docs/cluster.md").read_text()
    text = re.search(r"```python\n(N = 8\n.*?)```", page, re.DOTALL)[1]
    text = text.replace("--model nt --region 17", " ".join(SCORE)).replace(" --threads {threads}", "")
    (tmp_path / "Snakefile").write_text(text.replace("genome.vestore", str(store)))
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--resources", "gpu=2"]
    log = open(tmp_path / "log", "w")
    run = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PATH": path}, stdout=log, stderr=log)

    def scoring():
        """A program that scores a shard with committed rows, and the shard."""
        for part in range(1, 9):
            if list((tmp_path / f"shards/{part}-of-8").rglob("*.parquet")):
                found = subprocess.run(
                    ["pgrep", "-f", f"^[^ ]*vestore-ingest score {store} .*shards/{part}-of-8"],
                    capture_output=True,
                    text=True,
                )
                if found.stdout:
                    return int(found.stdout.split()[0]), part
        assert run.poll() is None, (tmp_path / "log").read_text()
        return None

    child, part = until("a shard is under way", scoring)
    os.kill(child, signal.SIGKILL)
    assert run.wait(timeout=400) == 0, (tmp_path / "log").read_text()
    assert "Trying to restart job" in (tmp_path / "log").read_text()
    assert (tmp_path / f"shards/{part}.log").read_text().count("there already") == 1
    assert rows(store) == wanted
