"""What the steps of `gpu-check` share: the programs, a clock, stores, and the results so far."""

import csv
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import threading
import time

# Encoder shapes: family, layers, hidden, heads, intermediate.
SHAPES = {
    "NT-v2 50M": ("nucleotide-transformer-v2", 12, 512, 16, 2048),
    "NT-v2 500M": ("nucleotide-transformer-v2", 29, 1024, 16, 4096),
    "DNABERT-2 117M": ("dnabert2", 12, 768, 12, 3072),
    # The same widths, for profiles.
    "NT-v2 500M, 2 layers": ("nucleotide-transformer-v2", 2, 1024, 16, 4096),
    "DNABERT-2, 2 layers": ("dnabert2", 2, 768, 12, 3072),
    # dnaGrinder's widths are not published; these have about its number of parameters.
    "dnaGrinder shape": ("dnagrinder", 12, 640, 10, 1760),
}
SMALL = (4, 64, 4, 128)
# Regulatory models whose windows of 8,192 bases fit anywhere; without these options they have the published widths.
SMALL_REGULATORY = {
    "borzoi": ["--layers=2", "--hidden=48", "--heads=4", "--intermediate=96", "--widths=16,16,20,24,28,32",
               "--targets=6,4", "--bins=160"],
    "flashzoi": ["--layers=2", "--hidden=384", "--heads=2", "--intermediate=96", "--widths=16,16,20,24,28,32",
                 "--targets=6,4", "--bins=160"],
    "enformer": ["--layers=2", "--hidden=48", "--heads=4", "--intermediate=96", "--widths=24,24,28,32,36,40",
                 "--targets=6,4", "--bins=40"],
}
CONTIG = "MT"


class Failed(Exception):
    """A step's claim does not hold."""


class Skipped(Exception):
    """A step does not apply to this machine."""


