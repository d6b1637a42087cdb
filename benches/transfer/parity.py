"""Whether vestore's training is the plain one: its losses, the windows that it sees, and what it leaves behind."""

import json
import pathlib
import subprocess
import sys
import tempfile

import data
import numpy
from program import PATIENT, Store

PEER = pathlib.Path(__file__).parent / "peer.py"
# Apart because float32 sums are rounded in another order, over all steps.
NEAR = 2e-6
# The same for one forward pass.
SAME = 1e-5
SPLITS = ["train", "train", "train", "valid", "valid"]
SIZES = {
    "borzoi": {"layers": 2, "hidden": 96, "heads": 4, "intermediate": 192, "widths": "32,40,48,56,64,80", "bins": 64},
    "enformer": {"layers": 2, "hidden": 96, "heads": 4, "intermediate": 192, "widths": "48,48,56,64,72,80", "bins": 16},
}
WINDOW = 4096
# 1,152 tokens, whose attention over 8 heads vestore computes in two blocks of queries.
LONG, LONG_SPLITS = 147_456, ["train", "valid"]
LONG_SIZES = SIZES["borzoi"] | {"heads": 8, "bins": 4096}
# The method with its options, and the peak learning rate.
METHODS = [
    ("full", {}, 3e-4),
    ("full", {"activation_checkpointing": True}, 3e-4),
    ("linear", {}, 1e-3),
    ("lora", {}, 1e-3),
    ("lora", {"activation_checkpointing": True}, 1e-3),
    ("locon", {}, 1e-3),
    ("ia3", {"ia3_layers": "paper"}, 1e-3),
    ("ia3", {"ia3_layers": "code"}, 1e-3),
    ("houlsby", {}, 1e-3),
    ("houlsby-se", {}, 1e-3),
]
# So much decay that it shows, and gradients clipped to so little that the optimizer's epsilon tells how far: its steps
# would hardly depend on it otherwise.
DECAY, CLIP = 0.5, 3e-5
PLAIN = {"dropout": 0, "shift": 0, "strands": "forward", "warmup": 0, "patience": 0}


def peer(task, threads=1):
    process = subprocess.run([sys.executable, PEER], input=json.dumps({"threads": threads, **task}), text=True,
                             capture_output=True, env=PATIENT, check=False)
    if process.returncode:
        sys.exit(f"the PyTorch side failed: {process.stderr[-3000:]}")
    return json.loads(process.stdout)


def described(method, options):
    parts = [value if isinstance(value, str) else "recomputed" for value in options.values()]
    return ", ".join([method, *parts])


def folder_of(what, method, options):
    return "-".join([what, method, *(str(value) for value in options.values())])


def start_of(store, method, options):
    """Where the PyTorch side finds what vestore starts from: the files after a step that moves nothing."""
    name = folder_of("start", method, options)
    store.train(name, method, steps=1, learning_rate=1e-30, **PLAIN, **options)
    return {"method": method, **files_of(store, store.folder / name)}


def files_of(store, folder):
    """What the PyTorch side loads: a checkpoint, or an adapter and what it stands on."""
    adapted = (folder / "adapter_config.json").exists()
    return {"folder": str(folder), **({"base": str(store.folder / "base")} if adapted else {})}


def furthest(ours, theirs):
    """The largest relative difference."""
    ours, theirs = numpy.asarray(ours, dtype=float), numpy.asarray(theirs, dtype=float)
    assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
    return float(numpy.max(numpy.abs(ours - theirs) / numpy.maximum(numpy.abs(theirs), 1e-9)))


def same_losses(store, method, options, rate, batch, steps=12):
    """Trains on both sides, all training windows in each step, and compares every loss."""
    settings = {"steps": steps, "batch": batch, "learning_rate": rate, "weight_decay": DECAY,
                "max_gradient_norm": CLIP}
    name = folder_of("run", method, options)
    ours = store.train(name, method, evaluate_every=1, **settings, **PLAIN, **options)
    task = {"task": "train", "data": str(store.folder / "windows.npz"), "steps": steps, "batch": batch, "rate": rate,
            "weight_decay": DECAY, "clip": CLIP, "total_weight": 0.2, "evaluate": True}
    theirs = peer({**task, **start_of(store, method, options)})
    apart = [furthest([point["loss"] for point in ours[key]], theirs[key]) for key in ("losses", "validation")]
    shown = described(method, options)
    first, last = theirs["losses"][0], theirs["losses"][-1]
    print(f"{shown:<18} {theirs['trained']:>10,} {first:>9.4f} {last:>9.4f} {apart[0]:>10.1e} {apart[1]:>10.1e}",
          flush=True)
    if ours["trained_parameters"] != theirs["trained"]:
        sys.exit(f"{shown}: vestore trains {ours['trained_parameters']} parameters")
    if max(apart) > NEAR:
        sys.exit(f"{shown}: losses differ by {max(apart):.2g}, more than {NEAR}")
    if abs(last - first) < 5000 * NEAR * abs(first):
        sys.exit(f"{shown}: the loss moves too little to tell")


