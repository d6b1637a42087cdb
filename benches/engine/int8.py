"""What int8 products would give on a CPU: part of `make bench-engine`.

A Nucleotide Transformer in transformers and torch, in float32, bfloat16, with int8 weights alone (one scale per output,
`torch._weight_int8pack_mm`), and with int8 weights and activations (`quantize_dynamic`: one scale per output and one
per input tensor). torch has no such product with a scale per token; what it would cost in exactness is computed by
rounding in float32, without a time. Windows are masked at their middle; a score is the difference of two logits there,
as `llr`'s is. The forms take turns, and the fastest of their rounds counts.

    python benches/engine/int8.py CHECKPOINT --tokens 101,168 --windows 60

ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 FBGEMM_ENABLE_INSTRUCTIONS=AVX2 shows an older CPU.
"""

import argparse
import copy
import json
import time

import numpy
import torch
from baseline import nucleotide_transformer
from torch import nn

FORMS = ["float32", "bfloat16", "int8 weights", "int8 dynamic", "int8 per token"]


class Int8Weights(nn.Module):
    """A product of bfloat16 activations with int8 weights."""

    def __init__(self, linear):
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp(min=1e-12) / 127
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale.to(torch.bfloat16))
        self.bias = linear.bias

    def forward(self, states):
        flat = states.reshape(-1, states.shape[-1])
        output = torch._weight_int8pack_mm(flat, self.weight, self.scale).view(*states.shape[:-1], -1)
        return output if self.bias is None else output + self.bias


class Int8Tokens(nn.Module):
    """The float32 product of weights rounded to int8 per output and activations rounded to int8 per token."""

    def __init__(self, linear):
        super().__init__()
        self.weight, self.bias = nn.Parameter(self.rounded(linear.weight.detach())), linear.bias

    @staticmethod
    def rounded(rows):
        scale = rows.abs().amax(-1, keepdim=True).clamp(min=1e-12) / 127
        return (rows / scale).round() * scale

    def forward(self, states):
        return nn.functional.linear(self.rounded(states), self.weight, self.bias)


def with_linear(module, form):
    """Replaces the linear modules within `module`."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, form(child))
        else:
            with_linear(child, form)


def ranks(values):
    """Ranks, the mean of them among equal values."""
    _, place, count = numpy.unique(values, return_inverse=True, return_counts=True)
    return (numpy.cumsum(count) - (count - 1) / 2)[place]


def spearman(left, right):
    return numpy.corrcoef(ranks(left), ranks(right))[0, 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--tokens", default="101,168")
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = json.load(open(f"{options.checkpoint}/config.json"))
    full = nucleotide_transformer(options.checkpoint, config)
    # The heads are left in float32 or bfloat16: they run for one token of a window.
    models = {"float32": full, "bfloat16": copy.deepcopy(full).to(torch.bfloat16)}
    models["int8 weights"] = copy.deepcopy(models["bfloat16"])
    with_linear(models["int8 weights"].esm.encoder, Int8Weights)
    models["int8 per token"] = copy.deepcopy(full)
    with_linear(models["int8 per token"].esm.encoder, Int8Tokens)
    models["int8 dynamic"] = copy.deepcopy(full)
    models["int8 dynamic"].esm.encoder = torch.ao.quantization.quantize_dynamic(
        models["int8 dynamic"].esm.encoder, {nn.Linear}, dtype=torch.qint8
    )
    print(f"{torch.backends.cpu.get_cpu_capability()}, {torch.backends.quantized.engine}, {options.threads} threads")
    print(f"{'tokens':>6} {'form':<14} {'windows/s':>9} {'to float32':>10} {'Spearman':>9} {'largest difference':>18}")
    generator = torch.Generator().manual_seed(1)
    mask = config.get("mask_token_id", 2)
    for tokens in map(int, options.tokens.split(",")):
        count = max(min(options.windows, options.windows * 101 // tokens), 30)
        ids = torch.randint(5, 4000, (count, tokens), generator=generator)
        ids[:, tokens // 2] = mask
        pairs = torch.randint(5, 4000, (2, count), generator=generator)
        batch = max(1, 1536 // tokens)
        seconds, scores = dict.fromkeys(FORMS, float("inf")), {}
        with torch.inference_mode():
            for _ in range(options.rounds):
                for form in FORMS:
                    found, before = [], time.perf_counter()
                    for start in range(0, count, batch):
                        states = models[form].esm(ids[start : start + batch]).last_hidden_state[:, tokens // 2]
                        logits = models[form].lm_head(states).float()
                        rows, part = torch.arange(len(logits)), pairs[:, start : start + batch]
                        found.append(logits[rows, part[1]] - logits[rows, part[0]])
                    seconds[form] = min(seconds[form], time.perf_counter() - before)
                    scores[form] = torch.cat(found).numpy()
        for form in FORMS:
            exact, mine = scores["float32"], scores[form]
            rate = f"{count / seconds[form]:>9.2f} {seconds['float32'] / seconds[form]:>8.2f} x"
            print(
                f"{tokens:>6} {form:<14} {'' if form == 'int8 per token' else rate:>20}"
                f" {spearman(exact, mine):>9.5f} {abs(exact - mine).max():>18.4f}   (scores to {abs(exact).max():.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
