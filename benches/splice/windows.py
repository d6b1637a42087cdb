"""Whole windows in PyTorch, reference and alternate, without padding: what computing no position twice is compared with.
Reads a task as JSON from stdin, prints deltas by variant and gene as JSON. SNVs only."""

import csv
import json
import sys

import torch
from safetensors.torch import load_file
from torch.nn.functional import conv1d, one_hot, relu, softmax


class Network:
    def __init__(self, weights, config, number):
        self.weights, self.config, self.name = weights, config, f"models.{number}."

    def convolution(self, values, part, dilation=1):
        weight, bias = (self.weights[f"{self.name}{part}.{what}"] for what in ("weight", "bias"))
        return conv1d(values, weight, bias, dilation=dilation)

    def norm(self, values, part):
        weight, bias, mean, variance = (self.weights[f"{self.name}{part}.{what}"][:, None] for what in
                                        ("weight", "bias", "running_mean", "running_var"))
        return (values - mean) * (weight / torch.sqrt(variance + self.config["batch_norm_eps"])) + bias

    def __call__(self, bases):
        stream = self.convolution(bases, "stem")
        outputs = bases.shape[2] - self.config["context"]
        skip = self.convolution(middle(stream, outputs), "skips.0")
        for block, dilation in enumerate(self.config["dilations"]):
            inner = stream
            for part in (1, 2):
                inner = relu(self.norm(inner, f"blocks.{block}.norm{part}"))
                inner = self.convolution(inner, f"blocks.{block}.conv{part}", dilation)
            stream = inner + middle(stream, inner.shape[2])
            group, rest = divmod(block + 1, self.config["skip_every"])
            if rest == 0:
                skip = skip + self.convolution(middle(stream, outputs), f"skips.{group}")
        return softmax(self.convolution(skip, "head"), 1)


def middle(values, length):
    start = (values.shape[2] - length) // 2
    return values[:, :, start:start + length]


def window(text, start, length, gene):
    """Bases of a window; N beyond the contig and outside the gene, whose last base the original leaves out."""
    first, last = int(gene["start"]) - 1, int(gene["end"]) - 1
    return "".join(text[at] if first <= at < last and at < len(text) else "N" for at in range(start, start + length))


def encoded(bases, forward):
    codes = torch.tensor(["ACGT".find(base) for base in bases])
    values = one_hot(codes.clamp(min=0), 4).float() * (codes >= 0)[:, None]
    return (values if forward else values.flip(0, 1)).T[None]


def main():
    torch.set_num_threads(1)
    task = json.load(sys.stdin)
    with open(task["fasta"], encoding="ascii") as file:
        text = "".join(line.strip().upper() for line in file if line[0] != ">")
    with open(f"{task['model']}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    weights = load_file(f"{task['model']}/model.safetensors")
    networks = [Network(weights, config, number) for number in range(config["models"])]
    with open(task["genes"], newline="", encoding="utf-8") as file:
        genes = list(csv.DictReader(file))
    distance, rows = task["distance"], []
    for contig, position, reference, alternate in task["variants"]:
        start, length = position - 1 - distance - config["context"] // 2, 2 * distance + 2 + config["context"]
        at = position - 1 - start
        for gene in genes:
            if gene["chr"].removeprefix("chr") != contig.removeprefix("chr"):
                continue
            if not int(gene["start"]) <= position < int(gene["end"]):
                continue
            before = window(text, start, length, gene)
            assert before[at] == reference
            after = before[:at] + alternate + before[at + 1:]
            with torch.inference_mode():
                one, other = (sum(network(encoded(bases, gene["strand"] == "+")) for network in networks) / len(networks)
                              for bases in (before, after))
            change = (other - one)[0, 1:]
            deltas = [value for site in change for value in (site.max().item(), (-site).max().item())]
            rows.append([position, alternate, gene["gene_id"], deltas])
    json.dump(rows, sys.stdout)


main()
