"""Whether vestore computes the same on this device as the reference implementations, and as itself on a CPU."""

import collections
import concurrent.futures
import json
import math
import signal
import sys
import time

from environment import CONTIG, Skipped, largest_difference, require

# Largest absolute difference from the reference implementation's float32 scores: the same as on a CPU.
TOLERANCES = {"llr": 6e-5, "l1": 6e-4, "l2": 1e-4, "cosine": 1e-5, "dot": 8e-4, "probability": 1e-5,
              "delta_logit": 4e-5}
# Largest root mean square of the differences, as a fraction of that of the scores.
REDUCED = {"tf32": 0.01, "bf16": 0.1}
COLUMNS = {"llr": "llr.avg", "llr_forward": "llr.fwd", "llr_reverse": "llr.rev"}
for ending, place in [("", "mean"), ("_variant", "var")]:
    for distance in ["l1", "l2", "cosine", "dot"]:
        COLUMNS[distance + ending] = f"dist.{place}.{distance}.avg"
CLASSIFIER = {"probability": "prob1.alt.avg", "delta_logit": "delta_logodds.avg"}
# How far float32 may lie from itself in other batches, or on another device.
NEAR = 1e-4
REGION = f"{CONTIG}:2000-2059"


def programs(check, figures):
    """The programs start, find libtorch's half for the device, and score there."""
    figures["version"] = check.run("vestore", "--version").strip()
    store = check.store("programs")
    store.add("m", check.checkpoint("NT-v2 50M", small=True))
    figures["seconds_first_start"] = round(store.score("m", "t", "--region", f"{CONTIG}:2000-2002")[1], 2)
    run = json.loads(check.run("vestore", "run", "show", store.path, "1", "--format", "json"))
    figures["device"] = run["device"]
    require(run["device"].startswith(check.device.split(":")[0]), f"scored on {run['device']}")
    require(len(store.rows("t")) == 9, "expected 9 rows")


