"""`make bench-tokenizer`: `vestore tokenizer train` beside the trainer of the `tokenizers` library, on the same
bases.

    python benches/tokenizer [--vocabulary N] [--piece BP] [FASTA ...]

The library keeps the whole corpus in memory and takes quadratic time over a word, so it gets words of `--piece`
bases; ours is run on those and on the whole contigs. Each run is a process of its own, timed by wall clock, with
its peak resident memory (ours holds libtorch, some 115 MB). Tokens per kb are those of windows of 600 bases of
the corpus, cut by the library. Without FASTA files, seeded DNA is used.
"""

import argparse
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

BINARY = "target/release/vestore"
WINDOW = 600


def contigs(paths):
    """Upper-case text of every contig."""
    for path in paths:
        with open(path, "rb") as file:
            opener = gzip.open if file.read(2) == b"\x1f\x8b" else open
        with opener(path, "rt") as file:
            for record in file.read().split(">")[1:]:
                yield record.partition("\n")[2].replace("\n", "").upper()


def seeded(folder):
    """DNA of 8 Mb with repeats, where no genome is given."""
    source = random.Random(1)
    repeats = ["".join(source.choices("ACGT", k=300)) for _ in range(40)]
    parts = [source.choice(repeats) if source.random() < 0.3 else "".join(source.choices("ACGT", [3, 2, 2, 3], k=500))
             for _ in range(18_000)]
    path = f"{folder}/seeded.fa"
    with open(path, "w") as file:
        file.write(">seeded\n" + "".join(parts) + "\n")
    return [path]


def pieces(paths, length):
    """The words that the library gets: stretches of A, C, G, T, cut to `length`."""
    for text in contigs(paths):
        for word in re.findall("[ACGT]+", text):
            yield from (word[at:at + length] for at in range(0, len(word), length))


def measured(command):
    """Wall seconds and peak resident megabytes of a program."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def library(arguments):
    """The other side, in a process of its own."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.BpeTrainer(vocab_size=arguments.vocabulary, special_tokens=special, show_progress=False)
    with open(arguments.library) as words:
        tokenizer.train_from_iterator((line.rstrip() for line in words), trainer)
    tokenizer.save(arguments.output)


def vocabulary(path):
    with open(path) as file:
        return json.load(file)["model"]["vocab"]


def tokens_per_kb(path, sample):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(path)
    found = tokenizer.encode_batch(sample, add_special_tokens=False)
    return 1000 * sum(len(encoding.ids) for encoding in found) / sum(map(len, sample))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("fasta", nargs="*")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--piece", type=int, default=1000)
    parser.add_argument("--library", help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.library:
        return library(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.fasta or seeded(folder)
        words, cut = f"{folder}/words.txt", f"{folder}/pieces.fa"
        bases = 0
        with open(words, "w") as plain, open(cut, "w") as fasta:
            for number, word in enumerate(pieces(paths, arguments.piece)):
                plain.write(word + "\n")
                fasta.write(f">{number}\n{word}\n")
                bases += len(word)
        with open(words) as file:
            sample = [line.rstrip()[:WINDOW] for number, line in enumerate(file) if number % 7 == 0]
        size = ["--vocabulary", str(arguments.vocabulary)]
        theirs = f"{folder}/theirs.json"
        command = [sys.executable, __file__, "--library", words, "--output", theirs, *size]
        runs = [(f"`tokenizers`, pieces of {arguments.piece:,} bases", theirs, command)]
        for number, (name, inputs, split) in enumerate([
            ("ours, the same pieces", [cut], 4_000_000),
            ("ours, whole contigs", paths, 4_000_000),
            ("ours, whole contigs, splits of 500,000", paths, 500_000),
        ]):
            output = f"{folder}/ours{number}"
            command = [BINARY, "tokenizer", "train", *inputs, "--split", str(split), "--quiet", "-o", output, *size]
            runs.append((name, f"{output}/tokenizer.json", command))
        print(f"{bases:,} bases, {arguments.vocabulary:,} tokens\n")
        print("| | time | peak memory | tokens per kb | tokens shared with the first | same ids |")
        print("|---|---|---|---|---|---|")
        first = None
        for name, path, command in runs:
            seconds, peak = measured(command)
            found = vocabulary(path)
            first = first or found
            shared = len(found.keys() & first.keys())
            same = sum(found.get(token) == id for token, id in first.items())
            density = tokens_per_kb(path, sample)
            print(f"| {name} | {seconds:.1f} s | {peak:.0f} MB | {density:.1f} | {shared:,} | {same:,} |", flush=True)


if __name__ == "__main__":
    main()
