"""Warm figures of DuckDB and Polars: asks for regions of Parquet files in a loop, as `warm.rs` asks the store.

`warm.py duckdb|polars GLOB REGIONS` prints the seconds of each answer, and its rows, as JSON. Both read the
store's own segments, hold metadata as far as they can (DuckDB: parquet_metadata_cache), and give Arrow.
"""

import json
import sys
import time


def duckdb(files):
    import duckdb
    connection = duckdb.connect()
    connection.execute("SET parquet_metadata_cache = true")
    text = f"select * from read_parquet('{files}') where position between ? and ?"
    return lambda start, end: connection.execute(text, [start, end]).to_arrow_table()


def polars(files):
    import polars
    rows = polars.scan_parquet(files)
    return lambda start, end: rows.filter(polars.col("position").is_between(start, end)).collect().to_arrow()


def main(peer, files, regions):
    ask = {"duckdb": duckdb, "polars": polars}[peer](files)
    seconds, rows = [], []
    for line in open(regions):
        start, end = map(int, line.split(":")[1].split("-"))
        started = time.perf_counter()
        answer = ask(start, end)
        seconds.append(time.perf_counter() - started)
        rows.append(answer.num_rows)
    print(json.dumps({"seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:])
