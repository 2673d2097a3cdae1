"""Number formats for the large models: float32 as they were trained, or something quicker that one cannot see.

Only the linear layers inside the blocks change, which do nearly all of the work; layer norms, the sum that runs
through the blocks, embeddings and heads stay float32.

* bfloat16: for GPUs, and for processors with units for it (AMX, AVX512-BF16).
* int8: for processors that multiply bytes quickly (AVX512-VNNI): weights with one scale per output, activations with
  one scale per token, found as they come (so there is nothing to calibrate), sums in int32.

FOCUSMAE_PRECISION chooses: "float32", "bfloat16", "int8", or "fast", the quickest that the processor has units for.
Without it a CPU computes in float32 and a GPU in bfloat16.
"""

import os

import torch
import torch.nn.functional as F
from torch import nn

from focusmae.errors import SettingsError

VARIABLE = "FOCUSMAE_PRECISION"
CHOICES = ("float32", "bfloat16", "int8", "fast")


class HalfLinear(nn.Module):
    """A linear layer in bfloat16; what it gives back joins the float32 sum of a block by itself."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.weight = nn.Parameter(layer.weight.detach().bfloat16(), requires_grad=False)
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.detach().bfloat16(), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x.to(torch.bfloat16), self.weight, self.bias)


class ByteLinear(nn.Module):
    """A linear layer in int8: x (..., in) float32 -> (..., out) float32."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        weight = layer.weight.detach()
        scale = (weight.abs().amax(1) / 127).clamp_min(1e-12)
        bias = torch.zeros_like(scale) if layer.bias is None else layer.bias.detach()
        self.register_buffer("weight", (weight / scale.unsqueeze(1)).round().to(torch.int8))
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.reshape(-1, x.shape[-1])
        step = rows.abs().amax(1, keepdim=True).div_(127).clamp_min_(1e-12)
        sums = torch._int_mm((rows / step).round_().to(torch.int8), self.weight.t())
        return torch.addcmul(self.bias, sums.float().mul_(self.scale), step).view(*x.shape[:-1], -1)


LAYERS = {"bfloat16": HalfLinear, "int8": ByteLinear}


def wanted(device: torch.device, choice: str | None = None) -> str:
    """The number format for large models on ``device``: ``choice``, else what FOCUSMAE_PRECISION says, else standard.

    Raises SettingsError for a choice that there is not, or not on this device.
    """
    choice = choice or os.environ.get(VARIABLE) or ("bfloat16" if device.type == "cuda" else "float32")
    if choice not in CHOICES:
        raise SettingsError(f"{VARIABLE} is one of {', '.join(CHOICES)}, not {choice!r}.")
    if choice == "fast":
        return quickest(device)
    if choice == "int8" and device.type != "cpu":
        raise SettingsError(f"{VARIABLE}=int8 is for CPUs; on a GPU choose bfloat16 or float32.")
    return choice


def quickest(device: torch.device) -> str:
    """The quickest format that ``device`` has units for."""
    if device.type != "cpu" or torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
        return "bfloat16"
    return "int8" if torch.cpu._is_vnni_supported() else "float32"


def lighten(model: nn.Module, precision: str) -> nn.Module:
    """Replace the linear layers inside the blocks of ``model``, which is changed and returned."""
    make = LAYERS.get(precision)
    for name, part in list(model.named_modules()) if make else ():
        if isinstance(part, nn.Linear) and "blocks." in name:
            owner, _, own = name.rpartition(".")
            owner = model.get_submodule(owner)
            if isinstance(getattr(owner, "q_norm", None) or nn.Identity(), nn.Identity):  # else norms would mix formats
                setattr(owner, own, make(part))
    model.precision = precision
    return model
