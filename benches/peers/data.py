"""Seeded data: a genome, scores of a small model for all its SNVs, and the files that everybody reads.

The model is a log-odds model: two seeded tables give the logits of a base from the eight bases before and the
eight after it, a float32 log-softmax makes log-probabilities of them, and a score is alternate minus reference,
mean of both strands. So a score depends on the sequence alone, repeats (a tenth of the genome) score alike, and
its low bits are those of float32 arithmetic, as a language model's are. Further tracks are the same model with
half as much of another mixed in, as a pruned or adapted one would be.
"""

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

CONTIG = "chr1"
CONTEXT = 8
CHUNK = 1_000_000  # positions
ALTERNATES = np.array([[b for b in range(4) if b != a] for a in range(4)])
LETTERS = np.frombuffer(b"ACGT", dtype="S1")


def genome(length, seed=1):
    """Bases as numbers 0 to 3; a tenth are copies of earlier stretches of 300."""
    random = np.random.default_rng(seed)
    pieces = (min(CHUNK, length - start) for start in range(0, length, CHUNK))
    bases = np.concatenate([random.choice(4, size=size, p=[0.295, 0.205, 0.205, 0.295]).astype(np.uint8) for size in pieces])
    for at in np.sort(random.integers(length // 10, length - 300, length // 3000)):
        start = random.integers(0, at - 300)
        bases[at:at + 300] = bases[start:start + 300]
    return bases


def write_fasta(bases, path):
    """Lines of 60 bases, with the index beside them."""
    whole = len(bases) // 60 * 60
    with open(path, "wb") as file:
        file.write(f">{CONTIG}\n".encode())
        offset = file.tell()
        for start in range(0, whole, 60 * 100_000):
            lines = LETTERS[bases[start:min(start + 60 * 100_000, whole)]].reshape(-1, 60)
            file.write(np.column_stack([lines, np.full(len(lines), b"\n", "S1")]).tobytes())
        if whole < len(bases):
            file.write(LETTERS[bases[whole:]].tobytes() + b"\n")
    with open(f"{path}.fai", "w") as file:
        file.write(f"{CONTIG}\t{len(bases)}\t{offset}\t60\t61\n")


def tables(seed):
    random = np.random.default_rng(seed)
    return random.normal(0, 0.42, size=(2, 2, 4**CONTEXT, 4)).astype(np.float32)


def log_probabilities(bases, logits):
    """Of each base at each place, from the bases around it; what lies beyond the ends is A."""
    padded = np.concatenate([np.zeros(CONTEXT, int), bases, np.zeros(CONTEXT, int)])
    before = after = np.zeros(len(bases), dtype=np.int64)
    for step in range(CONTEXT):
        before = before * 4 + padded[step:step + len(bases)]
        after = after * 4 + padded[2 * CONTEXT - step:2 * CONTEXT - step + len(bases)]
    found = logits[0][before] + logits[1][after]
    return found - np.log(np.exp(found).sum(axis=1, dtype=np.float32))[:, None]


def scores(bases, logits):
    """Log-odds of the three alternates of each base, three in a row."""
    odds = []
    for strand, table in enumerate(logits):
        stretch = (3 - bases[::-1]) if strand else bases
        found = log_probabilities(stretch, table)
        odds.append(found[::-1, ::-1] if strand else found)
    each = []
    for found in odds:
        places = np.arange(len(bases))
        each.append(found[places[:, None], ALTERNATES[bases]] - found[places, bases][:, None])
    return ((each[0] + each[1]) / np.float32(2)).reshape(-1)


def model(number):
    """The tables of a track's model."""
    first = tables(10)
    return (first + tables(10 + number) / 2) / np.float32(1.118) if number else first


def mixtures(number):
    """Weights of four models in each of many tracks, which cost less than a model each."""
    return np.random.default_rng(9).dirichlet(np.full(4, 0.7), number).astype(np.float32)


def batches(bases, tracks, mixed=0):
    """Tables of all SNVs in order: contig, position (1-based), reference, alternate, one score a track.

    `tracks` are numbers of tracks; with `mixed` there are so many, of mixed scores of the first four.
    """
    models = {number: model(number) for number in (range(4) if mixed else tracks)}
    for start in range(0, len(bases), CHUNK):
        low, high = max(0, start - CONTEXT), min(len(bases), start + CHUNK + CONTEXT)
        stretch = bases[low:high]
        keep = slice(3 * (start - low), 3 * (start - low + min(CHUNK, len(bases) - start)))
        here = bases[start:start + CHUNK]
        letters = pa.array(["A", "C", "G", "T"])
        text = lambda codes: pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8()), letters).cast(pa.string())
        columns = {
            "contig": pa.array([CONTIG]).take(pa.array(np.zeros(3 * len(here), int))),
            "position": pa.array(np.repeat(np.arange(start + 1, start + len(here) + 1, dtype=np.int32), 3)),
            "reference": text(np.repeat(here, 3)),
            "alternate": text(ALTERNATES[here].reshape(-1)),
        }
        found = {number: scores(stretch, logits)[keep] for number, logits in models.items()}
        if mixed:
            whole = np.stack(list(found.values()))
            found = {number: weights @ whole for number, weights in enumerate(mixtures(mixed))}
        for number, column in found.items():
            columns[f"s{number}"] = pa.array(column)
        yield pa.table(columns)


