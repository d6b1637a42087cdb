"""How fast vestore is on this device, beside what the device can do and beside Python."""

import collections
import csv
import json
import re
import shutil
import sys

from environment import CONTIG, SHAPES, Failed, GpuMemory, Skipped, require

BATCH_TOKENS = 65536
# Tokens of windows: 600 bp and 1,000 bp in 6-mers, and up to the limits of the models.
TOKENS = [101, 168, 1000, 2048]
# How far the mean magnitudes of the final hidden states may lie apart, as a fraction.
SAME = {"f32": 1e-4, "tf32": 2e-3, "bf16": 2e-2}


def operations(name, tokens):
    """Operations of a forward pass over one window of so many tokens, all layers whole."""
    _, layers, hidden, _, inner = SHAPES[name]
    return layers * tokens * (2 * (4 * hidden * hidden + 3 * hidden * inner) + 4 * tokens * hidden)


def lines(text):
    """The JSON objects of a program's output."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def forward(check, checkpoint, tokens, dtype, batch_tokens=BATCH_TOKENS, *options):
    """Runs `forward_rate`; its JSON objects."""
    return lines(check.run("forward_rate", checkpoint, "--device", check.device, "--dtype", dtype, "--tokens",
                           ",".join(map(str, tokens)), "--batch-tokens", batch_tokens, *options))


def products(check, figures):
    """How fast the device multiplies large matrices."""
    size = 8192 if check.on_gpu else 1024
    for dtype in ["bf16", "tf32", "f32"] if check.on_gpu else ["bf16", "f32"]:
        found = forward(check, check.checkpoint("NT-v2 50M", small=True), [8], dtype, 64, "--product", size)
        figures[dtype] = found[0]["operations_per_second"]
    check.rates = dict(figures)
    figures["size"] = size


def forwards(name, dtype, way="sdpa", tokens=TOKENS):
    """A step that measures forward passes of one shape beside one way of Python."""

    def step(check, figures):
        if dtype == "tf32" and not check.on_gpu:
            raise Skipped("TF32 is arithmetic of GPUs")
        checkpoint = check.checkpoint(name)
        batch = BATCH_TOKENS if check.on_gpu else 512
        lengths = tokens if check.on_gpu else [101]
        found = {one["tokens"]: one for one in forward(check, checkpoint, lengths, dtype, batch) if "tokens" in one}
        product = getattr(check, "rates", {}).get(dtype)
        for length, one in found.items():
            done = operations(name, length) * one["batch"] / one["seconds"]
            figures[length] = {"windows_per_second": one["batch"] / one["seconds"]}
            if check.on_gpu:
                figures[length] |= {"operations_per_second": done, "share_of_products": product and done / product}
        family = "dnabert2" if name.startswith("DNABERT") else "nt"
        text = check.run(sys.executable, check.kit / "forward_baseline.py", checkpoint, family,
                         ",".join(map(str, lengths)), batch, check.device, dtype, 5, way)
        for other in lines(text):
            length, one = other["tokens"], found[other["tokens"]]
            apart = abs(one["mean_magnitude"] / other["mean_magnitude"] - 1)
            require(apart <= SAME[dtype], f"{way}: other hidden states at {length} tokens: {apart:.2g}")
            figures[length][f"{way}_windows_per_second"] = other["batch"] / other["seconds"]
            figures[length][f"times_{way}"] = other["seconds"] / one["seconds"]

    return step


def long_window(check, figures):
    """140,000 tokens through an encoder of dnaGrinder's shape."""
    tokens = 140_000 if check.on_gpu else 4_000
    checkpoint = check.checkpoint("dnaGrinder shape")
    with GpuMemory() as memory:
        found = forward(check, checkpoint, [tokens], "bf16", tokens, "--rounds", "0")[-1]
    figures |= {"tokens": tokens, "seconds": found["seconds"], "gpu_bytes": memory.peak or None}
    require(memory.peak < 80e9, f"{memory.peak / 1e9:.1f} GB > 80 GB")


