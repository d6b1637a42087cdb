"""Several tracks at once: what a cell (a row of one track) costs beside one track's, in time and in CPU time.

Tracks have equal keys, or each lacks a seeded 30 % of the variants. Cells are counted as rows of the long form,
also where the answer is wide, so an empty field of a wide row counts as nothing. One track is asked in the same
form, from the same store, in turns with the several.
"""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet

import data
import measure
import peers

AT_MOST = 1.3
WIDTHS = {"one position": 1, "10 kb": 10_000, "200 kb": 200_000}
PLACES = {"one position": 12, "10 kb": 12, "200 kb": 6}
TURNS = 3  # of the whole contig
WARM = 30  # questions
GAP = 0.3


def section(table, rows, folder):
    """2 and 5 tracks of `rows`, 20 of a third as many."""
    for rows, numbers in [(rows, [2, 5]), (rows // 9 * 3, [20])]:
        home = os.path.abspath(f"{folder}/tracks-{rows}")
        prepare(rows, max(numbers), home)
        for keys in ["equal keys", "different keys"]:
            store = take_in(rows, max(numbers), home, keys)
            for number in numbers:
                compare(store, number, rows)
                for form in ["long", "wide"]:
                    cold(table, rows, store, number, keys, form)
                    warm(table, rows, store, number, keys, form)


def prepare(rows, number, home):
    os.makedirs(home, exist_ok=True)
    if os.path.exists(f"{home}/done"):
        return
    bases = data.genome(rows // 3)
    data.write_fasta(bases, f"{home}/genome.fa")
    data.write_tables(bases, number, home, [])
    random = np.random.default_rng(7)
    for track in range(number):
        names = ["contig", "position", "reference", "alternate", f"s{track}"]
        some = pa.parquet.read_table(f"{home}/scores.parquet", columns=names)
        pa.parquet.write_table(some.filter(pa.array(random.random(rows) >= GAP)), f"{home}/gaps-{track}.parquet")
    open(f"{home}/done", "w").close()


def take_in(rows, number, home, keys):
    store = peers.Vestore(home, keys.replace(" ", "-"))
    store.create()
    for track in range(number):
        file = "scores" if keys == "equal keys" else f"gaps-{track}"
        store.take_in(f"p{track}", f"{home}/{file}.parquet", f"s{track}")
    return store


def ask(program, store, number, form, place=None):
    region = [f"{data.CONTIG}:{place[0]}-{place[1]}"] if place else []
    names = [word for track in range(number) for word in ["--track", f"p{track}"]]
    wide = ["--wide"] if form == "wide" else []
    return [peers.PROGRAMS[program], "query", store.store, *region, *names, *wide]


def compare(store, number, rows):
    """Stops when programs, forms or DuckDB answer otherwise."""
    for form in ["long", "wide"]:
        for place in [None, *data.places(rows // 3, 10_000, 2, 1)]:
            words = [ask(name, store, number, form, place) + ["--format", "tsv"] for name in peers.PROGRAMS]
            peers.same_bytes(words)
    start, end = data.places(rows // 3, 10_000, 1, 1)[0]
    cells = lambda form: peers.table_of(ask("vestore", store, number, form, (start, end)))
    long, wide = cells("long"), cells("wide")
    ours = sorted((int(row["position"]), row["alternate"], row["track"], row["s"]) for row in long)
    spread = sorted(
        (int(row["position"]), row["alternate"], f"p{track}", row[f"p{track}.s"])
        for row in wide for track in range(number) if row[f"p{track}.status"] not in ("", ".")
    )
    if ours != spread:
        peers.stop(f"{len(ours)} cells in long form and {len(spread)} in wide")
    if peers.has("duckdb"):
        theirs = []
        for track in range(number):
            theirs += [(row[0], row[2], f"p{track}", np.float32(row[3])) for row in peers.duckdb_rows(store.files(f"p{track}"), start, end)]
        if [(*row[:3], np.float32(row[3])) for row in ours] != sorted(theirs):
            peers.stop("DuckDB finds other rows")


def ratios(one, several, cells_of_one, cells):
    return tuple(more / cells / (less / cells_of_one) for less, more in zip(one[:2], several[:2]))


def count(store, number, place):
    return int(measure.output_of(ask("vestore", store, number, "long", place) + ["--count"]))


def cold(table, rows, store, number, keys, form):
    found = {name: [] for name in peers.PROGRAMS}  # (width, ratios, cost, cells)
    for what in [*WIDTHS, "all"]:
        places = [None] * TURNS if what == "all" else data.places(rows // 3, WIDTHS[what], PLACES[what], 2)
        kinds = [(name, tracks) for name in peers.PROGRAMS for tracks in (1, number)]
        words = lambda name, tracks, place: ask(name, store, tracks, form, place) + ["--format", "arrow"]
        rounds = [[words(*kind, place) for kind in kinds] for place in [places[0], *places]]
        costs = dict(zip(kinds, measure.in_turns(rounds)))
        cells = [np.mean([count(store, tracks, place) for place in places[:1 if what == "all" else None]]) for tracks in (1, number)]
        for name in peers.PROGRAMS:
            one, several = (costs[name, tracks] for tracks in (1, number))
            found[name].append((what, ratios(one, several, *cells), several, cells[1]))
    for name, figures in found.items():
        report(table, rows, f"cold, {number} tracks, {keys}, {form}", name, figures)


def report(table, rows, what, name, figures):
    """The ratios of all widths, and what a cell of the last costs."""
    said = "; ".join(f"{width} {wall:.2f} × ({cpu:.2f} × CPU)" for width, (wall, cpu), _, _ in figures)
    _, _, cost, cells = figures[-1]
    said += f"; {cost.seconds / cells * 1e9:.0f} ns ({cost.cpu / cells * 1e9:.0f} ns CPU) a cell of the last, {cost.peak:.0f} MB"
    met = all(max(ratio) <= AT_MOST for _, ratio, _, _ in figures)
    table.add(rows, what, name, said, f"≤ {AT_MOST} × one track's cell", met)


def warm(table, rows, store, number, keys, form):
    programs = {name: peers.warm_of(name) for name in peers.PROGRAMS}
    found = {name: [] for name in programs if programs[name]}
    regions, out = f"{store.folder}/regions.txt", f"{store.folder}/warm.json"
    for what in WIDTHS:
        places = data.places(rows // 3, WIDTHS[what], WARM, 3)
        with open(regions, "w") as file:
            file.writelines(f"{data.CONTIG}:{start}-{end}\n" for start, end in places)
        cells = [np.mean([count(store, tracks, place) for place in places]) for tracks in (1, number)]
        costs = {(name, tracks): [] for name in found for tracks in (1, number)}
        for turn in range(TURNS):
            for name, tracks in costs:
                names = [f"p{track}" for track in range(tracks)]
                wide = ["--wide"] if form == "wide" else []
                words = [programs[name], *wide, store.store, regions, *names]
                cost = measure.cost_of(words, out)._replace(peak=0 if turn else measure.run(words)[1])
                seconds = json.load(open(out))["seconds"][WARM // 6:]  # the first open files and fill caches
                costs[name, tracks].append(measure.Cost(float(np.median(seconds)), cost.cpu / WARM, cost.peak))
        for name in found:
            one, several = (measure.middle(costs[name, tracks]) for tracks in (1, number))
            found[name].append((what, ratios(one, several, *cells), several, cells[1]))
    for name, path in programs.items():
        if path:
            report(table, rows, f"warm, {number} tracks, {keys}, {form}", name, found[name])
        else:
            table.missing(rows, f"warm, {number} tracks, {keys}, {form}", f"{name}'s examples/warm")
