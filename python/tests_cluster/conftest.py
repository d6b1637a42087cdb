"""What the tests of clusters score. `make test-cluster` runs them, with both wheels installed; they take minutes."""

import pathlib
import random
import shutil
import subprocess
import time

import pytest

from vestore.program import place

ROOT = pathlib.Path(__file__).resolve().parents[2]
#: 24,000 SNVs in units of 1,152; windows that keep a core busy for about a minute.
SCORE = "--model small --region chr1:1001-7000 --region chr2:1001-3000 --window 2700 --score llr --track t".split()
SCORE += "--device cpu --threads 1".split()


def vestore(*words):
    """What `vestore` prints."""
    return subprocess.run([place(), *map(str, words)], check=True, capture_output=True, text=True).stdout


def rows(store):
    """All rows of a store, in their order."""
    return vestore("query", store, "--format", "tsv")


def until(what, condition, seconds=180):
    """The first true value of `condition`, which events of other processes make true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A store without rows, and the rows that one run writes."""
    folder = tmp_path_factory.mktemp("made")
    numbers = random.Random(3)
    contigs = [f">chr{n}\n{''.join(numbers.choices('ACGT', k=length))}\n" for n, length in [(1, 9000), (2, 5000)]]
    (folder / "genome.fa").write_text("".join(contigs))
    sizes = "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 5".split()
    checkpoint = ROOT / "target/release/examples/synthetic_checkpoint"
    subprocess.run(
        [checkpoint, "nucleotide-transformer-v2", folder / "model", *sizes], check=True, capture_output=True
    )
    vestore("init", folder / "store", "--reference", folder / "genome.fa")
    vestore("model", "add", folder / "store", "small", "--checkpoint", folder / "model")
    shutil.copytree(folder / "store", folder / "whole")
    vestore("score", folder / "whole", *SCORE, "--quiet")
    wanted = rows(folder / "whole")
    assert wanted.count("\n") == 24_001
    return folder / "store", wanted


@pytest.fixture
def store(made, tmp_path):
    """A copy of the store without rows."""
    shutil.copytree(made[0], tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def wanted(made):
    return made[1]