def golden(check, name, dtype, figures, most_windows):
    """Scores one model of the golden set and compares: {column: [(ours, theirs)]}."""
    folder = check.kit / "golden"
    expected = json.loads((folder / "expected" / name).read_text())
    cases = {case["id"]: case for case in json.loads((folder / "windows.json").read_text())["cases"]}
    store = check.store(f"golden-{dtype}-{name}", folder / "GRCh38.mini.fa.gz")
    options = []
    if expected["adapter"]:
        options += ["--adapter", folder / "adapters" / expected["adapter"]]
    if expected["keep_layers"] is not None:
        options += ["--keep-layers", ",".join(map(str, expected["keep_layers"]))]
    store.add("m", folder / "checkpoints" / expected["checkpoint"], *options)
    kinds, columns = ["distance"], dict(COLUMNS)
    if "llr.avg" in expected["columns"]:
        kinds.append("llr")
    if expected["head"] == "cls":
        kinds.append("classifier")
        columns |= CLASSIFIER
    groups = collections.defaultdict(list)
    for number, case in enumerate(expected["case_order"]):
        groups[cases[case]["window"]].append((number, cases[case]))
    pairs = collections.defaultdict(list)
    for window, members in sorted(groups.items(), key=lambda group: -len(group[1]))[:most_windows]:
        variants = store.path.parent / f"{store.path.name}.{window}.vcf"
        lines = ["##fileformat=VCFv4.3", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"]
        for _, case in sorted(members, key=lambda member: member[1]["pos"]):
            lines.append(f"{case['contig']}\t{case['pos']}\t.\t{case['ref']}\t{case['alt']}\t.\t.\t.")
        variants.write_text("\n".join(lines) + "\n")
        store.score("m", f"w{window}", "--variants", variants, "--window", window, "--score", ",".join(kinds),
                    "--dtype", dtype)
        rows = {key[1:]: row for key, row in store.rows(f"w{window}").items()}
        for number, case in members:
            row = rows.get((str(case["pos"]), case["ref"], case["alt"]))
            require(row is not None, f"{name} {case['id']}: missing row")
            for column, theirs in columns.items():
                values = expected["columns"].get(theirs)
                if values is None or values[number] is None or math.isnan(values[number]):
                    continue
                require(len(row.get(column) or []) == 1, f"{name} {case['id']} {column}: no score")
                pairs[column].append((row[column][0], values[number]))
    return pairs


def golden_sets(dtype):
    """A step that compares all golden sets; with fewer windows where the dtype is reduced."""

    def step(check, figures):
        folder = check.kit / "golden" / "expected"
        if not folder.is_dir():
            raise Skipped("the archive has no golden sets")
        if dtype == "tf32" and not check.on_gpu:
            raise Skipped("TF32 is arithmetic of GPUs")
        names = sorted(path.name for path in folder.glob("*.json"))
        if dtype != "f32":
            names = [name for name in names if "__" not in name]
        with concurrent.futures.ThreadPoolExecutor(8 if check.on_gpu else 2) as pool:
            most = 99 if dtype == "f32" else 1
            found = list(pool.map(lambda name: golden(check, name, dtype, figures, most), names))
        worst, count, wrong = {}, 0, []
        for name, pairs in zip(names, found):
            for column, values in pairs.items():
                count += len(values)
                base = column.removesuffix("_variant").removesuffix("_forward").removesuffix("_reverse")
                if dtype == "f32":
                    error, limit = max(abs(ours - theirs) for ours, theirs in values), TOLERANCES[base]
                else:
                    square = sum(theirs**2 for _, theirs in values)
                    error = math.sqrt(sum((ours - theirs) ** 2 for ours, theirs in values) / square)
                    limit = REDUCED[dtype]
                worst[base] = max(worst.get(base, 0), error)
                if not error <= limit:
                    wrong.append(f"{name} {column}: {error:.2g} > {limit:g}")
        figures["models"], figures["numbers"] = len(names), count
        figures["worst" if dtype == "f32" else "worst_relative"] = {key: float(f"{value:.3g}") for key, value in
                                                                     worst.items()}
        require(not wrong, "; ".join(wrong[:5]))

    return step


def batches(check, figures):
    """A score does not depend on what else is in its batch."""
    checkpoint = check.checkpoint("NT-v2 50M", small=True)
    rows = []
    for number, tokens in enumerate([128, 4096, 131072]):
        store = check.store(f"batches-{number}")
        store.add("m", checkpoint)
        store.score("m", "t", "--region", REGION, "--score", "llr,distance", "--batch-tokens", tokens)
        rows.append(store.rows("t"))
    differences = [largest_difference(rows[0], other)[0] for other in rows[1:]]
    figures["largest_difference"] = max(differences)
    require(max(differences) <= NEAR, f"batches differ by {max(differences):.2g} > {NEAR:g}")


def other_device(check, figures):
    """All kinds of scores, embeddings and ablation equal those of a CPU."""
    for name in ["NT-v2 50M", "DNABERT-2 117M", "dnaGrinder shape"]:
        kinds = "llr,llr-grid,distance,pll" if name.startswith("NT") else "distance"
        found = []
        for side, device in [("here", check.device), ("cpu", "cpu")]:
            store = check.store(f"device-{side}-{name.replace(' ', '-')}")
            store.add("m", check.checkpoint(name, small=True))
            track, ablated = f"m.{kinds.replace(',', '+')}.w600", f"m.{kinds.split(',')[0]}.w600"
            for verb, options in [("score", ["--score", kinds, "--embeddings", "pooled"]),
                                  ("ablate", ["--score", kinds.split(",")[0]])]:
                store.score("m", None, "--region", f"{CONTIG}:2000-2009", *options, device=device, verb=verb)
            found.append([store.rows(track), store.rows(track, "--embeddings"), store.rows(ablated, "--ablation")])
        for table, ours, theirs in zip(["scores", "embeddings", "ablation"], *found):
            difference, count = largest_difference(ours, theirs)
            figures[f"{name} {table}"] = {"numbers": count, "largest_difference": difference}
            require(difference <= 10 * NEAR, f"{name}: {table} differ by {difference:.2g}")


def splice(check, figures):
    """A miniature of a splice network gives the same gene effects as on a CPU."""
    tables = []
    for side, device in [("here", check.device), ("cpu", "cpu")]:
        store = check.store(f"splice-{side}")
        store.add("m", check.kit / "splice")
        store.score("m", "t", "--region", REGION, "--distance", "10", device=device)
        # Of equal changes another may be called the largest: positions are not compared.
        tables.append({key: {column: value for column, value in row.items() if not column.endswith("_position")}
                       for key, row in store.rows("t", "--gene-effects").items()})
    figures["largest_difference"], figures["numbers"] = largest_difference(*tables)
    require(figures["largest_difference"] <= NEAR, f"gene effects differ by {figures['largest_difference']:.2g}")


def regulatory(check, figures):
    """Small regulatory models of every family give the same effects as on a CPU."""
    for family in ["borzoi", "flashzoi", "enformer"]:
        tables = []
        for side, device in [("here", check.device), ("cpu", "cpu")]:
            store = check.store(f"{family}-{side}")
            store.add("m", check.regulatory(family, small=True))
            kinds = "sad,sar,d2" if family == "enformer" else "log-sum,log-d2,sax"
            store.score("m", "t", "--region", f"{CONTIG}:8000-8009", "--window", "8192", "--strands", "forward",
                        "--score", kinds, device=device)
            tables.append(store.rows("t", "--effects"))
        difference, count = largest_difference(*tables)
        figures[family] = {"numbers": count, "largest_difference": difference}
        require(difference <= 10 * NEAR, f"{family}: effects differ by {difference:.2g}")


def transfer(check, figures):
    """Transfers of small regulatory models have the same losses as on a CPU, also with activations computed again."""
    length, step = 16384, 32
    tracks = check.work / "tracks"
    tracks.mkdir(exist_ok=True)
    lines = ["\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription"]
    for number, name in enumerate(["left", "right"]):
        values = [(start, (start // step * (number + 3)) % 7) for start in range(0, length, step)]
        (tracks / f"{name}.bedGraph").write_text(
            "".join(f"{CONTIG}\t{start}\t{start + step}\t{value}\n" for start, value in values))
        lines.append(f"{number}\t{name}\t{name}.bedGraph\t\t\t1\tmean\t{number}\t")
    (tracks / "targets.txt").write_text("\n".join(lines) + "\n")
    (tracks / "windows.bed").write_text(f"{CONTIG}\t0\t8192\ttrain\n{CONTIG}\t8192\t16384\tvalid\n")
    for family, method in [("borzoi", "full"), ("flashzoi", "lora"), ("enformer", "houlsby")]:
        losses = []
        for device, *options in [(check.device,), (check.device, "--activation-checkpointing"), ("cpu",)]:
            side = f"transfer-{family}-{len(losses)}"
            store = check.store(side)
            store.add("m", check.regulatory(family, small=True))
            output = check.work / f"{side}-model"
            check.run("vestore", "train", "transfer", store.path, "--model", "m", "--name", "moved", "--output", output,
                      "--method", method, "--targets", tracks / "targets.txt", "--sequences", tracks / "windows.bed",
                      "--window", "8192", "--steps", "8", "--evaluate-every", "1", "--learning-rate", "1e-3",
                      "--dropout", "0", "--device", device, "--quiet", *options)
            result = json.loads((output / "training.json").read_text())["result"]
            losses.append([point["loss"] for point in result["losses"] + result["validation"]])
        apart = max(abs(ours - theirs) / abs(theirs) for other in losses[1:] for ours, theirs in zip(losses[0], other))
        figures[f"{family} {method}"] = {"losses": len(losses[0]), "largest_relative_difference": apart}
        require(apart <= 10 * NEAR, f"{family} {method}: losses differ by {apart:.2g} of themselves")


def resume(check, figures):
    """A run that is killed and started again ends as one that was not."""
    checkpoint, tables = check.checkpoint("NT-v2 50M"), []
    region = f"{CONTIG}:1000-{4500 if check.on_gpu else 1900}"
    for name in ["whole", "killed"]:
        store = check.store(f"resume-{name}")
        store.add("m", checkpoint)
        if name == "killed":
            process = check.start(*store.command("m", "t", "--region", region, "--score", "distance"))
            while process.poll() is None and not store.count("t"):
                time.sleep(0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            figures["rows_when_killed"] = store.count("t")
        figures[f"seconds_{name}"] = round(store.score("m", "t", "--region", region, "--score", "distance")[1], 2)
        tables.append(store.rows("t"))
    figures["rows"] = len(tables[0])
    figures["same_numbers"] = tables[0] == tables[1]
    difference, _ = largest_difference(*tables)
    require(difference <= NEAR, f"resumed rows differ by {difference:.2g}")
    require(0 < figures["rows_when_killed"] < figures["rows"], "not killed halfway")


def two_processes(check, figures):
    """Two runs side by side on one device give the same rows as one alone."""
    checkpoint, stores = check.checkpoint("NT-v2 50M"), []
    region, kind = f"{CONTIG}:3000-{4000 if check.on_gpu else 3200}", "distance"
    for name in ["alone", "left", "right"]:
        store = check.store(f"two-{name}")
        store.add("m", checkpoint)
        stores.append(store)
    seconds_alone = stores[0].score("m", "t", "--region", region, "--score", kind)[1]
    started = time.monotonic()
    processes = [check.start(*store.command("m", "t", "--region", region, "--score", kind)) for store in stores[1:]]
    for process in processes:
        check.finish(process)
    seconds = time.monotonic() - started
    figures |= {"seconds_alone": round(seconds_alone, 2), "seconds_two_side_by_side": round(seconds, 2)}
    alone = stores[0].rows("t")
    for store in stores[1:]:
        difference, _ = largest_difference(alone, store.rows("t"))
        require(difference <= NEAR, f"rows differ by {difference:.2g}")


def out_of_memory(check, figures):
    """A batch that does not fit is divided; the rows are the same."""
    if not check.on_gpu:
        raise Skipped("only a GPU's memory can be filled here")
    hog = "import torch\nfree = torch.cuda.mem_get_info()[0]\n" \
          "held = torch.empty(int(free - 1.7e9), dtype=torch.uint8, device='cuda')\nprint('ready', flush=True)\ninput()"
    store, full = check.store("memory-free"), check.store("memory-full")
    region = f"{CONTIG}:3000-3600"
    for one in [store, full]:
        one.add("m", check.checkpoint("NT-v2 50M"))
    store.score("m", "t", "--region", region, "--score", "distance")
    process = check.start(sys.executable, "-c", hog, stdin=-1)
    try:
        require(process.stdout.readline().strip() == "ready", "cannot fill the GPU's memory")
        full.score("m", "t", "--region", region, "--score", "distance")
    finally:
        process.kill()
        process.communicate()
    run = json.loads(check.run("vestore", "run", "show", full.path, "1", "--format", "json"))
    figures["remarks"] = run["remarks"]
    figures["largest_difference"], figures["numbers"] = largest_difference(store.rows("t"), full.rows("t"))
    require(figures["largest_difference"] <= NEAR, "divided batches give other rows")
    require(any("memory" in remark for remark in run["remarks"]), "no batch was divided: nothing was shown")


def rescored(check, figures):
    """Stored rows are computed again and equal."""
    store = check.store("rescored")
    store.add("m", check.checkpoint("NT-v2 50M", small=True))
    store.score("m", "t", "--region", REGION, "--score", "llr,distance")
    _, errors = check.finish(check.start("vestore", "verify", store.path, "--rescore", "20"))
    figures["verify"] = errors.strip().splitlines()[-1]


STEPS = [
    ("programs", 60, programs),
    ("golden float32", 100, golden_sets("f32")),
    ("kinds, embeddings and ablation beside a CPU", 60, other_device),
    ("splice network beside a CPU", 15, splice),
    ("regulatory models beside a CPU", 30, regulatory),
    ("transfers beside a CPU", 40, transfer),
    ("golden bfloat16", 30, golden_sets("bf16")),
    ("golden TF32", 30, golden_sets("tf32")),
    ("other batches", 30, batches),
    ("killed and resumed", 40, resume),
    ("out of memory", 40, out_of_memory),
    ("two processes", 40, two_processes),
    ("rescored on a CPU", 20, rescored),
]