def write_tables(bases, tracks, folder, texts):
    """Sorted Parquet as pyarrow writes it by default; the first track as TSV and VCF too, as far as `texts` says."""
    options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
    parquet = tsv = vcf = None
    for table in batches(bases, range(tracks)):
        if parquet is None:
            parquet = pyarrow.parquet.ParquetWriter(f"{folder}/scores.parquet", table.schema)
            if "tsv" in texts:
                tsv = open(f"{folder}/scores.tsv", "wb")
                tsv.write(b"#contig\tposition\treference\talternate\ts0\n")
            if "vcf" in texts:
                vcf = open(f"{folder}/scores.vcf", "wb")
                vcf.write(vcf_header(len(bases), score=True).encode())
        parquet.write_table(table)
        five = table.select(["contig", "position", "reference", "alternate", "s0"])
        if "tsv" in texts:
            pyarrow.csv.write_csv(five, tsv, options)
        if "vcf" in texts:
            pyarrow.csv.write_csv(vcf_columns(five), vcf, options)
    for file in filter(None, [parquet, tsv, vcf]):
        file.close()


def write_large(bases, path, tracks=(), mixed=0):
    """Parquet alone, written as cheaply as it can be: only what repeats is encoded."""
    writer = None
    for table in batches(bases, tracks, mixed):
        if writer is None:
            few, steps = ["contig", "reference", "alternate"], {"position": "DELTA_BINARY_PACKED"}
            writer = pyarrow.parquet.ParquetWriter(path, table.schema, use_dictionary=few, column_encoding=steps)
        writer.write_table(table)
    writer.close()


def vcf_header(length, score=False):
    info = '##INFO=<ID=S,Number=A,Type=Float,Description="score">\n' if score else ""
    contig = f"##contig=<ID={CONTIG},length={length}>\n"
    return f"##fileformat=VCFv4.2\n{info}{contig}#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def vcf_columns(table):
    dot = pa.array(["."]).take(pa.array(np.zeros(len(table), int)))
    info = dot
    if "s0" in table.column_names:
        info = pa.compute.binary_join_element_wise("S=", table["s0"].cast(pa.string()), "")
    return pa.table({"c": table["contig"], "p": table["position"], "i": dot, "r": table["reference"],
                     "a": table["alternate"], "q": dot, "f": dot, "n": info})


def write_query(bases, folder, count, seed=5, name="query"):
    """A VCF of `count` of the SNVs, in order."""
    random = np.random.default_rng(seed)
    picked = np.sort(random.choice(3 * len(bases), size=min(count, 3 * len(bases)), replace=False))
    here = bases[picked // 3]
    table = pa.table({
        "contig": pa.array([CONTIG]).take(pa.array(np.zeros(len(picked), int))),
        "position": pa.array((picked // 3 + 1).astype(np.int32)),
        "reference": pa.array(LETTERS[here].astype(str)),
        "alternate": pa.array(LETTERS[ALTERNATES[here, picked % 3]].astype(str)),
    })
    path = f"{folder}/{name}.vcf"
    with open(path, "wb") as file:
        file.write(vcf_header(len(bases)).encode())
        options = pyarrow.csv.WriteOptions(include_header=False, delimiter="\t", quoting_style="none")
        pyarrow.csv.write_csv(vcf_columns(table), file, options)
    return path


def write_asked(query, path):
    """The variants of a VCF as Parquet."""
    read = pyarrow.csv.ReadOptions(column_names=["contig", "position", "id", "reference", "alternate", "q", "f", "i"],
                                   skip_rows=sum(line.startswith("#") for line in open(query)))
    rows = pyarrow.csv.read_csv(query, read, pyarrow.csv.ParseOptions(delimiter="\t"))
    pyarrow.parquet.write_table(rows.select(["position", "reference", "alternate"]), path)


def places(length, width, count, seed):
    """1-based inclusive regions."""
    starts = np.random.default_rng(seed).integers(1, length - width, count)
    return [(int(start), int(start) + width - 1) for start in starts]


def bytes_of(path):
    """Bytes of a file, or of all files of a folder."""
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)
