"""Scoring variants with the engine."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from . import program
from ._native import VestoreError
from .rows import Rows
from .store import Store, as_texts, is_file, variant_texts

if TYPE_CHECKING:
    from .store import Path, Texts


def score(
    store: Store | Path,
    *,
    model: str,
    variants: Any = None,
    regions: Texts = None,
    quiet: bool = False,
    **options: Any,
) -> Rows:
    """Scores variants, or every SNV of regions, and returns the rows of what was asked for.

    Runs `vestore score`, which needs the engine; its progress goes to `sys.stderr`, and what has a row already is not
    scored again. `variants` and `regions` are those of `Store.query`. `options` are flags of `vestore score` with
    underscores, such as `device="cpu"`, `score="llr"`, `window=600`, `track="mine"`; a list repeats a flag.
    """
    import tempfile

    if (variants is None) == (regions is None):
        raise TypeError("score() needs either `variants` or `regions`")
    store = store if isinstance(store, Store) else Store(store)
    words = ["score", store.path, "--model", model, *_flags(options)]
    words += [word for region in as_texts(regions) for word in ("--region", region)]
    with tempfile.TemporaryDirectory(prefix="vestore-") as folder:
        if variants is not None and not is_file(variants):
            texts = variant_texts(variants)
            variants = os.path.join(folder, "variants.vcf")
            _write(variants, texts)
        if variants is not None:
            words += ["--variants", os.fspath(variants)]
        said = program.run(words, quiet=quiet)
        track = re.search(r"^(?:track|nothing to do: .* in track) ([^\s:;]+)", said, re.MULTILINE)
        return store.query(regions, variants, tracks=track and track[1], models=None if track else model)


def _flags(options: dict[str, Any]) -> list[str]:
    words = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            words.append(flag)
        elif value is not False and value is not None:
            values = value if isinstance(value, (list, tuple)) else [value]
            words += [word for one in values for word in (flag, str(one))]
    return words


def _write(path: str, variants: list[str]) -> None:
    """Writes variants such as `17-43044295-G-A` as VCF."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for text in variants:
            separator = "-" if text.count("-") >= 3 else ":"
            try:
                contig, position, reference, alternate = text.rsplit(separator, 3)
            except ValueError:
                raise VestoreError(f"not a variant: `{text}`; expected for example `17-43044295-G-A`") from None
            file.write(f"{contig}\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.\n")
