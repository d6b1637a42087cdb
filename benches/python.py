#!/usr/bin/env python3
"""Reading a store from Python: `make bench-python` (ROWS=10000000).

Makes a store of two scores for every SNV of a random contig, then measures, each in a process of its own: importing the
package, a query of one variant, and all rows as pandas, Polars and in DuckDB, beside DuckDB over the store's files.
Answers are compared first. Memory is the largest resident set beyond that after the imports.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

PRELUDE = """
import sys, time
import vestore
def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1000 for line in status if line.startswith("VmHWM"))
def report(begun, before, found):
    print(f"{time.perf_counter() - begun:.3f} s  {resident() - before:.0f} MB  {found}")
store = vestore.open(sys.argv[1])
"""
# Its progress bar would be among the answers.
QUIET = "duckdb.sql('set enable_progress_bar = false')\n"
FILES = "read_parquet('{store}/scores/**/*.parquet', hive_partitioning=true, hive_types_autocast=0, union_by_name=true)"
CASES = {
    "to_arrow()": "import pyarrow\n#\nfound = store.query().to_arrow()\nfound = found.num_rows",
    "to_pandas()": "import pandas, pyarrow\n#\nframe = store.query().to_pandas()\nfound = len(frame)",
    "pandas from DuckDB over the files": "import duckdb, pandas, pyarrow\n#\nframe = duckdb.sql('select * from FILES').df()\nfound = len(frame)",
    "to_polars()": "import polars\n#\nframe = store.query().to_polars()\nfound = frame.height",
    "Polars from DuckDB over the files": "import duckdb, polars, pyarrow\n#\nframe = duckdb.sql('select * from FILES').pl()\nfound = frame.height",
    "DuckDB aggregates a stream": "import duckdb\n#\nrows = store.query()\nfound = duckdb.sql('select count(*), sum(a) from rows').fetchall()[0][0]",
    "DuckDB aggregates with sql()": "import duckdb\n#\nfound = store.sql('select count(*), sum(a) from scores').fetchall()[0][0]",
    "DuckDB aggregates over the files": "import duckdb\n#\nfound = duckdb.sql('select count(*), sum(a) from FILES').fetchall()[0][0]",
}
POINT = """
import statistics
variant = "1-1000-" + store.query("1:1000", limit=1).to_arrow()["reference"][0].as_py() + "-"
others = [variant + base for base in "ACGT" if base != variant[-2]]
times = []
for number in range(300):
    begun = time.perf_counter()
    rows = store.query(variants=others[number % 3]).to_arrow()
    times.append(time.perf_counter() - begun)
    assert rows.num_rows == 1
print(f"median {statistics.median(times) * 1000:.3f} ms, 99th percentile {sorted(times)[297] * 1000:.3f} ms")
"""


def make(folder, rows):
    import numpy
    import pyarrow
    import pyarrow.parquet

    random = numpy.random.default_rng(1)
    sites = -(-rows // 3)
    bases = numpy.frombuffer(b"ACGT", "S1")[random.integers(0, 4, sites + 1000)]
    (folder / "genome.fa").write_bytes(b">1\n" + bases.tobytes() + b"\n")
    letters = numpy.array(list("ACGT"))
    reference = bases.astype(str)[:sites].repeat(3)[:rows]
    alternates = {base: [other for other in letters if other != base] for base in letters}
    alternate = numpy.concatenate([alternates[base] for base in letters]).reshape(4, 3)[
        numpy.searchsorted(letters, bases.astype(str)[:sites])
    ].reshape(-1)[:rows]
    table = pyarrow.table(
        {
            "contig": pyarrow.array(numpy.full(rows, "1")),
            "position": numpy.arange(1, sites + 1).repeat(3)[:rows],
            "reference": reference,
            "alternate": alternate,
            "a": random.normal(size=rows).astype("f4"),
            "b": random.normal(size=rows).astype("f4"),
        }
    )
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    store = folder / "store"
    subprocess.run(["vestore", "init", store, "--reference", folder / "genome.fa"], check=True)
    subprocess.run(["vestore", "import", store, "--track", "t", folder / "rows.parquet", "--quiet"], check=True)
    return store


def python(code, *words):
    return subprocess.check_output([sys.executable, "-c", code, *map(str, words)], text=True).strip()


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    os.environ["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        store = make(pathlib.Path(name), rows)
        timed = "import time\nbegun = time.perf_counter()\nimport vestore\nprint(f'{(time.perf_counter() - begun) * 1000:.1f} ms')"
        print("import vestore:", min((python(timed) for _ in range(10)), key=lambda text: float(text.split()[0])))
        print("one variant:", python(PRELUDE + POINT, store))
        for title, code in CASES.items():
            imports, work = code.replace("FILES", FILES.replace("{store}", str(store)).replace("'", '"')).split("#\n")
            imports += QUIET if "duckdb" in imports else ""
            code = f"{PRELUDE}{imports}\nbefore, begun = resident(), time.perf_counter()\n{work}\nreport(begun, before, found)"
            best = min((python(code, store) for _ in range(5)), key=lambda line: float(line.split()[0]))
            assert best.endswith(f"  {rows}"), best
            print(f"{title}: {best}")


if __name__ == "__main__":
    main()
