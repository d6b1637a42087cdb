"""A genome, measurements and windows from a seed, and what a model learns of them, computed base by base."""

import json

import numpy

CONTIG = "chr1"
BIN = {"borzoi": 32, "enformer": 128}
# By target: clip, clip_soft, scale, sum_stat and strand_pair; limits are low enough that some bins meet them.
TARGETS = {
    "cage+": (5, 4, 0.5, "sum_sqrt", 1),
    "cage-": (5, 4, 0.5, "sum_sqrt", 0),
    "dnase": (3, 2.5, 2, "mean", 2),
    "rna": (14, 12, 0.3, "sum", 3),
}


def write(folder, family, window, splits, bins, seed):
    """Writes genome.fa, a bedGraph per target, targets.txt, sequences.bed and windows.npz into `folder`. `splits` says
    what each window is for; `bins` in the middle of each are learned."""
    random = numpy.random.default_rng(seed)
    length = window * len(splits)
    codes = random.integers(0, 4, length).astype(numpy.uint8)
    # Two whole bins without a base in the middle of the first window, and part of a third.
    unknown = window // 2 + 7 * BIN[family]
    codes[unknown : unknown + 2 * BIN[family] + 9] = 4
    letters = numpy.frombuffer(b"ACGTN", dtype=numpy.uint8)[codes].tobytes().decode()
    (folder / "genome.fa").write_text(f">{CONTIG}\n{letters}\n")
    header = ["", "identifier", "file", "clip", "clip_soft", "scale", "sum_stat", "strand_pair", "description"]
    rows, learned = [header], []
    for number, (name, (clip, soft, scale, statistic, pair)) in enumerate(TARGETS.items()):
        file = folder / f"{name}.bedGraph"
        coverage = measure(codes, number, file, random)
        learned.append(transformed(coverage, BIN[family], clip, soft, scale, statistic))
        pair = pair if family == "borzoi" else number
        rows.append([number, name, file.name, clip, soft, scale, statistic, pair, name])
    (folder / "targets.txt").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))
    places = [(at * window, (at + 1) * window, split) for at, split in enumerate(splits)]
    lines = [f"{CONTIG}\t{start}\t{end}\t{split}\n" for start, end, split in places]
    (folder / "sequences.bed").write_text("".join(lines))
    known = (codes < 4).reshape(-1, BIN[family]).any(1)
    values = numpy.where(known, numpy.stack(learned), numpy.nan).astype(numpy.float32)
    values = values.reshape(len(learned), len(splits), -1).swapaxes(0, 1)
    first = -(-(values.shape[2] - bins) // 2)
    numpy.savez(folder / "windows.npz", bases=codes.reshape(len(splits), window),
                values=values[:, :, first : values.shape[2] - first], splits=numpy.array(splits))
    (folder / "data.json").write_text(json.dumps({"family": family, "window": window}))


def measure(codes, number, file, random):
    """Coverage that follows one letter, in stretches of random length with gaps between; written as bedGraph."""
    edges = numpy.cumsum(random.integers(5, 90, len(codes) // 40))
    edges = edges[edges < len(codes)]
    coverage, lines = numpy.zeros(len(codes)), []
    for start, end in zip(edges[:-1], edges[1:]):
        if random.random() < 0.2:
            continue
        share = (codes[start:end] == number).mean()
        value = float(numpy.float32(f"{20 * share**2 * random.uniform(0.8, 1.2):.3f}"))
        if value > 0:
            coverage[start:end] = value
            lines.append(f"{CONTIG}\t{start}\t{end}\t{value:.3f}\n")
    file.write_text("".join(lines))
    return coverage


def transformed(coverage, size, clip, soft, scale, statistic):
    """What Baskerville makes of coverage: scaled by base, summed or averaged by bin, its root taken, limited."""
    bins = (coverage * scale).reshape(-1, size)
    values = bins.mean(1) if statistic == "mean" else bins.sum(1)
    if statistic.endswith("_sqrt"):
        values = numpy.sqrt(values + 1) - 1
    values = numpy.where(values > soft, soft - 1 + numpy.sqrt(numpy.maximum(values - soft + 1, 0)), values)
    return numpy.minimum(values, clip)