def variants(name, dtype, bases):
    """A step that scores every SNV of a region end to end: two alleles, two strands, nothing shared but the reference."""

    def step(check, figures):
        store = check.store(f"variants-{name.replace(' ', '-')}-{dtype}")
        store.add("m", check.checkpoint(name))
        end = 2000 + (bases if check.on_gpu else 20)
        errors, seconds = store.score("m", "t", "--region", f"{CONTIG}:2001-{end}", "--score", "distance", "--dtype",
                                      dtype)
        figures["variants"], figures["seconds_with_start"] = 3 * (end - 2000), seconds
        rate(errors, figures)

    return step


def windows(family, dtype, bases):
    """A step that scores every SNV of a few bases with a regulatory model of the published widths, all targets."""

    def step(check, figures):
        store = check.store(f"windows-{family}-{dtype}")
        store.add("m", check.regulatory(family, small=not check.on_gpu))
        options = [] if check.on_gpu else ["--window", "8192"]
        count = 3 * (bases if check.on_gpu else 2)
        with GpuMemory() as memory:
            errors, seconds = store.score("m", "t", "--region", f"{CONTIG}:8001-{8000 + count // 3}", "--strands",
                                          "forward", "--dtype", dtype, *options)
        rate(errors, figures)
        figures |= {"variants": count, "seconds_with_start": seconds, "gpu_bytes": memory.peak or None}

    return step


def rate(errors, figures):
    """What `score` said of its speed."""
    said = next((line for line in errors.splitlines() if "variants/s" in line), "")
    found = re.search(r"([\d,.]+) variants/s", said)
    require(found, f"no rate in `{said}`")
    figures["variants_per_second"] = float(found[1].replace(",", ""))
    for stage, share in re.findall(r"(model|writing) (\d+) %", said):
        figures[f"{stage}_percent"] = int(share)


def kernels(check, figures):
    """The kernels that the time goes to, by Nsight Compute."""
    if not check.on_gpu:
        raise Skipped("a CPU has no kernels")
    if not shutil.which("ncu"):
        raise Skipped("ncu is not installed")
    for name, tokens in [("NT-v2 500M, 2 layers", 1000), ("DNABERT-2, 2 layers", 168)]:
        text = check.run("ncu", "--csv", "--metrics", "gpu__time_duration.sum", "forward_rate", check.checkpoint(name),
                         "--device", check.device, "--dtype", "bf16", "--tokens", tokens, "--rounds", "0")
        table = text[text.index('"ID"'):] if '"ID"' in text else ""
        times, launches = collections.Counter(), collections.Counter()
        for row in csv.DictReader(table.splitlines()):
            value = (row.get("Metric Value") or "").replace(",", "")
            if value.replace(".", "").isdigit():
                kernel = row["Kernel Name"][:160]
                times[kernel] += float(value)
                launches[kernel] += 1
        require(times, "ncu listed no kernel")
        whole = sum(times.values())
        figures[name] = [{"kernel": kernel, "launches": launches[kernel], "share": round(time / whole, 3)}
                         for kernel, time in times.most_common(16)]


STEPS = [
    ("matrix products", 20, products),
    ("forward NT-v2 500M bfloat16", 50, forwards("NT-v2 500M", "bf16")),
    ("variants NT-v2 500M bfloat16", 25, variants("NT-v2 500M", "bf16", 3000)),
    ("variants NT-v2 50M bfloat16", 15, variants("NT-v2 50M", "bf16", 10000)),
    ("windows Flashzoi bfloat16", 20, windows("flashzoi", "bf16", 20)),
    ("windows Borzoi float32", 20, windows("borzoi", "f32", 8)),
    ("forward DNABERT-2 117M bfloat16", 20, forwards("DNABERT-2 117M", "bf16")),
    ("kernels", 20, kernels),
    ("forward NT-v2 50M bfloat16", 30, forwards("NT-v2 50M", "bf16")),
    ("long window", 40, long_window),
    ("variants NT-v2 50M float32", 30, variants("NT-v2 50M", "f32", 5000)),
    # Compiling takes longer than all the rest.
    ("compiled NT-v2 50M bfloat16", 60, forwards("NT-v2 50M", "bf16", "compiled", [1000])),
    ("forward NT-v2 500M TF32", 60, forwards("NT-v2 500M", "tf32")),
    ("forward NT-v2 500M float32", 60, forwards("NT-v2 500M", "f32")),
]