class Check:
    """One run of all steps on one device."""

    def __init__(self, kit, work, device, deadline, output):
        self.kit, self.work, self.device, self.deadline = kit, work, device, deadline
        self.results_file = output / "results.json"
        self.on_gpu = device != "cpu"
        self.environment = {
            **os.environ,
            "PATH": f"{kit / 'bin'}:{os.environ['PATH']}",
            # No libtorch of an earlier set-up comes before that of this Python.
            "VESTORE_CACHE": str(work / "cache"),
        }
        library = torch_library()
        if library:
            self.environment["LD_LIBRARY_PATH"] = f"{library}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        self.results = {
            "machine": machine(), "device": device, "commit": (kit / "commit").read_text().strip(),
            "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(), "libtorch": "of this python3" if library else None, "steps": [],
        }

    def left(self):
        """Seconds until the time is up."""
        return self.deadline - time.monotonic()

    def step(self, name, seconds, run):
        """Runs one step unless less than `seconds` are left; keeps its figures."""
        started, figures = time.monotonic(), {}
        if self.left() < (seconds if self.on_gpu else 5):
            status, reason = "not reached", f"{max(self.left(), 0):.0f} s left; expected {seconds}"
        else:
            status, reason = "passed", None
            try:
                run(self, figures)
            except Skipped as error:
                status, reason = "skipped", str(error)
            except Exception as error:  # a step that breaks must not end the others
                status, reason = "failed", f"{type(error).__name__}: {error}"
        took = time.monotonic() - started
        self.results["steps"].append(
            {"name": name, "status": status, "reason": reason, "seconds": round(took, 2), "figures": figures})
        unfinished = self.results_file.with_suffix(".partial")
        unfinished.write_text(json.dumps(self.results, indent=1) + "\n")
        unfinished.replace(self.results_file)
        print(f"{status:<11} {took:6.1f} s  {name}{': ' + reason if reason else ''}", flush=True)
        for figure, value in figures.items():
            print(f"    {figure}: {json.dumps(value)}", flush=True)

    def conclude(self):
        """Counts the outcomes; the exit status."""
        outcomes = [step["status"] for step in self.results["steps"]]
        counts = {outcome: outcomes.count(outcome) for outcome in dict.fromkeys(outcomes)}
        print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()), f"-> {self.results_file}")
        return 1 if "failed" in counts else 0

    def start(self, *arguments, **options):
        """Starts a program of the kit."""
        arguments = [str(argument) for argument in arguments]
        return subprocess.Popen(arguments, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True, **options)

    def finish(self, process):
        """Waits for a program; its stdout and stderr. Fails when the program did."""
        try:
            output, errors = process.communicate(timeout=max(self.left(), 1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failed(f"no time left for {' '.join(process.args[:3])}") from None
        if process.returncode:
            last = " / ".join(errors.strip().splitlines()[-3:])
            raise Failed(f"{' '.join(process.args[:4])}: exit {process.returncode}: {last}")
        return output, errors

    def run(self, *arguments):
        """Runs a program to its end; its stdout."""
        return self.finish(self.start(*arguments))[0]

    def checkpoint(self, name, small=False):
        """The folder of a checkpoint with random weights in one of [`SHAPES`]; small ones on a CPU."""
        family, *sizes = SHAPES[name]
        small = small or not self.on_gpu
        sizes = SMALL if small else sizes
        folder = self.work / f"{family}-{'-'.join(map(str, sizes))}"
        if not folder.exists():
            options = [f"--{option}={size}" for option, size in
                       zip(["layers", "hidden", "heads", "intermediate"], sizes)]
            self.run("synthetic_checkpoint", family, folder, *options)
        return folder

    def regulatory(self, family, small):
        """The folder of a regulatory checkpoint with random weights, small or of the published widths."""
        folder = self.work / f"{family}-{'small' if small else 'published'}"
        if not folder.exists():
            self.run("synthetic_checkpoint", family, folder, *(SMALL_REGULATORY[family] if small else []))
        return folder

    def store(self, name, reference=None):
        """A new store; over the mitochondrial genome by default."""
        return Store(self, self.work / name, reference or self.kit / "mitochondrion.fa")


class Store:
    """A store that a step fills and queries through the command line."""

    def __init__(self, check, path, reference):
        self.check, self.path = check, path
        check.run("vestore", "init", path, "--reference", reference)

    def add(self, model, checkpoint, *options):
        """Adds a model."""
        self.check.run("vestore", "model", "add", self.path, model, "--checkpoint", checkpoint, *options)

    def command(self, model, track, *options, device=None, verb="score"):
        """The command line that scores with a model."""
        return ["vestore", verb, self.path, "--model", model, *(["--track", track] if track else []),
                "--device", device or self.check.device, *options]

    def score(self, model, track, *options, device=None, verb="score"):
        """Scores; what the program said, and how long it took."""
        started = time.monotonic()
        errors = self.check.finish(self.check.start(*self.command(model, track, *options, device=device, verb=verb)))[1]
        return errors, time.monotonic() - started

    def count(self, track):
        """How many rows a track has by now; none before it is there."""
        process = self.check.start("vestore", "query", self.path, "--track", track, "--count")
        output, _ = process.communicate()
        return 0 if process.returncode else int(output)

    def rows(self, track, *options):
        """The rows of a track: {(variant, further keys): {column: number}}."""
        text = self.check.run("vestore", "query", self.path, "--track", track, "--format", "tsv", *options)
        keys = ["contig", "position", "reference", "alternate", "layer", "gene", "target"]
        rows = {}
        for row in csv.DictReader(text.splitlines(), delimiter="\t"):
            key = tuple(row.pop(name) for name in keys if name in row)
            rows[key] = {column: numbers(value) for column, value in row.items() if column not in ("model", "track")}
        return rows


def numbers(text):
    """The numbers of a cell; text where it has none."""
    try:
        return [float(part) for part in text.strip("[]").split(",") if part.strip()]
    except ValueError:
        return text


def largest_difference(ours, theirs):
    """The largest absolute difference over all cells of two tracks, and how many numbers were compared."""
    if ours.keys() != theirs.keys():
        raise Failed(f"{len(ours)} rows beside {len(theirs)}: other variants")
    largest, count = 0.0, 0
    for key, row in ours.items():
        for column, values in row.items():
            other = theirs[key][column]
            if isinstance(values, str) or isinstance(other, str) or len(values) != len(other):
                if values != other:
                    raise Failed(f"{key} {column}: {values} beside {other}")
                continue
            for value, another in zip(values, other):
                count += 1
                largest = max(largest, abs(value - another))
    if not count:
        raise Failed("no number to compare")
    return largest, count


def require(condition, message):
    """Fails a step with a message."""
    if not condition:
        raise Failed(message)


class GpuMemory(threading.Thread):
    """Asks the driver how much memory is in use, until it is left."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.over = 0, threading.Event()
        self.known = shutil.which("nvidia-smi")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while self.known and not self.over.wait(0.2):
            found = subprocess.run(query, capture_output=True, text=True, check=True)
            self.peak = max(self.peak, *(int(line) << 20 for line in found.stdout.split()))


def torch_library():
    """The folder of the libtorch of this Python's torch package."""
    code = "import torch, pathlib; print(pathlib.Path(torch.__file__).parent / 'lib')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return found.stdout.strip() or None


def machine():
    """Processor, memory and GPUs, in words."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    found = {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(), "memory_gib": round(memory, 1)}
    try:
        query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        found["gpus"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip().splitlines()
    except (OSError, subprocess.CalledProcessError):
        found["gpus"] = []
    return found
