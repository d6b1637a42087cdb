"""The programs beside which vestore is measured: how each takes the rows in and is asked for them."""

import importlib.util
import json
import os
import shutil
import sys

import numpy as np

import data
import measure

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
VESTORE = os.path.join(ROOT, "target/release/vestore")
WARM = os.path.join(ROOT, "target/release/examples/warm")
PROGRAMS = {"vestore": VESTORE}  # of the new sections: by name, with the older one that was asked for
ECHTVAR = os.environ.get("ECHTVAR", "echtvar")


def has(name):
    """Whether a program, or a module of Python, is installed."""
    return shutil.which(name) is not None or importlib.util.find_spec(name) is not None


def add_old(program):
    """Lets an older program stand beside this one."""
    if program:
        if shutil.which(program) is None:
            sys.exit(f"no such program: {program}")
        PROGRAMS["old"] = os.path.abspath(program)


def warm_of(name):
    """The `warm` example built with a program; None where it does not lie beside it."""
    path = os.path.join(os.path.dirname(PROGRAMS[name]), "examples/warm")
    return path if os.path.exists(path) else None


class Vestore:
    """A store, and its command line."""

    def __init__(self, folder, name="store"):
        self.folder, self.store = folder, f"{folder}/{name}"

    def create(self):
        shutil.rmtree(self.store, ignore_errors=True)
        measure.run([VESTORE, "init", self.store, "--reference", f"{self.folder}/genome.fa"])

    def take_in(self, track, file, column, *more):
        """Seconds and peak memory of importing a column."""
        words = [VESTORE, "import", self.store, "--track", track, file, "--columns", f"s={column}", *more]
        return measure.run(words)

    def size(self, track):
        return data.bytes_of(f"{self.store}/scores/track={track}")

    def files(self, track):
        return f"{self.store}/scores/track={track}/*/*.parquet"

    def ask(self, track, start, end):
        words = [VESTORE, "query", self.store, f"{data.CONTIG}:{start}-{end}"]
        return words + (["--track", track] if track else [])

    def rows(self, track, start, end):
        """Position, reference, alternate, score."""
        text = measure.output_of(self.ask(track, start, end) + ["--format", "tsv"])
        cells = (line.split("\t") for line in text.splitlines()[1:])
        return [(int(cell[1]), cell[2], cell[3], float(cell[7])) for cell in cells]

    def warm(self, regions, *tracks):
        return json.loads(measure.output_of([WARM, self.store, regions, *tracks]))


class Tabix:
    """The same rows as a table, compressed with bgzip and indexed."""

    name, needs = "tabix", "tabix"

    def __init__(self, folder):
        self.path = f"{folder}/scores.tsv.gz"
        self.source = f"{folder}/scores.tsv"

    def take_in(self):
        return measure.run(f"bgzip -@ 2 -c {self.source} > {self.path} && tabix -f -S 1 -s 1 -b 2 -e 2 {self.path}", shell=True)

    def size(self):
        return data.bytes_of(self.path) + data.bytes_of(f"{self.path}.tbi")

    def ask(self, start, end):
        return ["tabix", self.path, f"{data.CONTIG}:{start}-{end}"]

    def rows(self, start, end):
        cells = (line.split("\t") for line in measure.output_of(self.ask(start, end)).splitlines())
        return [(int(cell[1]), cell[2], cell[3], float(cell[4])) for cell in cells]


def warm(peer, files, regions):
    """Seconds of each answer of DuckDB or Polars, and how many rows they had."""
    return json.loads(measure.output_of([sys.executable, f"{HERE}/warm.py", peer, files, regions]))


def duckdb_rows(files, start, end):
    import duckdb
    text = f"select position, reference, alternate, s from read_parquet('{files}') where position between {start} and {end} order by all"
    return duckdb.sql(text).fetchall()


def polars_rows(files, start, end):
    import polars
    rows = polars.scan_parquet(files).filter(polars.col("position").is_between(start, end))
    return rows.select("position", "reference", "alternate", "s").sort("position", "reference", "alternate").collect().rows()


def duckdb_copy(folder):
    """DuckDB writing the sorted rows as Parquet with zstd: seconds, memory, bytes."""
    out = f"{folder}/duckdb.parquet"
    text = (f"copy (select position, reference, alternate, s0 from '{folder}/scores.parquet') to '{out}' "
            "(format parquet, compression zstd)")
    seconds, peak = measure.run([sys.executable, "-c", f"import duckdb; duckdb.sql(\"{text}\")"])
    return seconds, peak, data.bytes_of(out)


def bcftools_annotate(folder, out):
    """Annotation of the query from the same scores as an indexed VCF."""
    scores = f"{folder}/scores.vcf.gz"
    if not os.path.exists(f"{scores}.csi"):
        measure.run(f"bgzip -@ 2 -c {folder}/scores.vcf > {scores} && bcftools index -f {scores}", shell=True)
    query = f"{folder}/query.vcf.gz"
    measure.run(f"bgzip -@ 2 -c {folder}/query.vcf > {query} && bcftools index -f {query}", shell=True)
    return measure.run(["bcftools", "annotate", "-a", scores, "-c", "INFO/S", query, "-Ov", "-o", out])


def echtvar_encode(folder):
    """Seconds, memory and bytes of an echtvar archive of the scores at 0.001."""
    out = f"{folder}/scores.echtvar.zip"
    with open(f"{folder}/echtvar.json", "w") as file:
        file.write('[{"field": "S", "alias": "S", "multiplier": 1000, "zigzag": true}]')
    seconds, peak = measure.run([ECHTVAR, "encode", out, f"{folder}/echtvar.json", f"{folder}/scores.vcf"])
    return seconds, peak, data.bytes_of(out)


def echtvar_annotate(folder, out):
    return measure.run([ECHTVAR, "anno", "-e", f"{folder}/scores.echtvar.zip", f"{folder}/query.vcf", out])


def stop(why):
    sys.exit(f"answers differ: {why}")


def same_bytes(commands):
    """Stops when commands print different bytes; gives how many lines they print."""
    found = {measure.digest_of(command) for command in commands}
    if len(found) > 1:
        stop(" and ".join(" ".join(map(str, command)) for command in commands))
    return found.pop()[1]


def table_of(command):
    """What a command prints as TSV, row by row, as texts by column."""
    lines = measure.output_of([*command, "--format", "tsv"]).splitlines()
    names = lines[0].lstrip("#").split("\t")
    return [dict(zip(names, line.split("\t"))) for line in lines[1:]]


def annotations(path, field):
    """The annotations of a VCF, as float32 or None."""
    found = []
    for line in open(path):
        if not line.startswith("#"):
            info = dict(pair.split("=") for pair in line.split("\t")[7].strip().split(";") if "=" in pair)
            found.append(np.float32(info[field]) if field in info else None)
    return found
