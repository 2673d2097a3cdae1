"""Segments: which pixels belong to the same thing. One type for every source, and the registry of sources.

Step 2 of the method: view -> segments. Everything after it (descriptors, scorer, page) reads a SegmentMap
and does not care where it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from focusmae.errors import SettingsError

if TYPE_CHECKING:
    from focusmae.media import View


@dataclass(frozen=True)
class SegmentMap:
    """The segments of one View.

    Attributes:
        labels: (T, S, S) int32 over the view's frames; 0 = none, 1..n = segments, the same id is the same
            thing in every frame.
        quality: (n,) float32 in [0, 1] for the ids 1..n: how much each looks like an object of its own.
        source: name of the segmenter.
        affinity: (n,) float32 in [0, 1], how well each segment fits the visitor's text; None without text.

    Raises:
        ValueError: arrays that contradict each other (a programmer's error; visitors cannot cause it).
    """

    labels: np.ndarray
    quality: np.ndarray
    source: str
    affinity: np.ndarray | None = None

    def __post_init__(self):
        labels = np.ascontiguousarray(self.labels, dtype=np.int32)
        if labels.ndim != 3 or labels.size == 0:
            raise ValueError(f"labels must be (T, S, S) and not empty, not {labels.shape}")
        object.__setattr__(self, "labels", labels)
        for name in ("quality", "affinity"):
            values = getattr(self, name)
            if values is not None:
                values = np.asarray(values, dtype=np.float32)
                if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
                    raise ValueError(f"{name} must be (n,) in [0, 1]")
                object.__setattr__(self, name, values)
        if labels.min() < 0 or labels.max() > self.count:
            raise ValueError(f"labels must be 0..{self.count}, one quality each for 1..{self.count}")
        if self.affinity is not None and len(self.affinity) != self.count:
            raise ValueError(f"affinity must have {self.count} values, as quality does")

    @property
    def count(self) -> int:
        """Number of segments n."""
        return len(self.quality)


class Segmenter(Protocol):
    """Anything that turns a View into a SegmentMap.

    ``text`` names what to look for; a source that cannot read ignores it and leaves ``affinity`` None.
    """

    name: str

    def __call__(self, view: View, text: str | None = None) -> SegmentMap: ...


Progress = Callable[[int, int], None] | None
"""Is told bytes done and bytes in all while weights are fetched; what it raises stops the download."""
Factory = Callable[[str | None, Progress], Segmenter]


def _auto(checkpoint: str | None, progress: Progress = None) -> Segmenter:
    # SAM takes a GPU a fraction of a second, and a CPU long enough that it has to be asked for.
    from focusmae import device, hub

    if device.setup().type == "cuda" and hub.here(hub.find("segmenter", ON_A_GPU)):
        return SEGMENTERS[ON_A_GPU](checkpoint, progress)
    return _superpixels(checkpoint, progress)


def _superpixels(checkpoint: str | None, progress: Progress = None) -> Segmenter:
    if checkpoint is not None:
        raise SettingsError("The segmenter superpixels has no weights; leave out the checkpoint.")
    from focusmae.segments.superpixels import Superpixels

    return Superpixels()


def _sam(name: str) -> Factory:
    def load(checkpoint: str | None, progress: Progress = None) -> Segmenter:
        from focusmae.segments.sam import load_sam

        return load_sam(name, checkpoint, progress)

    return load


def _groupvit(checkpoint: str | None, progress: Progress = None) -> Segmenter:
    from focusmae.segments.groupvit_load import load_groupvit

    return load_groupvit(checkpoint, progress)


ON_A_GPU = "sam-vit-base"
SEGMENTERS: dict[str, Factory] = {
    "auto": _auto,
    "superpixels": _superpixels,
    "sam-vit-base": _sam("sam-vit-base"),
    "sam-vit-large": _sam("sam-vit-large"),
    "sam-vit-huge": _sam("sam-vit-huge"),
    "groupvit": _groupvit,
}
"""Name -> factory(checkpoint, progress). "auto" is the best source that this machine runs without a wait: SAM on a GPU
where its weights are at hand, superpixels else."""


def load_segmenter(name: str = "auto", checkpoint: str | None = None, progress: Progress = None) -> Segmenter:
    """The segmenter of that name, ready to use.

    Args:
        name: a key of SEGMENTERS.   checkpoint: path of its weights, for the sources that have any; by default they
        are fetched by name, if they are not here.   progress: see Progress.
    Raises:
        SettingsError: no such name, or a checkpoint for a source without weights.
        WeightsError: the weights are missing, damaged or another model's, or cannot be fetched.
    """
    if name not in SEGMENTERS:
        raise SettingsError(f"There is no segmenter {name!r}; choose one of: {', '.join(SEGMENTERS)}.")
    return SEGMENTERS[name](checkpoint, progress)
