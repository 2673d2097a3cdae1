"""The embedded autoencoder's last layers: a small U-Net (Ronneberger et al., MICCAI 2015) that goes over the picture.

Transformer tokens know what a patch of 16 px may hold, but every one of them paints alone. The convolutions see at once
what the decoder painted, the visible pixels, and the interpolation between them, and carry edges across the borders of
patches. They work on one picture per tubelet, at half the resolution: finer than that nothing hidden can be foretold.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

STEM = 2  # pixels of the halved picture along each side of a cell of the finest level


class Convolutions(nn.Module):
    """Two 3 x 3 convolutions beside the identity, as which they begin. (B, width, h, w) -> the same shape."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.gelu(self.first(F.gelu(x))))


class Retouch(nn.Module):
    """What to add to a picture. ``widths``: channels per level, each level half as fine as the one before.

    guess, picture (B, 3, t * tubelet, H, W): closed-form and painted, normalised; known (B, 1, t, h, w) in {0, 1}: the
    visible cells of 2 px. Returns (B, 3, t * tubelet, H, W), the same for all frames of a tubelet; zeros at first.
    """

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Conv2d(7 * STEM**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Convolutions(width) for width in widths)
        self.up = nn.ModuleList(Convolutions(width) for width in widths)
        steps = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in steps)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in steps)
        self.paint = nn.Conv2d(widths[0], 3 * STEM**2, 3, padding=1)
        nn.init.zeros_(self.paint.weight)
        nn.init.zeros_(self.paint.bias)

    def forward(self, guess: torch.Tensor, picture: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        tubelet = guess.shape[2] // known.shape[2]
        halved = [F.avg_pool3d(frames, (tubelet, 2, 2)) for frames in (guess, picture)]
        x = torch.cat([halved[0], known.to(guess.dtype) - 0.5, halved[1]], 1).transpose(1, 2)
        batch = x.shape[:2]
        x = F.interpolate(self._levels(x.flatten(0, 1)), scale_factor=2, mode="bilinear", align_corners=False)
        return x.unflatten(0, batch).transpose(1, 2).repeat_interleave(tubelet, 2)

    def _levels(self, x: torch.Tensor) -> torch.Tensor:
        """(M, 7, h, w) -> (M, 3, h, w), h and w multiples of 2 to the number of levels."""
        x, kept = self.stem(F.pixel_unshuffle(x, STEM).contiguous(memory_format=torch.channels_last)), []
        for level, shrink in zip(self.down[:-1], self.shrink, strict=True):
            x = level(x)
            kept.append(x)
            x = shrink(x)
        x = self.up[-1](self.down[-1](x))
        for level, grow in zip(reversed(self.up[:-1]), reversed(self.grow), strict=True):
            x = level(kept.pop() + F.interpolate(grow(x), scale_factor=2, mode="nearest"))
        return F.pixel_shuffle(self.paint(x), STEM)
