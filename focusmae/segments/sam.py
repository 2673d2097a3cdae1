"""Segment Anything as a segmenter: everything on a photo or clip, and a segment more or less at a click.

Kirillov et al., "Segment Anything", ICCV 2023. The weights are those of facebook/sam-vit-base, -large and -huge, or a
file; the modules are segment-anything's, run by our own loop.
"""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from focusmae import device as devices
from focusmae import hub
from focusmae.errors import SettingsError, WeightsError
from focusmae.segments.base import SegmentMap
from focusmae.segments.kept import Kept
from focusmae.segments.sam_clicks import add, check_click, remove
from focusmae.segments.sam_everything import reference
from focusmae.segments.sam_masks import REFERENCE, Masks, Rules
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_painting import segment_map
from focusmae.segments.sam_tracking import ENCODING, follow
from focusmae.segments.sam_wait import PACE, POINTS, STRIDE
from focusmae.segments.sam_weights import WORKS, read_sam, size_of

if TYPE_CHECKING:
    from focusmae.media import View

LOCAL = "local"  # hub's revision of a visitor's own file
RESIDENT = 2  # models kept in memory
KEPT_FRAMES = 48  # embeddings kept for clicks: three clips; 4 MB each on a CPU, 2 MB on a GPU
FLAT = 6  # levels, of 255, that a picture without anything in it may vary
POINTS_RANGE = (1, 64)


class SamSegmenter:
    """Segmenter that finds things without being told what to look for. Safe to share between threads.

    ``model.cost`` counts frames through the encoder, decoder calls and prompts since it was loaded.

    Args:
        model: SAM on its device.   name: as in the registry.   weights: role, name, revision, sha256, licence.
        points_per_side: of the grid of prompts, by default 32 on a GPU and 12 on a CPU.
        stride: every how many frames of a clip are looked at, by default 1 on a GPU and 2 on a CPU.
    Raises:
        SettingsError: points_per_side out of range.
    """

    def __init__(
        self,
        model: SamModel,
        name: str,
        weights: dict[str, str],
        points_per_side: int | None = None,
        stride: int | None = None,
        rules: Rules | None = None,
    ):
        kind = model.device.type
        points_per_side = points_per_side or POINTS.get(kind, POINTS["cpu"])
        least, most = POINTS_RANGE
        if not least <= points_per_side <= most:
            raise SettingsError(f"{points_per_side} points a side do not work: from {least} to {most} do.")
        self.model, self.name, self.weights = model, name, weights
        self.points_per_side, self.rules = points_per_side, rules or Rules()
        self.stride = stride or STRIDE.get(kind, 1)
        self._embeddings: Kept[torch.Tensor] = Kept(KEPT_FRAMES)

    def __call__(
        self, view: View, text: str | None = None, progress: Callable[[float], None] | None = None
    ) -> SegmentMap:
        """Everything on ``view.frames``, (T, S, S, 3) uint8; ``text`` is not read. A flat view has no segments.

        ``progress`` is called after every batch with the share that is done, in [0, 1]; what it raises ends the run.
        """
        frames = view.frames
        if np.ptp(frames.reshape(-1, 3), axis=0).max() <= FLAT:
            return SegmentMap(np.zeros(frames.shape[:3], dtype=np.int32), np.zeros(0), self.name)
        began, before = time.perf_counter(), self._units()
        found = follow(
            self.model,
            self.embed,
            frames,
            self.points_per_side,
            self.rules,
            progress,
            self.stride if len(frames) > 1 else 1,
        )
        segments = segment_map(found.layers, found.quality, frames, self.name)
        PACE.learn(self.name, self.model.device.type, time.perf_counter() - began, self._units() - before)
        return segments

    def click(
        self, view: View, segments: SegmentMap, x: float, y: float, label: int = 1, frame: int = 0
    ) -> SegmentMap:
        """The segments with one more (``label`` 1) or one less (0) at a point; the ids of the others stay.

        A new segment has the id ``segments.count + 1`` and lies on top; on a clip it is carried through its shot. A
        removed one keeps its id, without pixels and with quality 0. The segments may come from any source. A text's
        affinity has to be looked up again.

        Args:
            x, y: shares of the view's width and height, in [0, 1], from its upper left.   frame: of the view.
        Raises:
            SettingsError: the point is outside, there is nothing to add or remove, or there are too many segments.
        """
        frame = int(frame)  # JSON may say 0.0
        check_click(segments, view.frames, x, y, frame)
        if label not in (0, 1):
            raise SettingsError(f"A click adds (1) or removes (0) a segment, and {label} means neither.")
        if label == 0:
            return remove(segments, x, y, frame)
        return add(self.model, self.embed, view.frames, segments, x, y, frame, self.stride)

    def reference_masks(self, view: View, points_per_side: int, rules: Rules = REFERENCE, frame: int = 0) -> Masks:
        """What SamAutomaticMaskGenerator finds on a frame with the same points and thresholds, for comparison.

        ``model.enlarge(masks.logits, S) > 0`` are its masks at the view's size.
        """
        frames = view.frames[frame : frame + 1]
        shared = self.model.share(next(self.embed(frames)))
        return reference(self.model, shared, points_per_side, frames.shape[1], rules)

    def embed(self, frames: np.ndarray) -> Iterator[torch.Tensor]:
        """Embeddings (C, g, g) of frames (T, S, S, 3) uint8, one after the other; those of late are kept."""
        keys = [(frame.shape, hashlib.sha256(np.ascontiguousarray(frame)).digest()) for frame in frames]
        ready = {key: self._embeddings.get(key) for key in keys}
        missing = {key: t for t, key in reversed(list(enumerate(keys))) if ready[key] is None}
        computed = self.model.encode(frames[sorted(missing.values())])
        for key in keys:
            if ready[key] is None:
                ready[key] = self._embeddings.put(key, next(computed))
            yield ready[key]

    def forget(self) -> None:
        """Drops what is kept between calls, so that the next one is the first again."""
        self._embeddings = Kept(KEPT_FRAMES)

    def _units(self) -> float:
        return ENCODING * self.model.cost.frames + self.model.cost.prompts


def load_sam(
    name: str, checkpoint: str | Path | None = None, progress: Callable[[int, int], None] | None = None
) -> SamSegmenter:
    """The segmenter ``name`` of the registry with its own weights, or with those of a file or folder.

    ``progress`` gets bytes done and bytes in all while weights are fetched. Raises WeightsError or SettingsError.
    """
    wanted = hub.find("segmenter", name) if checkpoint is None else Path(checkpoint)
    if checkpoint is not None and not wanted.exists():
        raise WeightsError(f"There is no weights file {wanted.name} at this place; {WORKS}.")
    found = hub.fetch(wanted, progress)
    licence = "unknown" if isinstance(wanted, Path) else wanted.licence
    return _load(name, found.path.resolve(), found.sha256, found.revision, licence, str(devices.setup()))


_LOADING = threading.Lock()


def _load(*about: str | Path) -> SamSegmenter:
    with _LOADING:  # or two visitors who come first would both read it
        return _read(*about)


@functools.lru_cache(maxsize=RESIDENT)
def _read(name: str, path: Path, sha256: str, revision: str, licence: str, device: str) -> SamSegmenter:
    sam = read_sam(path)
    size = size_of(sam)
    if size not in (name, None):
        raise WeightsError(f"{path.name} holds the weights of {size}, not of {name}; choose the segmenter {size}.")
    called = path.name if revision == LOCAL else name
    weights = {"role": "segmenter", "name": called, "revision": revision, "sha256": sha256, "licence": licence}
    return SamSegmenter(SamModel(sam, device), name, weights)
