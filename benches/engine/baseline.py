"""The Python loop that `make bench-engine` compares with: transformers and torch on the same weights.

Reads one JSON task a line from stdin and answers each with one JSON line. It is given token ids, so that
tokenizing costs it nothing; it runs in inference mode with fused attention, sorts by length when asked, and
picks its batch size by trying some.
"""

import json
import resource
import sys
import time

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

BATCHES = [8, 16, 32]


def nucleotide_transformer(folder, config):
    """transformers' own ESM, with the bias-free gated MLP that the second version has."""
    from transformers import EsmConfig, EsmForMaskedLM

    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(config["hidden_size"], 2 * config["intermediate_size"], bias=False)

        def forward(self, hidden):
            left, right = self.dense(hidden).chunk(2, -1)
            return functional.silu(left) * right

    model = EsmForMaskedLM(EsmConfig(**config, attn_implementation="sdpa"))
    for layer in model.esm.encoder.layer:
        layer.intermediate = Gated()
        layer.output.dense = nn.Linear(config["intermediate_size"], config["hidden_size"], bias=False)
    missing, _ = model.load_state_dict(load_file(f"{folder}/model.safetensors"), strict=False)
    # The tables of rotary positions are computed; the contact head is not run.
    absent = [name for name in missing if not name.startswith("esm.contact_head") and "position" not in name]
    assert not [name for name in absent if "rotary" not in name], absent
    return model.eval()


class DnaBert2(nn.Module):
    """DNABERT-2's encoder: ALiBi, fused projections, gated MLP, norms after the sums."""

    def __init__(self, folder, config):
        super().__init__()
        self.heads, self.depth = config["num_attention_heads"], config["num_hidden_layers"]
        self.eps = config["layer_norm_eps"]
        for name, tensor in load_file(f"{folder}/model.safetensors").items():
            self.register_buffer(name.replace(".", "_"), tensor)
        powers = lambda count: [2 ** (-8 * (at + 1) / count) for at in range(count)]
        whole = 1 << (self.heads.bit_length() - 1)
        slopes = powers(whole) + powers(2 * whole)[0::2][: self.heads - whole]
        self.register_buffer("slopes", torch.tensor(slopes))

    def linear(self, states, name):
        bias = getattr(self, name + "_bias", None)
        return functional.linear(states, getattr(self, name + "_weight"), bias)

    def norm(self, states, name):
        weight, bias = getattr(self, name + "_weight"), getattr(self, name + "_bias")
        return functional.layer_norm(states, weight.shape, weight, bias, self.eps)

    def forward(self, ids, mask):
        length = ids.shape[1]
        places = torch.arange(length, device=ids.device)
        bias = -(places[None] - places[:, None]).abs() * self.slopes[:, None, None]
        bias = bias[None] + torch.where(mask, 0.0, -1e9)[:, None, None, :]
        states = self.bert_embeddings_word_embeddings_weight[ids]
        states = states + self.bert_embeddings_token_type_embeddings_weight[0]
        states = self.norm(states, "bert_embeddings_LayerNorm")
        bias = bias.to(states.dtype)
        for layer in range(self.depth):
            name = f"bert_encoder_layer_{layer}_"
            fused = self.linear(states, name + "attention_self_Wqkv")
            fused = fused.view(*ids.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(*fused, attn_mask=bias)
            mixed = mixed.transpose(1, 2).reshape(*ids.shape, -1)
            states = states + self.linear(mixed, name + "attention_output_dense")
            states = self.norm(states, name + "attention_output_LayerNorm")
            left, right = self.linear(states, name + "mlp_gated_layers").chunk(2, -1)
            output = self.linear(functional.gelu(left) * right, name + "mlp_wo")
            states = self.norm(states + output, name + "mlp_layernorm")
        return states


def masked(model, task, rows, batch):
    """Logit of the alternate less that of the reference token at the masked one."""
    values = [0.0] * len(rows)
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        ids = torch.tensor([task["ids"][row] for row in part])
        at = torch.tensor([task["mask"][row] for row in part])
        states = model.esm(ids).last_hidden_state[torch.arange(len(part)), at]
        logits = model.lm_head(states).float()
        for place, row in enumerate(part):
            difference = logits[place, task["alternate"][row]] - logits[place, task["reference"][row]]
            values[start + place] = difference.item()
    return values


def pooled(model, task, rows, batch):
    """L1 between the mean states of each two windows that follow each other."""
    means = {}
    for start in range(0, len(rows), batch):
        part = [task["ids"][row] for row in rows[start : start + batch]]
        length = max(map(len, part))
        ids = torch.tensor([tokens + [0] * (length - len(tokens)) for tokens in part])
        lengths = torch.tensor([len(tokens) for tokens in part])
        places = torch.arange(length, device=ids.device)
        mask = places[None] < lengths[:, None]
        content = (mask & (places[None] > 0) & (places[None] < lengths[:, None] - 1))[:, :, None]
        states = model(ids, mask).float()
        mean = (states * content).sum(1) / content.sum(1)
        means.update(zip(rows[start : start + batch], mean))
    return [(means[row + 1] - means[row]).abs().sum().item() for row in range(0, len(means), 2)]


def main():
    start = json.loads(sys.stdin.readline())
    torch.set_num_threads(start["threads"])
    config = json.load(open(start["checkpoint"] + "/config.json"))
    if start["family"] == "dnabert2":
        model, run = DnaBert2(start["checkpoint"], config), pooled
    else:
        model, run = nucleotide_transformer(start["checkpoint"], config), masked
    model = model.to(getattr(torch, start["dtype"]))
    best = {}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        rows = list(range(len(task["ids"])))
        with torch.inference_mode():
            longest = max(map(len, task["ids"]))
            if longest not in best:
                rates = []
                for batch in [batch for batch in BATCHES if batch <= len(rows)]:
                    few = rows[:batch]
                    run(model, task, few, batch)
                    before = time.perf_counter()
                    run(model, task, few, batch)
                    rates.append((len(few) / (time.perf_counter() - before), batch))
                best[longest] = max(rates)[1]
            before = time.perf_counter()
            if task.get("sort"):
                rows.sort(key=lambda row: len(task["ids"][row]))
            values = run(model, task, rows, best[longest])
            seconds = time.perf_counter() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answer = {"seconds": seconds, "values": values, "batch": best[longest], "peak": peak}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
