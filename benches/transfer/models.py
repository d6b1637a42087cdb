"""The published PyTorch models with the weights of a folder, and the adapters that vestore writes for them."""

import json
import pathlib

import torch
from safetensors.torch import load_file
from torch import nn


def fit(model, weights):
    """Gives each layer the size of its weights: the published classes fix widths and numbers of targets."""
    for name, module in model.named_modules():
        for part in ("weight", "bias", "running_mean", "running_var"):
            found, now = weights.get(f"{name}.{part}"), getattr(module, part, None)
            if found is None or now is None or now.shape == found.shape:
                continue
            if part.startswith("running"):
                setattr(module, part, torch.empty_like(found))
            else:
                setattr(module, part, nn.Parameter(torch.empty_like(found)))
        if isinstance(module, (nn.Conv1d, nn.Linear)) and f"{name}.weight" in weights:
            outputs, inputs = module.weight.shape[:2]
            if isinstance(module, nn.Linear):
                module.in_features, module.out_features = inputs, outputs
            else:
                module.in_channels, module.out_channels = inputs * module.groups, outputs
    missing, unexpected = model.load_state_dict(weights, strict=False)
    absent = [name for name in missing if not name.endswith("num_batches_tracked")]
    if absent or unexpected:
        raise ValueError(f"weights that are missing: {absent}, or unknown: {unexpected}")


class Borzoi(nn.Module):
    head = "human_head"

    def __init__(self, config, weights):
        from borzoi_pytorch.config_borzoi import BorzoiConfig
        from borzoi_pytorch.pytorch_borzoi_model import Borzoi as Published

        super().__init__()
        self.model = Published(BorzoiConfig(**config))
        fit(self.model, weights)

    def forward(self, bases):
        """The profile [targets, bins] of one-hot bases [4, bases]."""
        return self.model(bases.unsqueeze(0))[0]


class Enformer(nn.Module):
    head = "_heads.human.0"

    def __init__(self, config, weights):
        from enformer_pytorch.config_enformer import EnformerConfig
        from enformer_pytorch.modeling_enformer import Enformer as Published

        super().__init__()
        self.model = Published(EnformerConfig(**config))
        # The same modules have a second name there, under which they are fitted as well.
        parts = {"stem": "1", "conv_tower": "2", "transformer": "4", "final_pointwise": "6"}
        twice = {f"_trunk.{parts[start]}.{rest}": tensor for name, tensor in weights.items()
                 for start, _, rest in [name.partition(".")] if start in parts}
        fit(self.model, weights | twice)

    def forward(self, bases):
        return self.model(bases.T.unsqueeze(0), head="human")[0].T


def load(folder, base=None):
    """The model in eval mode, and its trained parameters where `folder` is an adapter of the checkpoint `base`."""
    folder = pathlib.Path(folder)
    checkpoint = pathlib.Path(base) if base else folder
    config = json.loads((checkpoint / "config.json").read_text())
    weights = load_file(checkpoint / "model.safetensors")
    family = Enformer if config["model_type"] == "enformer" else Borzoi
    if base:
        adapter = load_file(folder / "adapter_model.safetensors")
        prefix = "base_model.model."
        weights |= {name: torch.empty_like(adapter[prefix + name]) for name in
                    (f"{family.head}.weight", f"{family.head}.bias")}
        if "output_heads" in config:
            config["output_heads"] |= {"human": len(weights[f"{family.head}.bias"])}
    model = family(config, weights)
    if base:
        settings = json.loads((folder / "adapter_config.json").read_text())
        if settings["peft_type"] == "HOULSBY":
            attach_bottlenecks(model.model, settings, {name.removeprefix(prefix): tensor
                                                       for name, tensor in adapter.items()})
        else:
            from peft import PeftModel

            model.model = PeftModel.from_pretrained(model.model, folder, is_trainable=True)
    return model.eval()


class Bottleneck(nn.Module):
    """z + up(relu(down(z))) over what attention or the feed-forward network gives, before the residual is added."""

    def __init__(self, tensors):
        super().__init__()
        self.down, self.up = (nn.Linear(*tensors[f"{part}.weight"].shape[::-1]) for part in ("down", "up"))
        self.load_state_dict(tensors)

    def forward(self, values):
        return values + self.up(torch.relu(self.down(values)))


class Gate(nn.Module):
    """x + x * tanh(up(relu(down(mean of x along the window))))."""

    def __init__(self, down, up):
        super().__init__()
        self.down, self.up = nn.Parameter(down), nn.Parameter(up)

    def forward(self, values):
        factors = torch.tanh(torch.relu(values.mean(2) @ self.down.T) @ self.up.T)
        return values + values * factors.unsqueeze(2)


def attach_bottlenecks(model, settings, tensors):
    model.requires_grad_(False)
    with torch.no_grad():
        for name in settings["modules_to_save"]:
            module = model.get_submodule(name).requires_grad_(True)
            module.weight.copy_(tensors[f"{name}.weight"])
            module.bias.copy_(tensors[f"{name}.bias"])
    for number, block in enumerate(model.transformer):
        for part, name in zip(block, ("attention_adapter", "mlp_adapter")):
            prefix = f"transformer.{number}.{name}."
            part.fn.append(Bottleneck({key.removeprefix(prefix): tensor for key, tensor in tensors.items()
                                       if key.startswith(prefix)}))
    for name in settings.get("target_modules", []):
        gate = Gate(*(tensors[f"{name}.squeeze_excite.{part}.weight"] for part in ("down", "up")))
        model.set_submodule(name, nn.Sequential(model.get_submodule(name), gate))