def same_views(store, family, shift=3, epochs=8):
    """Every step's loss is that of a window on one of its strands, shifted; each epoch sees each window once."""
    count = SPLITS.count("train")
    start = start_of(store, "linear", {})
    settings = {**PLAIN, "shift": shift, "strands": "both"}
    ours = store.train("views", "linear", steps=count * epochs, batch=1, learning_rate=1e-30, evaluate_every=1,
                       **settings)
    pairs = [pair if family == "borzoi" else at for at, (*_, pair) in enumerate(data.TARGETS.values())]
    task = {"task": "views", "data": str(store.folder / "windows.npz"), "shift": shift, "pairs": pairs,
            "total_weight": 0.2}
    losses = numpy.array(peer({**task, **start})["losses"])
    found, worst = [], 0
    for point in ours["losses"]:
        apart = numpy.abs(losses - point["loss"]) / losses
        place = numpy.unravel_index(numpy.argmin(apart), apart.shape)
        worst = max(worst, float(apart[place]))
        found.append(place)
    gaps = numpy.diff(numpy.sort(losses.reshape(-1))) / losses.mean()
    shown = {(int(strand), int(at) - shift) for _, strand, at in found}
    print(f"{family}: {len(found)} steps saw {len(shown)} combinations of strand and shift; losses differ by "
          f"{worst:.1e}, those of two views by {numpy.median(gaps):.1e} (median)", flush=True)
    if worst > SAME:
        sys.exit("a step's loss is that of no window, strand and shift")
    for epoch in range(epochs):
        if {int(window) for window, *_ in found[epoch * count : (epoch + 1) * count]} != set(range(count)):
            sys.exit(f"epoch {epoch} does not see each window once")
    if {strand for strand, _ in shown} != {0, 1}:
        sys.exit("one strand alone was seen")


def same_predictions(store, method, options, rate, windows=4):
    """After a training with dropout and shifts on both strands, the published code predicts what vestore does."""
    name = folder_of("real", method, options)
    store.train(name, method, keep=True, steps=30, learning_rate=rate, **options)
    length = WINDOW
    codes = numpy.load(store.folder / "windows.npz")["bases"].reshape(-1)
    random = numpy.random.default_rng(5)
    variants, inputs = [], []
    while len(variants) < windows:
        position = int(random.integers(length, len(codes) - length))
        reference = codes[position - 1]
        if reference == 4:
            continue
        alternate = (reference + 1) % 4
        variants.append((position, "ACGT"[reference], "ACGT"[alternate]))
        before = codes[position - length // 2 : position + length // 2]
        after = before.copy()
        after[length // 2 - 1] = alternate
        inputs += [before, after]
    numpy.save(store.folder / "inputs.npy", numpy.stack(inputs))
    peer({"task": "predict", "data": str(store.folder / "inputs.npy"), "answer": str(store.folder / "profiles.npy"),
          **files_of(store, store.folder / name)})
    profiles = numpy.load(store.folder / "profiles.npy").astype(float)
    ours = store.effects(name, ["ref", "alt", "d2"], variants)
    worst = [0.0, 0.0]
    for at, (position, *_) in enumerate(variants):
        before, after = profiles[2 * at], profiles[2 * at + 1]
        change = numpy.sqrt(((after - before) ** 2).sum(1))
        for number, target in enumerate(data.TARGETS):
            reference, alternate, moved = ours[(position, target)]
            worst[0] = max(worst[0], furthest([reference, alternate], [before[number].sum(), after[number].sum()]))
            worst[1] = max(worst[1], abs(moved - change[number]) / numpy.sqrt((before[number] ** 2).sum()))
    print(f"{described(method, options):<18} {worst[0]:>10.1e} {worst[1]:>10.1e}", flush=True)
    if max(worst) > SAME:
        sys.exit(f"{method}: predictions differ by {max(worst):.2g}, more than {SAME}")


def prepared(programs, folder, family, window, splits, sizes, seed=7):
    data.write(folder, family, window, splits, sizes["bins"], seed)
    store = Store(programs, folder)
    store.make(family, **{"targets": "7,3", "seed": seed, **sizes})
    return store


HEADER = "method                trained     first      last   training validation"


def check(programs):
    """All of it, for Borzoi and Enformer."""
    for family, methods in (("borzoi", METHODS), ("enformer", METHODS[:1] + METHODS[2:4])):
        with tempfile.TemporaryDirectory() as folder:
            store = prepared(programs, pathlib.Path(folder), family, WINDOW, SPLITS, SIZES[family])
            print(f"\n{family}: 12 steps beside PyTorch, largest relative differences of the losses\n{HEADER}",
                  flush=True)
            for method, options, rate in methods:
                same_losses(store, method, options, rate, SPLITS.count("train"))
            same_views(store, family)
            print("after a training with dropout, read by PyTorch: largest relative differences\n"
                  "method                  totals  of change", flush=True)
            for method, options, rate in methods:
                if "activation_checkpointing" not in options:
                    same_predictions(store, method, options, rate)
    with tempfile.TemporaryDirectory() as folder:
        store = prepared(programs, pathlib.Path(folder), "borzoi", LONG, LONG_SPLITS, LONG_SIZES)
        print(f"\nborzoi, a window of {LONG:,} bases, 4 steps\n{HEADER}", flush=True)
        for method, options, rate in METHODS[:2]:
            same_losses(store, method, options, rate, 1, steps=4)
