"""`make bench-transfer`: transfer learning beside a plain PyTorch loop over the published models' own code, on inputs
from a seed.

    python benches/transfer [--programs FOLDER] [--rounds N] [--steps N] [--published] [--only PART]

`parity`: every loss of 12 steps, the windows that are seen, and what PyTorch and peft predict with the files that are
left behind. `speed`: seconds of a step and peak memory, on a trunk of a quarter of Borzoi's widths. `--published` adds
a step of Borzoi's own size, which takes 3 GB of memory, 2 GB of disk and minutes.
"""

import argparse
import pathlib

import parity
import speed

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent.parent / "target/release"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", default=PROGRAMS, help="folder of the built programs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--only", choices=["parity", "speed", "published"])
    arguments = parser.parse_args()
    if arguments.only in (None, "parity"):
        parity.check(arguments.programs)
    if arguments.only in (None, "speed"):
        speed.compare(arguments.programs, arguments.rounds, arguments.steps)
    if arguments.published or arguments.only == "published":
        speed.published(arguments.programs, speed.PUBLISHED_WINDOW)


main()
