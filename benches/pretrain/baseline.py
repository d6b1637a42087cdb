"""The Python loop that `make bench-pretrain` compares with: transformers and torch on the same first weights, the
same windows and masks, the same learning rates and optimizer.

Reads one JSON task from stdin and answers with one JSON line. Windows come as token ids, so that drawing and
tokenizing cost it nothing; attention is fused, logits are computed for the hidden tokens alone, and the optimizer
works on all tensors at once.
"""

import json
import sys
import time

import torch
from torch.nn import functional
from transformers import EsmForMaskedLM, logging

logging.set_verbosity_error()
logging.disable_progress_bar()


def main():
    task = json.load(sys.stdin)
    # A config.json that says nothing of dropout would get some.
    model = EsmForMaskedLM.from_pretrained(
        task["checkpoint"],
        attn_implementation="sdpa",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    ).train()
    options = task["optimizer"]
    # The contact head serves no loss.
    named = [(name, weight) for name, weight in model.named_parameters() if "contact_head" not in name]
    matrices = [weight for _, weight in named if weight.dim() > 1]
    vectors = [weight for _, weight in named if weight.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": options["weight_decay"]}, {"params": vectors, "weight_decay": 0.0}],
        betas=(options["beta1"], options["beta2"]),
        eps=options["epsilon"],
        foreach=True,
    )
    batches = []
    for batch in task["batches"]:
        length = len(batch[0]["ids"])
        flat = [row * length + place for row, window in enumerate(batch) for place in window["places"]]
        batches.append(
            (
                torch.tensor([window["ids"] for window in batch]),
                torch.tensor(flat),
                torch.tensor([label for window in batch for label in window["labels"]]),
                torch.tensor([weight for window in batch for weight in window["weights"]]),
            )
        )
    losses = []
    started = time.perf_counter()
    for rate, (ids, flat, labels, weights) in zip(task["rates"], batches):
        for group in optimizer.param_groups:
            group["lr"] = rate
        hidden = model.esm(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        chosen = hidden.reshape(-1, hidden.shape[-1])[flat]
        entropies = functional.cross_entropy(model.lm_head(chosen), labels, reduction="none")
        loss = (entropies * weights).sum() / weights.sum()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight for _, weight in named], options["clip"])
        optimizer.step()
        losses.append(loss.item())
    print(json.dumps({"seconds": time.perf_counter() - started, "losses": losses}))


main()
