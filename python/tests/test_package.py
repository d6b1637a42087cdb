"""Errors, threads, interrupts, other libraries."""

import multiprocessing
import os
import subprocess
import sys
import threading

import pyarrow
import pytest

import vestore
from conftest import command


def said(*words):
    """What the command line says of an error, without its name."""
    with pytest.raises(subprocess.CalledProcessError) as error:
        command(*words)
    return error.value.stderr.decode().removeprefix("vestore: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["X:1-2"], {"regions": "X:1-2"}),
        (["MT:9-3"], {"regions": "MT:9-3"}),
        (["--track", "none"], {"tracks": "none"}),
        (["--where", "llr <"], {"where": "llr <"}),
        (["--where", "lrr < 3"], {"where": "lrr < 3"}),
        (["--columns", "lrr"], {"columns": "lrr"}),
        (["--sort", "lrr"], {"sort": "lrr"}),
        (["--variants", "none.vcf"], {"variants": "none.vcf"}),
    ],
)
def test_errors_are_those_of_the_command_line(mito, words, arguments):
    with pytest.raises(vestore.VestoreError) as error:
        vestore.open(mito / "mito.vestore").query(**arguments)
    assert str(error.value) == said("query", mito / "mito.vestore", *words)


def test_no_store_is_an_error(tmp_path):
    with pytest.raises(vestore.VestoreError, match="not a vestore store"):
        vestore.open(tmp_path)


