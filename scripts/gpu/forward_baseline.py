"""Forward passes of the same checkpoint in Python: transformers or plain torch, fused attention, with and without
torch.compile. Prints a JSON object a line, as `forward_rate` does.

usage: forward_baseline.py CHECKPOINT FAMILY TOKENS,… BATCH_TOKENS DEVICE DTYPE ROUNDS COMPILE
"""

import json
import sys
import time

import torch

import baseline


def fastest(device, rounds, run):
    """The least seconds of the rounds after one that warms up."""
    least = float("inf")
    for number in range(rounds + 1):
        started = time.perf_counter()
        states = run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        least = min(least, time.perf_counter() - started) if number else float("inf")
    return least, states


def main():
    folder, family, tokens, batch_tokens, device, dtype, rounds, compiled = sys.argv[1:]
    device = torch.device(device)
    kind = {"f32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}[dtype]
    if dtype == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
    config = json.load(open(f"{folder}/config.json"))
    if family == "dnabert2":
        model = baseline.DnaBert2(folder, config)
    else:
        model = baseline.nucleotide_transformer(folder, config).esm
    model = model.to(device, kind).eval()
    if compiled == "compiled":
        model = torch.compile(model)
    for length in map(int, tokens.split(",")):
        batch = max(int(batch_tokens) // length, 1)
        ids = (torch.arange(batch * length, device=device) % 61 + 5).view(batch, length)
        mask = torch.ones_like(ids, dtype=torch.bool)
        with torch.inference_mode():
            run = (lambda: model(ids, mask)) if family == "dnabert2" else (lambda: model(ids).last_hidden_state)
            seconds, states = fastest(device, int(rounds), run)
            magnitude = states[0].float().abs().mean().item()
        print(json.dumps({"step": "forward", "tokens": length, "batch": batch, "seconds": seconds,
                          "mean_magnitude": magnitude}), flush=True)


if __name__ == "__main__":
    main()
