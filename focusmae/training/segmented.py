"""Photos with their segments, from which the scorer learns: cut at several scales, or drawn by people.

Other segmenters cut coarser or finer than superpixels do, and along objects rather than colours; maps that people drew
come closest to what SAM finds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from focusmae.errors import FocusMAEError, MediaError
from focusmae.labelled import find_labelled, is_object_mask, maps_of
from focusmae.media import open_media
from focusmae.segments.base import Segmenter, SegmentMap
from focusmae.segments.objectness import objectness
from focusmae.segments.regions import to_lab
from focusmae.training.data import CLIPS, SIDE, Reader, first_readable

MOST_SEGMENTS = 64
TIMES = (0, 5, 10, 15)  # the frames of a clip that serve as photos
Example = tuple[torch.Tensor, int, SegmentMap]  # uint8 (3, 224, 224), number of its label or -1, segments over it


class Examples(Protocol):
    """A fixed number of photos; ``draws`` decides what is not fixed about one."""

    def __len__(self) -> int: ...

    def example(self, number: int, draws: torch.Generator) -> Example: ...


@dataclass
class _Frames:
    """The least that a segmenter needs of a view."""

    frames: object


def photo_segments(picture: torch.Tensor, segmenter: Segmenter) -> SegmentMap:
    """Segments of a photo uint8 (3, H, W)."""
    return segmenter(_Frames(picture.permute(1, 2, 0)[None].numpy()))


@dataclass(frozen=True)
class CutPhotos:
    """Those of a reader's photos that stand at ``places``, each cut by one of the segmenters, drawn evenly."""

    reader: Reader
    places: list[int]
    segmenters: list[Segmenter]

    def __len__(self) -> int:
        return len(self.places)

    def example(self, number: int, draws: torch.Generator) -> Example:
        picture, label = self.reader[self.places[number]]
        segmenter = self.segmenters[int(torch.randint(len(self.segmenters), (), generator=draws))]
        return picture, label, photo_segments(picture, segmenter)


class HumanMaps:
    """Photos, and frames of clips, with the region map or object mask that one person, drawn evenly, made of them.

    folders: as labelled.py reads them, the training part where there are lists. None of them has a label.
    Raises MediaError where a folder holds no such photo.
    """

    def __init__(self, folders: list[Path]):
        self.items: list[_Drawn] = []
        for folder in folders:
            part = "train" if any(folder.glob("*.txt")) else None
            for item in find_labelled(folder, part):
                times = TIMES if item.media.suffix.lower() in CLIPS else (0,)
                self.items += [_Drawn(item.media, item.maps, time) for time in times]

    def __len__(self) -> int:
        return len(self.items)

    def example(self, number: int, draws: torch.Generator) -> Example:
        person = torch.rand((), generator=draws).item()
        found = first_readable(self.items, number, lambda item: item.read(person), (FocusMAEError,))
        if found is None:
            raise MediaError("None of the photos with maps can be read.")
        picture, drawn = found
        return picture, -1, human_segments(drawn, picture)


@dataclass(frozen=True)
class _Drawn:
    """A photo, or frame number ``time`` of a clip's view, and the maps that people made of it."""

    path: Path
    maps: tuple[Path, ...]
    time: int

    def read(self, person: float) -> tuple[torch.Tensor, np.ndarray]:
        """The picture uint8 (3, 224, 224) and one map (224, 224); ``person`` in [0, 1) says whose."""
        media = open_media(self.path)
        view = media.view()
        chosen = self.maps[int(person * len(self.maps))]
        drawn = maps_of((chosen,), media, view, SIDE)[0][self.time]
        return view.pixels(SIDE)[0, :, self.time].mul(255).round().byte(), drawn


def human_segments(drawn: np.ndarray, picture: torch.Tensor) -> SegmentMap:
    """The regions of a label map (224, 224) over a photo uint8 (3, 224, 224), the 64 largest, in order of their ids.

    In an object's mask zero is no segment; in any other map it is a region as all.
    """
    ids, inverse, areas = np.unique(drawn, return_inverse=True, return_counts=True)
    kept = np.ones(len(ids), dtype=bool)
    kept[0] = not is_object_mask(drawn)
    kept[np.argsort(-areas, kind="stable")[MOST_SEGMENTS:]] = False
    numbers = np.where(kept, np.cumsum(kept), 0)
    labels = numbers[inverse].reshape(1, *drawn.shape).astype(np.int32)
    lab = to_lab(picture.permute(1, 2, 0)[None].numpy())
    return SegmentMap(labels, objectness(labels, lab, int(kept.sum())), "people")
