"""Look-ups of many variants as joins in DuckDB, for `lookups.py`.

`join.py packed|own FILES ASKED THREADS TURNS` prints the seconds, CPU seconds and peak MB of a join, how many
variants it found, and a digest of their scores, as JSON. ASKED is a Parquet file of the variants: position,
reference, alternate, and the key of `PACKED`; reading a VCF and writing one is not in the figures.
"""

import json
import sys
import time

import duckdb
import numpy as np

import digests

# A SNV of one contig as a number: its position, and two bits an allele. A genome would need bits of the contig.
PACKED = "position::UBIGINT * 16 + (strpos('ACGT', reference) - 1) * 4 + strpos('ACGT', alternate) - 1"

JOINS = {
    "packed": "SELECT asked.position, asked.reference, asked.alternate, s FROM asked LEFT JOIN scores USING (key)",
    "own": "SELECT position, reference, alternate, s FROM asked LEFT JOIN scores USING (position, reference, alternate)",
}


def pack(files, out):
    """The scores of a store's files by packed key, in its order."""
    duckdb.sql(f"COPY (SELECT {PACKED} AS key, s FROM read_parquet('{files}') ORDER BY key) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")


def main(kind, files, asked, threads, turns):
    connection = duckdb.connect()
    connection.execute(f"SET threads = {threads}")
    connection.execute(f"CREATE VIEW scores AS SELECT * FROM read_parquet('{files}')")
    connection.execute(f"CREATE TABLE asked AS SELECT *, {PACKED} AS key FROM read_parquet('{asked}')")
    figures = []
    for _ in range(int(turns) + 1):
        started, used = time.perf_counter(), time.process_time()
        answer = connection.execute(JOINS[kind]).to_arrow_table()
        figures.append((time.perf_counter() - started, time.process_time() - used))
    seconds, cpu = np.median(figures[1:], axis=0)
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1000
    found = len(answer) - answer["s"].null_count
    print(json.dumps({"cost": [seconds, cpu, peak], "found": found, "digest": digests.of(answer)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
