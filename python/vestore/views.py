"""DuckDB over the files of a store."""

from __future__ import annotations

from typing import Any

from . import _native
from .optional import needed

KEYS = "contig, position, reference, alternate, track, status"


def sql(store: _native.Store, query: str) -> Any:
    """The result of `query` over views of the files that are committed now."""
    duckdb = needed("duckdb", "sql()")
    try:
        return _run(duckdb, store, query)
    except duckdb.IOException:
        # Files were merged between the look into the catalog and the reading: now it names others.
        return _run(duckdb, store, query)


def _run(duckdb: Any, store: _native.Store, query: str) -> Any:
    connection = duckdb.connect()
    files: dict[str, list[str]] = {}
    for track, path in store.score_files():
        files.setdefault(track, []).append(str(path))
    if files:
        connection.execute(_view("scores", [path for paths in files.values() for path in paths]))
    for track, paths in files.items():
        # DuckDB ignores case.
        if track.lower() != "scores":
            connection.execute(_view(track, paths))
    relation = connection.sql(query)
    # Run once, while the files are there; version 1 of DuckDB calls it otherwise.
    return relation.materialize() if hasattr(duckdb.DuckDBPyRelation, "materialize") else relation.execute()


def _view(name: str, paths: list[str]) -> str:
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    name = name.replace('"', '""')
    return (
        f'create view "{name}" as select {KEYS}, * exclude ({KEYS}) from read_parquet([{quoted}], '
        "hive_partitioning=true, hive_types_autocast=0, union_by_name=true)"
    )
