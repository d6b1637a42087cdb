"""The examples of the docstrings."""

import doctest
import importlib

import pytest

MODULES = ["vestore", "vestore.rows", "vestore.store", "vestore.view"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run_as_printed(name, mito, monkeypatch):
    pytest.importorskip("duckdb")
    monkeypatch.chdir(mito)
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted > 0 and outcome.failed == 0
