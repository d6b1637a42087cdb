"""Look-ups of many variants: `query --variants` and `annotate`, beside joins in DuckDB.

A rate a core is variants by CPU seconds (user and system) of the whole program, reading the VCF and writing the
answer included. DuckDB's joins are timed in a running process, from a table in memory to Arrow.
"""

import json
import os
import sys

import numpy as np
import pyarrow as pa

import data
import digests
import join
import measure
import peers
import tracks

SPARSE = [1_000, 3_000, 10_000, 300_000]
ASKED = [1, 5, 20]  # tracks of 20


def section(table, rows, folder):
    home = os.path.abspath(f"{folder}/lookups-{rows}")
    os.makedirs(home, exist_ok=True)
    bases = data.genome(rows // 3)
    if not os.path.exists(f"{home}/done"):
        data.write_fasta(bases, f"{home}/genome.fa")
        data.write_tables(bases, 1, home, [])
        open(f"{home}/done", "w").close()
    store = peers.Vestore(home)
    store.create()
    store.take_in("p0", f"{home}/scores.parquet", "s0")
    for count in [*(count for count in SPARSE if count < rows), rows]:
        of_many(table, rows, store, bases, count)
    columns(table, rows // 9 * 3, folder)


def words(verb, program, store, query):
    if verb == "annotate":
        return [peers.PROGRAMS[program], "annotate", store.store, query, "-", "--track", "p0"]
    return [peers.PROGRAMS[program], "query", store.store, "--variants", query, "--track", "p0"]


def of_many(table, rows, store, bases, count):
    """Of `count` seeded variants; all of them when `count` is `rows`."""
    query = data.write_query(bases, store.folder, count, name=f"query-{count}")
    dense = count == rows
    what = "all variants" if dense else f"{count:,} sparse variants"
    found = compare(store, query, count)
    turns = 3 if dense else 2 if rows > 30_000_000 else 5
    for verb in ["query --variants", "annotate"]:
        arrow = [] if verb == "annotate" else ["--format", "arrow"]
        costs = measure.in_turns([[words(verb, name, store, query) + arrow for name in peers.PROGRAMS]] * (turns + 1))
        for name, cost in zip(peers.PROGRAMS, costs):
            target, met = goal(verb, rows, count, cost)
            table.add(rows, f"{verb}, {what}", name, figure(count, cost), target, met)
    for kind, label in [("packed", "DuckDB, join by packed keys"), ("own", "DuckDB, join of vestore's files")]:
        if not peers.has("duckdb"):
            table.missing(rows, what, label)
        elif kind == "own" or rows <= 30_000_000:
            duckdb(table, rows, store, query, kind, f"{what}", label, count, found)


def figure(count, cost):
    return f"{count / cost.cpu / 1e6:.3f} M/s a core, {cost.seconds:.3f} s, {cost.peak:.0f} MB"


def goal(verb, rows, count, cost):
    if count == rows:
        return "≥ 5 M/s a core", count / cost.cpu >= 5e6
    if count != 300_000:
        return None, None
    if rows > 30_000_000:
        return "≤ 5 s", cost.seconds <= 5
    return ("≥ 2.4 M/s, VCF to VCF", count / cost.seconds >= 2.4e6) if verb == "annotate" else (None, None)


def compare(store, query, count):
    """Stops when programs, or the two commands, answer otherwise; gives a digest of the scores."""
    peers.same_bytes([words("annotate", name, store, query) for name in peers.PROGRAMS])
    peers.same_bytes([words("query", name, store, query) + ["--format", "tsv"] for name in peers.PROGRAMS])
    out = f"{store.folder}/answer"
    measure.cost_of(words("query", "vestore", store, query) + ["--format", "arrow"], out)
    with open(out, "rb") as file:
        rows = pa.ipc.open_stream(file).read_all()
    if len(rows) != count:
        peers.stop(f"{len(rows)} of {count} variants have rows")
    measure.cost_of(words("annotate", "vestore", store, query), out)
    annotated = peers.annotations(out, "p0_s")
    os.remove(out)
    if None in annotated or not np.array_equal(np.array(annotated, np.float32), rows["s"].to_numpy()):
        peers.stop("query and annotate")
    return digests.of(rows)


def duckdb(table, rows, store, query, kind, what, label, count, found):
    files, asked = store.files("p0"), f"{query}.parquet"
    if not os.path.exists(asked):
        data.write_asked(query, asked)
    if kind == "packed":
        files = f"{store.folder}/packed.parquet"
        if not os.path.exists(files):
            join.pack(store.files("p0"), files)
    for threads in [1, 2]:
        command = [sys.executable, f"{peers.HERE}/join.py", kind, files, asked, threads, 3 if rows <= 30_000_000 else 1]
        answer = json.loads(measure.output_of(command))
        if answer["found"] != count or answer["digest"] != found:
            peers.stop(f"{label}: {answer['found']} of {count}")
        table.add(rows, what, f"{label}, {threads} thread{'s' * (threads > 1)}", figure(count, measure.Cost(*answer["cost"])))


def columns(table, rows, folder):
    """Annotation from a store of 20 tracks: asked for some of them."""
    home = os.path.abspath(f"{folder}/tracks-{rows}")
    most = max(ASKED)
    tracks.prepare(rows, most, home)
    store, alone = peers.Vestore(home, "equal-keys"), peers.Vestore(home, "alone")
    if not os.path.exists(store.store):
        tracks.take_in(rows, most, home, "equal keys")
    alone.create()
    alone.take_in("p0", f"{home}/scores.parquet", "s0")
    count = min(300_000, rows)
    query = data.write_query(data.genome(rows // 3), home, count, name="columns")
    ask = lambda name, where, number: [peers.PROGRAMS[name], "annotate", where.store, query, "-"] + [
        word for track in range(number) for word in ["--track", f"p{track}"]]
    for number in ASKED:
        peers.same_bytes([ask(name, store, number) for name in peers.PROGRAMS])
    peers.same_bytes([ask("vestore", store, 1), ask("vestore", alone, 1)])
    kinds = [(name, where, number) for name in peers.PROGRAMS for where, number in [(alone, 1), *((store, n) for n in ASKED)]]
    costs = dict(zip(kinds, measure.in_turns([[ask(*kind) for kind in kinds]] * 6)))
    for (name, where, number), cost in costs.items():
        what = f"annotate {count // 1000} thousand variants, "
        if where is alone:
            table.add(rows, f"{what}store of one track", name, figure(count, cost))
            continue
        one = costs[name, alone, 1]
        wall, cpu = cost.seconds / one.seconds / number, cost.cpu / one.cpu / number
        said = f"{figure(count, cost)}; a column {wall:.2f} × ({cpu:.2f} × CPU)"
        table.add(rows, f"{what}{number} of {most} tracks", name, said, "≤ 1.3 × one track's store", max(wall, cpu) <= 1.3)