def test_damage_is_raised_while_reading(mito, tmp_path):
    subprocess.run(["cp", "-r", mito / "mito.vestore", tmp_path / "s"], check=True)
    for file in (tmp_path / "s/scores").rglob("*.parquet"):
        data = bytearray(file.read_bytes())
        data[len(data) // 4] ^= 1
        file.write_bytes(data)
    rows = vestore.open(tmp_path / "s").query()
    for read in [rows.to_arrow, rows.to_polars, lambda: list(rows.batches())]:
        with pytest.raises(vestore.VestoreError, match="damaged"):
            read()


def test_a_missing_package_is_named_with_the_remedy(mito, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match="pip install polars"):
        vestore.open(mito / "mito.vestore").query().to_polars()


def test_importing_imports_no_other_package():
    code = "import vestore, sys; print({'pyarrow', 'pandas', 'polars', 'duckdb', 'numpy'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_threads_share_a_store(mito):
    store, found = vestore.open(mito / "mito.vestore"), []
    rows = store.query()
    threads = [threading.Thread(target=lambda: found.append(rows.to_arrow())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(table.equals(found[0]) for table in found)


def test_a_stream_that_is_dropped_ends(mito):
    rows = vestore.open(mito / "mito.vestore").query()
    for _ in range(50):
        next(rows.batches())
    threads = os.listdir("/proc/self/task")
    assert len(threads) < 50


def _count(path, queue):
    queue.put(vestore.open(path).query(sort="llr").to_arrow().num_rows)


def test_a_fork_of_a_process_that_has_read_can_read(mito):
    path = mito / "mito.vestore"
    assert vestore.open(path).query().to_arrow().num_rows == 600
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_count, args=(path, queue), daemon=True)
    child.start()
    assert queue.get(timeout=60) == 600
    child.join()


def test_an_interrupt_ends_reading(mito):
    # Ever later after the start, so that some come while a stream is read; importing is over by then.
    code = (
        "import signal, vestore\n"
        "rows = vestore.open('mito.vestore').query()\n"
        "rows.to_arrow()\n"
        "signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "for delay in range(1, 200):\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, delay * 1e-5)\n"
        "        while True: rows.to_arrow()\n"
        "    except KeyboardInterrupt: pass\n"
        "print(rows.to_arrow().num_rows)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], cwd=mito, capture_output=True, text=True, timeout=120)
    assert (out.stdout, out.stderr) == ("600\n", "")


def test_streams_are_taken_by_other_libraries(mito):
    store = vestore.open(mito / "mito.vestore")
    rows = store.query(tracks="full")
    table = rows.to_arrow()
    assert pyarrow.RecordBatchReader.from_stream(rows).read_all().equals(table)
    polars = pytest.importorskip("polars")
    assert rows.to_polars()["llr"].to_list() == table["llr"].to_pylist() == rows.to_pandas()["llr"].to_list()
    assert polars.DataFrame(rows).height == 300
    both = store.query().to_pandas()
    assert list(both["model"].unique()) == ["external"] and sorted(both["track"].unique()) == ["full", "half"]
    assert store.query().to_polars().height == 600
    duckdb = pytest.importorskip("duckdb")
    assert duckdb.sql("select count(*), sum(llr) from rows").fetchall() == [(300, sum(table["llr"].to_pylist()))]


def test_sql_sees_committed_rows_alone(mito, scored, tmp_path):
    pytest.importorskip("duckdb")
    store = vestore.open(scored)
    sql = "select contig, position, alternate, llr from llr order by contig, position, alternate"
    rows = store.query(tracks="llr").to_arrow().to_pylist()
    expected = [(row["contig"], row["position"], row["alternate"], row["llr"]) for row in rows]
    assert store.sql(sql).fetchall() == sorted(expected)
    # Merged files are kept for a while, and a file that no catalog names is not there.
    subprocess.run(["cp", "-r", mito / "mito.vestore", tmp_path / "s"], check=True)
    store = vestore.open(tmp_path / "s")
    for part, line in enumerate((mito / "full.tsv").read_text().splitlines()[1:4]):
        file = tmp_path / f"{part}.tsv"
        file.write_text("contig\tposition\treference\talternate\tllr\n" + line.rsplit("\t", 1)[0] + "\n")
        command("import", tmp_path / "s", "--track", f"part{part}", file, "--quiet")
    (segment,) = (tmp_path / "s/scores/track=part0").rglob("*.parquet")
    (segment.parent / "99999999.parquet").write_bytes(segment.read_bytes())
    command("track", "remove", tmp_path / "s", "part2")
    counts = dict(store.sql("select track, count(*) from scores group by 1").fetchall())
    assert counts == {"full": 300, "half": 300, "part0": 1, "part1": 1}


def test_annotate_and_diff(mito, tmp_path):
    store = vestore.open(mito / "mito.vestore")
    store.annotate(mito / "mito.vcf", tmp_path / "out.vcf", tracks="full")
    assert (tmp_path / "out.vcf").read_text().count("full_llr=") == 43
    with pytest.raises(vestore.VestoreError, match="the output exists"):
        store.annotate(mito / "mito.vcf", tmp_path / "out.vcf")
    found = store.diff("full", "half", "llr", regions="MT:1-50")
    assert (found["in_both"], found["pearson"]) == (50, -1.0)


def test_score_returns_the_rows_that_were_asked_for(scored, capfd):
    (base,) = vestore.open(scored).query("1:2440", tracks="llr", limit=1).to_arrow()["reference"].to_pylist()
    variants = [f"1-2440-{base}-{other}" for other in "ACGT" if other != base][:2]
    rows = vestore.score(scored, model="small", variants=variants, window=300, device="cpu", quiet=True)
    assert capfd.readouterr().err == ""
    first = rows.to_arrow()
    again = vestore.score(scored, model="small", variants=first.to_pandas(), window=300, device="cpu").to_arrow()
    assert first.num_rows == 2 and again.equals(first)
    assert "2 variants have a row" in capfd.readouterr().err
    with pytest.raises(vestore.VestoreError, match="no model `none`"):
        vestore.score(scored, model="none", regions="1:1-2", quiet=True)
    with pytest.raises(TypeError, match="either"):
        vestore.score(scored, model="small")


def test_no_answer_keeps_its_columns(mito):
    table = vestore.open(mito / "mito.vestore").query("MT:400-500").to_arrow()
    assert table.num_rows == 0 and table.schema.names[-1] == "cosine"
