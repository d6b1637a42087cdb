"""What must work at any size: a billion rows in one track, and in fifty.

The inputs are written when they are needed and deleted once imported (4.5 bytes a row). A store that was imported is
kept for the next run, which then has no row of its import: delete the folder to measure that again. Reading is
done in turns with the older program, and with a store of 3 million rows.
"""

import os

import data
import lookups
import measure
import peers

SMALL = 3_000_000  # rows
WIDTHS = {"one position": 1, "10 kb": 10_000, "200 kb": 200_000}
PLACES = 15
SLOWER = 1.2  # than the small store, at most
EXPORTED = 9_999_999  # rows
WHERE = "s < -1.5"
TRACKS = 50


def take_in(table, rows, store, tracks, bases, mixed=0):
    """Imports tracks from a file written for them, unless they are there."""
    done, path = f"{store.folder}/imported-{tracks[0]}", f"{store.folder}/scores.parquet"
    if os.path.exists(done):
        return
    if not os.path.exists(path):
        data.write_large(bases, f"{path}.new", tracks, mixed)
        os.rename(f"{path}.new", path)
    if not os.path.exists(store.store):
        data.write_fasta(bases, f"{store.folder}/genome.fa")
        store.create()
    runs = [store.take_in(f"p{track}", path, f"s{track}") for track in tracks]
    seconds, peak = sum(run[0] for run in runs), max(run[1] for run in runs)
    what = f"import of {len(tracks)} tracks" if mixed else f"import of track {tracks[0] + 1}"
    rate = rows * len(tracks) / seconds
    table.add(rows, f"{what}, sorted Parquet, REF checked", "vestore", f"{rate / 1e6:.2f} M rows/s, {seconds:.0f} s, {peak:.0f} MB")
    os.remove(path)
    open(done, "w").close()


