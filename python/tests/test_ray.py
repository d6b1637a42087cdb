"""What `python -m vestore.ray` says before it needs a cluster; `make test-cluster` tests the rest."""

import importlib.util
import subprocess
import sys

import pytest


def run(*words):
    return subprocess.run([sys.executable, "-m", "vestore.ray", *words], capture_output=True, text=True)


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install(tmp_path):
    output = run("score", "x.vestore", "--shards", "2", "--output", str(tmp_path / "shards"), "--model", "m")
    assert output.returncode == 1 and output.stderr.startswith("vestore.ray: scoring on a cluster needs ray")
    assert "`pip install ray`" in output.stderr and not (tmp_path / "shards").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--shards", "2", "--output", "o", "--shard", "1/2"], "--shard cannot be given"),
        (["--shards", "2", "--output", "o", "--report=x.tsv"], "--report cannot be given"),
        (["--shards", "0", "--output", "o"], "invalid number of shards: 0; expected 1 to 1,000,000"),
        (["--output", "o"], "--shards"),
    ],
)
def test_usage_errors(words, part):
    output = run("score", "x.vestore", *words)
    assert output.returncode == 2 and part in output.stderr, output.stderr
