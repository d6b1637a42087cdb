"""`make bench-store`: the store beside the programs that people use, on the same rows.

    python3 benches/peers [--folder DIR] [--rows N[,N]] [--tracks N] [--old PROGRAM] [--only SECTION,…]

Answers are compared before anything is timed. What is not installed gets a row that says so. Everything is
read from a warm page cache. Rows are SNVs of a seeded genome with scores of a small model (`data.py`).
"""

import argparse
import json
import os
import sys
import time

import numpy as np

import data
import large
import lookups
import measure
import peers
import tracks
from table import Table

WIDTHS = {"one variant": 1, "10 kb": 10_000, "200 kb": 200_000}
COLD = {"one variant": 6, "10 kb": 12, "200 kb": 60}
WARM = {"one variant": 1, "10 kb": 2.5, "200 kb": 30}
QUESTIONS = {"one variant": 60, "10 kb": 60, "200 kb": 30}
QUERY_ROWS = 300_000


def same(ours, theirs, what):
    """Stops when two answers differ; scores are compared as float32."""
    plain = lambda rows: [(*row[:3], np.float32(row[3])) for row in rows]
    if plain(ours) != plain(theirs):
        sys.exit(f"{what} answers otherwise: {len(ours)} rows and {len(theirs)}")


def take_in(table, rows, folder, tracks):
    """Imports all tracks; gives the store."""
    store = peers.Vestore(folder)
    store.create()
    for track in range(tracks):
        seconds, peak = store.take_in(f"p{track}", f"{folder}/scores.parquet", f"s{track}")
        if track == 0:
            rate = rows / seconds
            figure = f"{rate / 1e6:.2f} M rows/s, {peak:.0f} MB"
            table.add(rows, "import of sorted Parquet, REF checked", "vestore", figure, "≥ 1 M/s", rate >= 1e6)
            size = store.size("p0") / rows
            table.add(rows, "bytes a variant, lossless", "vestore", f"{size:.2f}", "≤ 3.4", size <= 3.4)
    if peers.has("duckdb"):
        seconds, peak, size = peers.duckdb_copy(folder)
        table.add(rows, "write as Parquet, REF not checked", "DuckDB", f"{rows / seconds / 1e6:.2f} M rows/s, {peak:.0f} MB")
        table.add(rows, "bytes a variant, lossless, without status", "DuckDB, zstd", f"{size / rows:.2f}")
    else:
        table.missing(rows, "write as Parquet", "DuckDB")
    return store


def take_in_text(table, rows, folder):
    """TSV, VCF, and rounded: into a store of their own."""
    extra = peers.Vestore(folder, "extra")
    extra.create()
    for track, file, column in [("tsv", "scores.tsv", "s0"), ("vcf", "scores.vcf", "S")]:
        seconds, peak = extra.take_in(track, f"{folder}/{file}", column)
        figure = f"{rows / seconds / 1e6:.2f} M rows/s, {peak:.0f} MB"
        table.add(rows, f"import of sorted {track.upper()}, REF checked", "vestore", figure)
    extra.take_in("rounded", f"{folder}/scores.parquet", "s0", "--precision", "0.001")
    size = extra.size("rounded") / rows
    table.add(rows, "bytes a variant at 0.001", "vestore", f"{size:.2f}", "≤ 2.0", size <= 2.0)
    if peers.has(peers.ECHTVAR):
        seconds, peak, size = peers.echtvar_encode(folder)
        table.add(rows, "encode VCF", "echtvar", f"{rows / seconds / 1e6:.2f} M rows/s, {peak:.0f} MB")
        table.add(rows, "bytes a variant at 0.001", "echtvar", f"{size / rows:.2f}")
    else:
        table.missing(rows, "encode VCF", "echtvar")


def tabix(table, rows, folder):
    if not peers.has("tabix"):
        table.missing(rows, "index TSV", "bgzip, tabix")
        return None
    peer = peers.Tabix(folder)
    seconds, peak = peer.take_in()
    table.add(rows, "compress and index TSV", "bgzip -@ 2, tabix", f"{rows / seconds / 1e6:.2f} M rows/s, {peak:.0f} MB")
    table.add(rows, "bytes a variant, as text", "bgzip, tabix", f"{peer.size() / rows:.2f}")
    return peer


def regions(length, what, seed):
    return data.places(length, WIDTHS[what], QUESTIONS[what], seed)


