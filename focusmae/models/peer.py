"""transformers' own MAE and VideoMAE, timed as a user calls them: ``python -m focusmae.models.peer NAME FOLDER N``.

In a process of its own, so that none of our settings (allocator, precision) reach it. Weights are random, of the true
size, and saved into FOLDER, so that ours can be timed on the same ones. Prints {"seconds": median of N}, for two
calls in a row: one picture, two masks, as a comparison of two ways of masking needs.
"""

import json
import sys
from pathlib import Path

import torch

from focusmae.timing import median

KEPT = {"mae-base": 49, "videomae-base": 157}  # visible tokens: 25 % of a photo's, 10 % of a clip's


def build(name: str):
    """The model with random weights of its true size, and ``call(visible)`` on one fixed input."""
    # Here and not above: ours are timed without transformers in the process.
    from transformers import VideoMAEConfig, VideoMAEForPreTraining, ViTMAEConfig, ViTMAEForPreTraining

    torch.manual_seed(0)
    if name == "mae-base":
        model, pixels = ViTMAEForPreTraining(ViTMAEConfig()).eval(), torch.randn(1, 3, 224, 224)
        return model, lambda mask: model(pixels, noise=(~mask).float()[None])
    model = VideoMAEForPreTraining(VideoMAEConfig(use_mean_pooling=False)).eval()
    pixels = torch.randn(1, 16, 3, 224, 224)
    return model, lambda mask: model(pixels, bool_masked_pos=~mask[None])


def masks(name: str, seed: int = 0) -> torch.Tensor:
    """Two masks (2, N), True where a token is visible."""
    tokens = 196 if name == "mae-base" else 1568
    noise = torch.rand(2, tokens, generator=torch.Generator().manual_seed(seed))
    return torch.zeros(2, tokens, dtype=torch.bool).scatter_(1, noise.argsort(1)[:, : KEPT[name]], True)


def main(name: str, folder: Path, repeats: int) -> None:
    model, call = build(name)
    model.save_pretrained(folder)
    with torch.no_grad():
        seconds = median(lambda number: [call(mask) for mask in masks(name, number)], repeats)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
