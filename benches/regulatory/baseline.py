"""The Python that `make bench-regulatory` compares with: borzoi-pytorch and enformer-pytorch on the same weights.

Called with a family, the folder of a checkpoint and a number of threads. Reads one JSON task a line from stdin (the
bases of a window and a file for the answer), writes the profile [targets, bins] as float32 to the file, and answers
with the seconds of the forward pass. It runs in inference mode.
"""

import importlib.machinery
import json
import resource
import sys
import time
import types

import numpy
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional


class FusedAttention(nn.Module):
    """flash_attn's MHA as Flashzoi configures it, which runs on GPUs alone, over torch's own fused attention."""

    def __init__(self, embed_dim, num_heads, num_heads_kv, rotary_emb_dim, rotary_emb_base, **_):
        super().__init__()
        self.heads, self.shared, self.length = num_heads, num_heads_kv, embed_dim // num_heads
        self.rotated, self.base = rotary_emb_dim, rotary_emb_base
        self.Wqkv = nn.Linear(embed_dim, (num_heads + 2 * num_heads_kv) * self.length)
        self.out_proj = nn.Linear(embed_dim, embed_dim)

    def rotate(self, vectors):
        half = self.rotated // 2
        powers = self.base ** (-torch.arange(half) / half)
        angles = torch.outer(torch.arange(vectors.shape[2]).float(), powers)
        left, right = vectors[..., :half], vectors[..., half : 2 * half]
        turned = [left * angles.cos() - right * angles.sin(), right * angles.cos() + left * angles.sin()]
        return torch.cat([*turned, vectors[..., 2 * half :]], -1)

    def forward(self, tokens):
        batch, count, _ = tokens.shape
        heads = self.Wqkv(tokens).view(batch, count, -1, self.length).transpose(1, 2)
        query, key, value = heads.split([self.heads, self.shared, self.shared], 1)
        twice = self.heads // self.shared
        key, value = self.rotate(key).repeat_interleave(twice, 1), value.repeat_interleave(twice, 1)
        read = functional.scaled_dot_product_attention(self.rotate(query), key, value)
        return self.out_proj(read.transpose(1, 2).reshape(batch, count, -1))


def load(family, folder):
    """A function from one-hot bases [bases, 4] to the profile [targets, bins]."""
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    weights = load_file(f"{folder}/model.safetensors")
    if family == "enformer":
        from enformer_pytorch.config_enformer import EnformerConfig
        from enformer_pytorch.modeling_enformer import Enformer

        model = Enformer(EnformerConfig(**config))
        # The same modules have a second name there.
        weights |= {
            name: weights[plain]
            for name in model.state_dict()
            for part, start in (("1", "stem"), ("2", "conv_tower"), ("4", "transformer"), ("6", "final_pointwise"))
            if name.startswith(f"_trunk.{part}.") and (plain := start + name[len("_trunk.1") :]) in weights
        }
        run = lambda bases: model(bases.unsqueeze(0), head="human")[0].T
    else:
        if family == "flashzoi":
            for name in ("flash_attn", "flash_attn.modules", "flash_attn.modules.mha"):
                sys.modules[name] = types.ModuleType(name)
                # transformers looks for it, and then for its version, which is not there.
                sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)
            sys.modules["flash_attn.modules.mha"].MHA = FusedAttention
        from borzoi_pytorch.config_borzoi import BorzoiConfig
        from borzoi_pytorch.pytorch_borzoi_model import Borzoi

        model = Borzoi(BorzoiConfig(**config))
        run = lambda bases: model(bases.T.unsqueeze(0))[0]
    missing, unexpected = model.load_state_dict(weights, strict=False)
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not absent and not unexpected, (absent, unexpected)
    model.eval()
    return run


def main():
    family, folder, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    # Answers go to the stream that was stdout; whatever libraries print goes elsewhere.
    answers, sys.stdout = sys.stdout, sys.stderr
    run = load(family, folder)
    for line in sys.stdin:
        task = json.loads(line)
        letters = numpy.frombuffer(task["bases"].encode(), dtype=numpy.uint8)
        bases = torch.from_numpy(letters[:, None] == numpy.frombuffer(b"ACGT", dtype=numpy.uint8)).float()
        start = time.perf_counter()
        with torch.inference_mode():
            profile = run(bases)
        seconds = time.perf_counter() - start
        profile.contiguous().numpy().tofile(task["answer"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": seconds, "peak": peak}), file=answers, flush=True)


main()