def compare(store, peer, length, what):
    """Stops when somebody answers otherwise."""
    for start, end in regions(length, what, 1)[:3]:
        ours = store.rows("p0", start, end)
        if len(ours) != 3 * (end - start + 1):
            sys.exit(f"{len(ours)} rows at {start}-{end}")
        if peer:
            same(ours, peer.rows(start, end), "tabix")
        if peers.has("duckdb"):
            same(ours, peers.duckdb_rows(store.files("p0"), start, end), "DuckDB")
        if peers.has("polars"):
            same(ours, peers.polars_rows(store.files("p0"), start, end), "Polars")


def ask(table, rows, folder, store, tracks, before):
    """Cold and warm answers of everybody; gives our medians."""
    length, medians = rows // 3, {}
    of = f" of one track of {tracks}" if tracks > 1 else ""
    peer = tabix(table, rows, folder)

    def ours(temperature, what, seconds, target, fastest=None):
        middle, late = measure.milliseconds(seconds)
        medians[temperature, what] = middle
        met = middle <= target and (fastest is None or middle <= fastest)
        if before:
            ratio = middle / before[temperature, what]
            met, target = ratio <= 1.5, f"≤ 1.5 × 3 M, 1 track: {ratio:.2f} ×"
        else:
            target = f"≤ {target} ms and fastest"
        table.add(rows, f"{temperature}, {what}{of}", "vestore", f"{middle:.2f} / {late:.2f} ms", target, met)

    for what in WIDTHS:
        compare(store, peer, length, what)
        places = regions(length, what, 2)
        timed = lambda words: [measure.seconds_of(words(*place)) for place in places]
        timed(lambda start, end: store.ask("p0", start, end) + ["--format", "arrow"])
        cold = timed(lambda start, end: store.ask("p0", start, end) + ["--format", "arrow"])
        theirs = timed(peer.ask) if peer else None
        ours("cold", what, cold, COLD[what], measure.milliseconds(theirs)[0] if theirs else None)
        if theirs:
            table.add(rows, f"cold, {what}", "tabix", "%.2f / %.2f ms" % measure.milliseconds(theirs))
        else:
            table.missing(rows, f"cold, {what}", "tabix")
    for what in WIDTHS:
        path = f"{folder}/regions.txt"
        with open(path, "w") as file:
            file.writelines(f"{data.CONTIG}:{start}-{end}\n" for start, end in regions(length, what, 3))
        found = store.warm(path, "p0")
        skip = len(found["seconds"]) // 6  # first questions open files and fill caches, everybody's
        fastest, lines = None, []
        for peer_name in ["duckdb", "polars"]:
            label = {"duckdb": "DuckDB", "polars": "Polars"}[peer_name]
            if not peers.has(peer_name):
                lines.append((label, None))
                continue
            theirs = peers.warm(peer_name, store.files("p0"), path)
            if theirs["rows"] != found["rows"]:
                sys.exit(f"{label} finds other rows")
            figures = measure.milliseconds(theirs["seconds"][skip:])
            fastest = min(figures[0], fastest or figures[0])
            lines.append((label, figures))
        ours("warm", what, found["seconds"][skip:], WARM[what], fastest)
        for label, figures in lines:
            if figures is None:
                table.missing(rows, f"warm, {what}", label)
            else:
                table.add(rows, f"warm, {what}", label, "%.2f / %.2f ms" % figures)
        if tracks > 1:
            every = store.warm(path)["seconds"][skip:]
            figure = "%.2f / %.2f ms" % measure.milliseconds(every)
            table.add(rows, f"warm, {what} of all {tracks} tracks, {tracks} × the rows", "vestore", figure)
    return medians


