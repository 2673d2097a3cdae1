"""Masks that people drew, laid over the view that is compared: object masks, or maps of the regions of a picture.

They judge where a choice looked, and take no part in it. A mask in which 0 occurs marks an object (any other value);
one without 0 numbers the regions of the whole picture, as BSDS500's.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from focusmae.labelled import maps_of
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
    maps = maps_of(files, media, view, SIDE)
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


def _owners(labels: np.ndarray, grid: Grid) -> torch.Tensor:
    numbered = np.unique(labels, return_inverse=True)[1].reshape(labels.shape) + 1
    return token_segments(SegmentMap(numbered, np.ones(int(numbered.max())), "people"), grid)