def small_store(folder):
    """Of the same model, to compare with."""
    home = f"{folder}/small"
    os.makedirs(home, exist_ok=True)
    bases, store = data.genome(SMALL // 3), peers.Vestore(home)
    if not os.path.exists(store.store):
        data.write_large(bases, f"{home}/scores.parquet", [0])
        data.write_fasta(bases, f"{home}/genome.fa")
        store.create()
        store.take_in("p0", f"{home}/scores.parquet", "s0")
        os.remove(f"{home}/scores.parquet")
    return store


def one(table, rows, folder):
    """One track of `rows`, and a second one for `diff`."""
    store, bases, small = peers.Vestore(folder), data.genome(rows // 3), small_store(folder)
    take_in(table, rows, store, [0], bases)
    table.add(rows, "bytes a variant, lossless", "vestore", f"{store.size('p0') / rows:.2f}")
    keep(table, rows, store)
    for what, width in WIDTHS.items():
        regions(table, rows, store, small, what, width)
    everything(table, rows, store, small, "query --count", "--count")
    everything(table, rows, store, small, f'query --where "{WHERE}" --count', "--where", WHERE, "--count")
    export(table, rows, store)
    for count in lookups.SPARSE:
        lookups.of_many(table, rows, store, bases, count)
    take_in(table, rows, store, [1], bases)
    differ(table, rows, store)


def keep(table, rows, store):
    """Compacting, by this program alone, and verifying."""
    seconds, peak = measure.run([peers.VESTORE, "compact", store.store, "--quiet"])
    table.add(rows, "compact", "vestore", f"{seconds:.2f} s, {peak:.0f} MB")
    words = [[program, "verify", store.store, "--quiet"] for program in peers.PROGRAMS.values()]
    for name, cost in zip(peers.PROGRAMS, measure.in_turns([words] * 2)):
        table.add(rows, "verify", name, said(cost))


def said(cost):
    return f"{cost.seconds:.2f} s, {cost.cpu:.2f} s CPU, {cost.peak:.0f} MB"


def query(program, store, *more):
    return [peers.PROGRAMS[program], "query", store.store, "--track", "p0", *more]


def regions(table, rows, store, small, what, width):
    """Beside the same questions to the small store."""
    asked = [(rows, store), (SMALL, small)]
    kinds = [(name, size) for size, _ in asked for name in peers.PROGRAMS]
    rounds = [[] for _ in range(PLACES + 1)]
    for size, where in asked:
        for (start, end), commands in zip(data.places(size // 3, width, PLACES + 1, 2), rounds):
            words = lambda name, form: query(name, where, f"{data.CONTIG}:{start}-{end}", "--format", form)
            if peers.same_bytes([words(name, "tsv") for name in peers.PROGRAMS]) != 3 * width + 1:
                peers.stop(f"rows are missing at {start}-{end}")
            commands += [words(name, "arrow") for name in peers.PROGRAMS]
    costs = dict(zip(kinds, measure.in_turns(rounds)))
    for name in peers.PROGRAMS:
        cost, other = costs[name, rows], costs[name, SMALL]
        ratio = cost.seconds / other.seconds
        figure = f"{cost.seconds * 1000:.2f} ms, {cost.cpu * 1000:.2f} ms CPU, {cost.peak:.0f} MB"
        table.add(rows, f"cold, {what}", name, figure, f"≤ {SLOWER} × 3 M: {ratio:.2f} ×", ratio <= SLOWER)


def everything(table, rows, store, small, what, *more):
    """A command over all rows, by row beside the small store."""
    words = [query(name, where, *more) for name in peers.PROGRAMS for where in (store, small)]
    peers.same_bytes(words[::2])
    costs = measure.in_turns([words] * 3)
    for number, name in enumerate(peers.PROGRAMS):
        cost, other = costs[2 * number:2 * number + 2]
        ratio = cost.seconds / rows / (other.seconds / SMALL)
        table.add(rows, what, name, said(cost), f"≤ {SLOWER} × 3 M a row: {ratio:.2f} ×", ratio <= SLOWER)


def export(table, rows, store):
    """A region of 10 million rows to a file of Arrow."""
    region, out = f"{data.CONTIG}:{rows // 9}-{rows // 9 + EXPORTED // 3 - 1}", f"{store.folder}/export.arrow"
    words = [[program, "export", store.store, region, "--track", "p0", "-o", out, "--force"] for program in peers.PROGRAMS.values()]
    peers.same_bytes([[*command[:6], "-o", "-", "--format", "tsv"] for command in words])
    for name, cost in zip(peers.PROGRAMS, measure.in_turns([words] * 3)):
        table.add(rows, f"export of {EXPORTED / 1e6:.0f} M rows as Arrow, {data.bytes_of(out) / 1e6:.0f} MB", name, said(cost))
    os.remove(out)


def differ(table, rows, store):
    words = [[program, "diff", store.store, "p0", "p1", "--score", "s", "--format", "json"] for program in peers.PROGRAMS.values()]
    peers.same_bytes(words)
    for name, cost in zip(peers.PROGRAMS, measure.in_turns([words] * 2)):
        table.add(rows, "diff of two tracks", name, said(cost))


def many(table, rows, folder):
    """Fifty tracks of `rows`, of mixed models; queries are wide."""
    home = os.path.abspath(f"{folder}/fifty-{rows}")
    os.makedirs(home, exist_ok=True)
    store, bases = peers.Vestore(home), data.genome(rows // 3)
    take_in(table, rows, store, list(range(TRACKS)), bases, mixed=TRACKS)
    table.add(rows, f"bytes a cell, {TRACKS} tracks", "vestore", f"{data.bytes_of(f'{store.store}/scores') / rows / TRACKS:.2f}")
    keep(table, rows, store)
    for what, width in list(WIDTHS.items())[:2]:
        kinds, rounds = [(name, tracks) for name in peers.PROGRAMS for tracks in (1, TRACKS)], []
        for start, end in data.places(rows // 3, width, 6, 2):
            region = f"{data.CONTIG}:{start}-{end}"
            wide = lambda name, *more: [peers.PROGRAMS[name], "query", store.store, region, "--wide", *more]
            if peers.same_bytes([wide(name, "--format", "tsv") for name in peers.PROGRAMS]) != 3 * width + 1:
                peers.stop(f"rows are missing at {region}")
            alone = lambda tracks: ["--track", "p0"] if tracks == 1 else []
            rounds.append([wide(name, "--format", "arrow", *alone(tracks)) for name, tracks in kinds])
        costs = dict(zip(kinds, measure.in_turns(rounds)))
        for name in peers.PROGRAMS:
            cost, alone = costs[name, TRACKS], costs[name, 1]
            ratio = max(cost.seconds / alone.seconds, cost.cpu / alone.cpu) / TRACKS
            figure = f"{cost.seconds * 1000:.1f} ms, {cost.cpu * 1000:.1f} ms CPU, {cost.peak:.0f} MB"
            target = f"≤ 1.3 × one track's cell: {ratio:.2f} ×"
            table.add(rows, f"cold, {what} wide over {TRACKS} tracks", name, figure, target, ratio <= 1.3)
