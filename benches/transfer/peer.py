"""The PyTorch side: reads a task as JSON from stdin and prints an answer as JSON.

`train`: the plain loop that vestore's steps are compared with. `predict`: profiles of windows. `views`: the loss of
each training window on either strand and shifted. The model is in eval mode, so nothing is dropped and batch norms keep
their statistics.
"""

import json
import math
import resource
import sys
import time

import numpy
import torch
from models import load

EPSILON = 1e-7


def loss_of(predicted, measured, total_weight):
    """Poisson of the totals and multinomial of the bins [targets, bins], each divided by the bins; nan are left out."""
    losses = []
    for rates, counts in zip(predicted, measured):
        known = ~torch.isnan(counts)
        rates, counts = rates[known], counts[known]
        total, seen = rates.sum(), counts.sum()
        poisson = total - seen * torch.log(total + EPSILON)
        multinomial = -((counts + EPSILON) * torch.log((rates + EPSILON) / total)).sum()
        losses.append((total_weight * poisson + multinomial) / known.sum())
    return torch.stack(losses).mean()


def one_hot(codes):
    return torch.from_numpy((codes == numpy.arange(4, dtype=numpy.uint8)[:, None]).astype(numpy.float32))


def windows(file, split):
    found = numpy.load(file)
    chosen = found["splits"] == split
    return [(one_hot(codes), torch.from_numpy(values)) for codes, values in
            zip(found["bases"][chosen], found["values"][chosen])]


def prepared(task):
    model = load(task["folder"], task.get("base"))
    if task["method"] == "linear":
        model.requires_grad_(False)
        model.model.get_submodule(model.head).requires_grad_(True)
    return model


def train(task):
    model = prepared(task)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": [one for one in parameters if (one.dim() > 1) == decayed], "weight_decay": decay}
              for decayed, decay in ((True, task["weight_decay"]), (False, 0.0))]
    optimizer = torch.optim.AdamW([group for group in groups if group["params"]], betas=(0.9, 0.999), eps=1e-8)
    training, validation = windows(task["data"], "train"), windows(task["data"], "valid")
    batch, steps = task["batch"], task["steps"]
    losses, held_out, seconds, cpu = [], [], [], []
    for step in range(steps):
        started, began = time.perf_counter(), time.process_time()
        chosen = [training[(step * batch + number) % len(training)] for number in range(batch)]
        sum_of = 0.0
        for bases, measured in chosen:
            loss = loss_of(model(bases), measured, task["total_weight"])
            (loss / batch).backward()
            sum_of += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, task["clip"])
        for group in optimizer.param_groups:
            group["lr"] = task["rate"] * (1 - step / max(steps - 1, 1))
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        seconds.append(time.perf_counter() - started)
        cpu.append(time.process_time() - began)
        losses.append(sum_of / batch)
        if task["evaluate"]:
            with torch.no_grad():
                found = [loss_of(model(bases), measured, task["total_weight"]).item() for bases, measured in validation]
            held_out.append(sum(found) / len(found))
    return {"losses": losses, "validation": held_out, "seconds": seconds, "cpu": cpu,
            "trained": sum(parameter.numel() for parameter in parameters)}


def predict(task):
    model = load(task["folder"], task.get("base"))
    with torch.inference_mode():
        profiles = [model(one_hot(codes)).numpy() for codes in numpy.load(task["data"])]
    numpy.save(task["answer"], numpy.stack(profiles))
    return {}


def views(task):
    """[window, strand, shift] losses; a shifted window reads beyond its ends, what was measured stays."""
    model = load(task["folder"], task.get("base"))
    found = numpy.load(task["data"])
    contig, length = found["bases"].reshape(-1), found["bases"].shape[1]
    beyond = numpy.full(task["shift"], 4, dtype=numpy.uint8)
    contig = numpy.concatenate([beyond, contig, beyond])
    pairs = torch.tensor(task["pairs"])
    losses = []
    for at in numpy.flatnonzero(found["splits"] == "train"):
        measured = torch.from_numpy(found["values"][at])
        strands = [[], []]
        for shift in range(-task["shift"], task["shift"] + 1):
            start = at * length + task["shift"] + shift
            bases = one_hot(contig[start : start + length])
            with torch.inference_mode():
                strands[0].append(loss_of(model(bases), measured, task["total_weight"]).item())
                turned = measured[pairs].flip(1)
                strands[1].append(loss_of(model(bases.flip(0, 1)), turned, task["total_weight"]).item())
        losses.append(strands)
    assert all(math.isfinite(loss) for window in losses for strand in window for loss in strand)
    return {"losses": losses}


def main():
    task = json.load(sys.stdin)
    torch.set_num_threads(task["threads"])
    # Answers go to the stream that was stdout; whatever libraries print goes elsewhere.
    answers, sys.stdout = sys.stdout, sys.stderr
    answer = {"train": train, "predict": predict, "views": views}[task["task"]](task)
    answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(answer), file=answers)


main()
