#!/usr/bin/env python3
"""Tracks that the sequence of one contig decides, as bigWigs with a targets.txt.

    transfer_tracks.py GENOME.fa[.gz] CONTIG FOLDER {first|second}

`first` are tracks to learn a trunk with: GC content, CpG islands, runs of A or T, and stop codons of either strand. `second`
are tracks to transfer it to: soft-masked repeats, CpG density, and the surplus of G over C on either strand. Needs pyBigWig.
"""

import gzip
import re
import sys
from pathlib import Path

import pyBigWig

STEP = 32
FLANK = 96


def contig(genome, name):
    opened = gzip.open if genome.endswith(".gz") else open
    lengths, bases, inside = {}, [], False
    with opened(genome, "rt") as lines:
        for line in lines:
            if line.startswith(">"):
                current = line[1:].split()[0]
                inside = current == name
                lengths[current] = 0
            else:
                lengths[current] += len(line.strip())
                if inside:
                    bases.append(line.strip())
    if name not in lengths:
        sys.exit(f"no contig `{name}` in {genome}; it has {', '.join(lengths)}")
    return "".join(bases), lengths


def around(upper, start):
    return upper[max(0, start - FLANK) : start + STEP + FLANK]


def marked(length, spans):
    bases = bytearray(length)
    for start, end in spans:
        bases[start:end] = b"\1" * (end - start)
    return bases


def first(bases):
    upper = bases.upper()

    def island(start):
        window = around(upper, start)
        c, g = window.count("C"), window.count("G")
        return float(c + g > 0.55 * len(window) and window.count("CG") * len(window) > 0.6 * c * g)

    runs = marked(len(upper), ((m.start(), m.end()) for m in re.finditer("A{6,}|T{6,}", upper)))
    stops = {
        "+": marked(len(upper), ((m.start(), m.end()) for m in re.finditer("TAA|TAG|TGA", upper))),
        "-": marked(len(upper), ((m.start(), m.end()) for m in re.finditer("TTA|CTA|TCA", upper))),
    }
    gc = re.compile("[GC]")
    return [
        ("gc", 0, lambda s: len(gc.findall(upper[s : s + STEP])) / STEP),
        ("islands", 1, island),
        ("runs", 2, lambda s: sum(runs[s : s + STEP]) / STEP),
        ("stops+", 4, lambda s: sum(stops["+"][s : s + STEP]) / STEP),
        ("stops-", 3, lambda s: sum(stops["-"][s : s + STEP]) / STEP),
    ]


def second(bases):
    upper = bases.upper()

    def surplus(start, more, less):
        window = around(upper, start)
        return max(0, window.count(more) - window.count(less)) / 10

    return [
        ("repeats", 0, lambda s: sum(base.islower() for base in bases[s : s + STEP]) / STEP),
        ("cpg", 1, lambda s: float(around(upper, s).count("CG"))),
        ("surplus+", 3, lambda s: surplus(s, "G", "C")),
        ("surplus-", 2, lambda s: surplus(s, "C", "G")),
    ]


def main(genome, name, folder, which):
    bases, lengths = contig(genome, name)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    known = re.compile("[^Nn]")
    lines = ["\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription"]
    for index, (track, pair, value) in enumerate({"first": first, "second": second}[which](bases)):
        file = pyBigWig.open(str(folder / f"{track}.bw"), "w")
        file.addHeader(list(lengths.items()))
        starts, values = [], []
        for start in range(0, len(bases) - STEP + 1, STEP):
            if known.search(bases, start, start + STEP) and (found := value(start)) > 0:
                starts.append(start)
                values.append(found)
        file.addEntries([name] * len(starts), starts, ends=[s + STEP for s in starts], values=values)
        file.close()
        lines.append(f"{index}\t{track}\t{track}.bw\t\t\t1\tmean\t{pair}\t{track}")
    (folder / "targets.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[4] not in ("first", "second"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
