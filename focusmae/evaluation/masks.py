"""Masks that people drew, laid over the view that is compared: object masks, or maps of the regions of a picture.

They judge where a choice looked, and take no part in it. A mask in which 0 occurs marks an object (any other value);
one without 0 numbers the regions of the whole picture, as BSDS500's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from focusmae.errors import MediaError
from focusmae.masking import Grid
from focusmae.media import Media, View
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import token_segments

SIDE = 224
ON_OBJECT = 0.5  # share of a token from which on it counts as the object's


@dataclass(frozen=True)
class Masks:
    """foreground: bool (T, 224, 224); None for region maps, of which ``regions`` holds each one's token owners (N,)."""

    foreground: torch.Tensor | None
    regions: tuple[torch.Tensor, ...] = ()

    def shares(self, grid: Grid) -> torch.Tensor:
        """How much of each token is the object: (N,) float in [0, 1]."""
        t, h, w = grid
        frames = self.foreground.float().reshape(t, -1, h, SIDE // h, w, SIDE // w)
        return frames.mean((1, 3, 5)).flatten()


def read_masks(files: tuple[Path, ...], media: Media, view: View, grid: Grid) -> Masks | None:
    """The masks over ``view``; None if there are none, or if the object is nowhere in the view.

    Raises MediaError, which names the mask, if one is missing, broken, or of another shape than the picture.
    """
    if not files:
        return None
    maps = [_over_view(each, media, view) for each in files]
    if not all((each == 0).any() for each in maps):
        return Masks(None, tuple(_owners(each, grid) for each in maps))
    if len(maps) > 1:  # several people's: what most of them saw
        foreground = np.mean([each > 0 for each in maps], axis=0) >= 0.5
    else:
        foreground = maps[0] > 0
    return Masks(torch.from_numpy(foreground)) if foreground.any() else None


def regions_seen(regions: tuple[torch.Tensor, ...], visible: torch.Tensor) -> torch.Tensor:
    """Share of the regions that own a visible token, (S,) for visible (S, K), mean over the people who drew them."""
    shares = []
    for owners in regions:
        touched = torch.zeros(len(visible), int(owners.max()) + 1, dtype=torch.bool)
        touched.scatter_(1, owners[visible], True)
        shares.append(touched.sum(1) / len(owners.unique()))
    return torch.stack(shares).mean(0)


def _over_view(path: Path, media: Media, view: View) -> np.ndarray:
    """One map, or one per frame, as integers (T, 224, 224) cut as the view."""
    if not path.is_dir():
        return np.stack([_cut(path, media, view)] * len(view.times))
    frames = sorted(path.glob("*.png"))
    if not frames:
        raise MediaError(f'The folder of masks "{path.name}" of "{media.name}" holds no PNG: put one in per frame.')
    numbers = [min(round(time * media.fps), len(frames) - 1) for time in view.times]
    cuts = {number: _cut(frames[number], media, view) for number in set(numbers)}
    return np.stack([cuts[number] for number in numbers])


def _cut(path: Path, media: Media, view: View) -> np.ndarray:
    try:
        with Image.open(path) as image:
            values = np.array(image if image.mode in ("P", "L", "I", "I;16", "1") else image.convert("L"), np.int64)
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(f'The mask "{path.name}" of "{media.name}" cannot be read: put a PNG there.') from error
    height, width = values.shape
    if abs(width / height * media.height / media.width - 1) > 0.03:
        raise MediaError(
            f'The mask "{path.name}" is {width} × {height} and "{media.name}" {media.width} × {media.height}: '
            "give it the same shape."
        )
    x0, y0, x1, y1 = view.box
    centres = (np.arange(SIDE) + 0.5) / SIDE
    columns = ((x0 + (x1 - x0) * centres) * width / media.width).astype(int).clip(0, width - 1)
    rows = ((y0 + (y1 - y0) * centres) * height / media.height).astype(int).clip(0, height - 1)
    return values[rows[:, None], columns]


def _owners(labels: np.ndarray, grid: Grid) -> torch.Tensor:
    numbered = np.unique(labels, return_inverse=True)[1].reshape(labels.shape) + 1
    return token_segments(SegmentMap(numbered, np.ones(int(numbered.max())), "people"), grid)
