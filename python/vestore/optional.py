"""Packages that are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def needed(package: str, what: str) -> Any:
    """The imported `package`, which `what` needs."""
    try:
        return import_module(package)
    except ImportError as error:
        raise ImportError(f"{what} needs {package}, which cannot be imported: {error}; `pip install {package}`") from error
