"""Rows of an answer as arrays, and as matrices of variants and what they have an effect on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._native import VestoreError
from .optional import needed

if TYPE_CHECKING:
    import anndata
    import numpy
    import pandas
    import pyarrow

VARIANT = ["contig", "position", "reference", "alternate"]
ROW = [*VARIANT, "model", "track", "status"]
FEATURES = ["gene", "target", "layer"]


def arrays(table: pyarrow.Table) -> dict[str, numpy.ndarray]:
    """Each column as an array; lists as `[rows, length]`. Missing numbers are NaN."""
    return {name: _array(table[name]) for name in table.column_names}


def _array(column: pyarrow.ChunkedArray) -> numpy.ndarray:
    numpy, pyarrow = needed("numpy", "to_numpy()"), needed("pyarrow", "to_numpy()")
    if not pyarrow.types.is_fixed_size_list(column.type):
        flat: numpy.ndarray = column.to_numpy()
        return flat
    width = column.type.list_size
    lists = numpy.full((len(column), width), numpy.nan, dtype=numpy.float32)
    lists[column.is_valid().to_numpy()] = column.drop_null().combine_chunks().flatten().to_numpy().reshape(-1, width)
    return lists


def matrices(table: pyarrow.Table) -> anndata.AnnData:
    """One observation per variant and track, one variable per target, gene or layer, one layer per score column."""
    library, numpy = needed("anndata", "to_anndata()"), needed("numpy", "to_anndata()")
    names = table.column_names
    if not set(ROW) <= set(names):
        raise VestoreError(f"to_anndata() needs the columns {', '.join(ROW)}; leave `columns` and `wide` out")
    kinds = [name for name in names if name not in ROW + FEATURES]
    if any(str(table.schema.field(name).type).startswith("fixed_size_list") for name in kinds):
        return library.AnnData(obs=_named(_frame(table, ROW)), obsm={kind: _array(table[kind]) for kind in kinds})
    features = [name for name in FEATURES if name in names]
    if not features:
        raise VestoreError("to_anndata() needs rows of effects(), gene_effects(), ablation() or embeddings()")
    observed, variable = _frame(table, ROW), _frame(table, features)
    row, observed = _numbered(observed, [*VARIANT, "track"])
    column, variable = _numbered(variable, features)
    if not kinds:
        raise VestoreError("to_anndata() needs a score column; name one in `columns`, or leave that out")
    layers = {}
    for kind in kinds:
        layers[kind] = numpy.full((len(observed), len(variable)), numpy.nan, dtype=numpy.float32)
        layers[kind][row, column] = table[kind].to_numpy()
    variable.index = variable.astype(str).agg(" ".join, axis=1)
    return library.AnnData(X=layers[kinds[0]], obs=_named(observed), var=variable, layers=layers)


def _frame(table: pyarrow.Table, names: list[str]) -> pandas.DataFrame:
    frame: pandas.DataFrame = table.select(names).to_pandas()
    return frame


def _numbered(frame: pandas.DataFrame, keys: list[str]) -> tuple[Any, pandas.DataFrame]:
    """The number of each row's key, in the order in which keys first occur, and a row per key."""
    groups = frame.groupby(keys, sort=False, observed=True)
    return groups.ngroup().to_numpy(), frame.drop_duplicates(keys)


def _named(observed: pandas.DataFrame) -> pandas.DataFrame:
    columns = VARIANT if observed["track"].nunique() < 2 else [*VARIANT, "track"]
    observed.index = observed[columns].astype(str).agg("-".join, axis=1)
    return observed