def annotate(table, rows, folder, store, bases):
    count = min(QUERY_ROWS, rows)
    query, out = data.write_query(bases, folder, count), f"{folder}/annotated.vcf"
    what = f"annotate {count // 1000} thousand sparse variants"
    words = [peers.VESTORE, "annotate", store.store, query, out, "--force"]
    measure.run(words)
    runs = sorted(measure.run(words) for _ in range(5))
    seconds, peak = runs[len(runs) // 2]
    rate = count / seconds
    figure = f"{rate / 1000:.0f} thousand/s, {max(run[1] for run in runs):.0f} MB"
    table.add(rows, f"{what}, VCF to VCF", "vestore", figure, "≥ 800 thousand/s, < 100 MB", rate >= 8e5 and peak < 100)
    ours = peers.annotations(out, "p0_s")
    if len(ours) != count or None in ours:
        sys.exit("annotation left variants out")
    if peers.has("bcftools") and peers.has("bgzip"):
        theirs = f"{folder}/bcftools.vcf"
        peers.bcftools_annotate(folder, theirs)
        seconds, peak = peers.bcftools_annotate(folder, theirs)
        near = np.isclose(peers.annotations(theirs, "S"), ours, rtol=1e-5, atol=0)  # bcftools prints six digits
        if not near.all():
            sys.exit("bcftools annotates otherwise")
        table.add(rows, f"{what}, VCF to VCF", "bcftools annotate", f"{count / seconds / 1000:.0f} thousand/s, {peak:.0f} MB")
    else:
        table.missing(rows, what, "bcftools annotate")
    if peers.has(peers.ECHTVAR):
        seconds, peak = peers.echtvar_annotate(folder, f"{folder}/echtvar.vcf")
        table.add(rows, what, "echtvar anno", f"{count / seconds / 1000:.0f} thousand/s, {peak:.0f} MB")
    else:
        table.missing(rows, what, "echtvar anno")


def diff(table, rows, store):
    """Difference of two tracks; the correlation is checked against NumPy's."""
    words = [peers.VESTORE, "diff", store.store, "p0", "p1", "--score", "s", "--format", "json"]
    found = json.loads(measure.output_of(words))
    if rows <= 3_000_000:
        import pyarrow.parquet
        both = pyarrow.parquet.read_table(f"{store.folder}/scores.parquet", columns=["s0", "s1"])
        pearson = np.corrcoef(both["s0"].to_numpy().astype(float), both["s1"].to_numpy().astype(float))[0, 1]
        if abs(pearson - found["pearson"]) > 1e-6:
            sys.exit(f"diff says {found['pearson']}, NumPy {pearson}")
    seconds, peak = measure.run(words)
    met = (seconds < 10 and peak < 300) if rows == 30_000_000 else None
    target = "< 10 s, < 300 MB" if rows == 30_000_000 else None
    table.add(rows, "diff of two tracks", "vestore", f"{seconds:.1f} s, {peak:.0f} MB", target, met)


def usual(table, rows, folder, number_of_tracks, before):
    """Everything that fits 30 million rows; `before` holds the medians of the first size."""
    first = before is None
    bases = data.genome(rows // 3)  # three SNVs a base
    if not os.path.exists(f"{folder}/done"):
        data.write_fasta(bases, f"{folder}/genome.fa")
        data.write_tables(bases, number_of_tracks, folder, ["tsv", "vcf"] if first else ["tsv"])
        open(f"{folder}/done", "w").close()
    store = take_in(table, rows, folder, 1 if first else number_of_tracks)
    if first:
        take_in_text(table, rows, folder)
    medians = ask(table, rows, folder, store, 1 if first else number_of_tracks, before)
    if first:
        annotate(table, rows, folder, store, bases)
        store.take_in("p1", f"{folder}/scores.parquet", "s1")
    diff(table, rows, store)
    return before or medians


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--folder", default=".work/bench-store", help="where data goes; kept for the next run")
    arguments.add_argument("--rows", default="3000000,30000000")
    arguments.add_argument("--tracks", type=int, default=5, help="tracks beside the smallest size")
    arguments.add_argument("--old", default=os.environ.get("OLD"), help="an older program to stand beside this one")
    arguments.add_argument("--only", default="", help="of store,tracks,lookups,large,many; by default what the rows allow")
    asked = arguments.parse_args()
    peers.add_old(asked.old)
    table, before = Table(), None
    wanted = lambda section: not asked.only or section in asked.only.split(",")
    for number, rows in enumerate(int(rows) // 3 * 3 for rows in asked.rows.split(",")):
        folder = os.path.abspath(f"{asked.folder}/{rows}")
        os.makedirs(folder, exist_ok=True)
        if rows > 30_000_000:
            if wanted("large"):
                large.one(table, rows, folder)
            if wanted("many"):
                large.many(table, min(rows // 50, 20_000_000) // 3 * 3, asked.folder)
            continue
        if wanted("store"):
            before = usual(table, rows, folder, 2 if number == 0 else asked.tracks, before)
        if number == 0 and wanted("tracks"):
            tracks.section(table, rows, asked.folder)
        if number == 0 and wanted("lookups"):
            lookups.section(table, rows, asked.folder)
    with open(f"{asked.folder}/figures.json", "w") as file:
        json.dump({"when": time.time(), "rows": table.rows}, file)


if __name__ == "__main__":
    main()
