"""One SAM on one device: frames -> embeddings -> masks for prompts, in batches of a size that the device likes.

Coordinates are fractions of the view, x to the right and y down, in [0, 1]; masks are logits on the decoder's own
raster, 256 x 256 for the released models (a quarter of the image side), which covers the view exactly as views are
square.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from segment_anything.modeling import Sam
from torch.nn import functional as F

from focusmae.precision import lighten, wanted
from focusmae.segments.sam_decoder import Shared
from focusmae.segments.sam_encoder import pixels

BATCH = {"cpu": 4, "cuda": 64}
"""Prompts a decoder call: more gain nothing on a CPU and cost memory; a GPU needs them to be busy (about 0.5 GB)."""
FRAMES = {"cpu": 1, "cuda": 4}  # frames an encoder pass
DTYPE = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.float32}  # of what is not in int8


@dataclass
class Cost:
    """What was spent: frames through the encoder, calls of the decoder, prompts in them. Safe to share by threads."""

    frames: int = 0
    calls: int = 0
    prompts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, frames: int = 0, calls: int = 0, prompts: int = 0) -> None:
        with self._lock:
            self.frames, self.calls, self.prompts = self.frames + frames, self.calls + calls, self.prompts + prompts


class SamModel:
    """A SAM that is ready to be asked. ``cost`` counts everything since it was made.

    Args:
        sam: from ``read_sam``.   device: where it runs.
        precision: of weights and work; by default as FOCUSMAE_PRECISION says (focusmae/precision.py), without it
            bfloat16 on a GPU and float32 on a CPU. int8 is for the encoder alone, where nearly all of the work is; the
            decoder then stays in float32. Positions of prompts are always worked out in float32: they are angles of
            many turns.
    """

    def __init__(self, sam: Sam, device: torch.device | str = "cpu", precision: str | None = None):
        self.device = torch.device(device)
        self.precision = wanted(self.device, precision)
        self.dtype = DTYPE[self.precision]
        self.sam = sam.to(self.device)
        self.sam.image_encoder.to(self.dtype)
        self.sam.mask_decoder.to(self.dtype)
        if self.precision == "int8":
            lighten(self.sam.image_encoder, self.precision)
        self.side = sam.image_encoder.img_size
        self.raster = 4 * sam.prompt_encoder.image_embedding_size[0]
        self.batch = BATCH.get(self.device.type, BATCH["cpu"])
        self.cost = Cost()

    @torch.inference_mode()
    def encode(self, frames: np.ndarray) -> Iterator[torch.Tensor]:
        """Embeddings of frames uint8 (T, S, S, 3) RGB, one (C, g, g) after the other, C = 256, g = 64."""
        size = FRAMES.get(self.device.type, 1)
        for first in range(0, len(frames), size):
            x = pixels(frames[first : first + size], self.side).to(self.device)
            x = ((x - self.sam.pixel_mean) / self.sam.pixel_std).to(self.dtype)
            self.cost.add(frames=len(x))
            yield from self.sam.image_encoder(x)

    @torch.inference_mode()
    def share(self, embedding: torch.Tensor) -> Shared:
        """What all prompts on an embedding (C, g, g) share; to be handed to :meth:`ask`."""
        prompts = self.sam.prompt_encoder
        no_mask = prompts.no_mask_embed.weight.view(1, -1, 1, 1).to(self.dtype)
        return self.sam.mask_decoder.share(embedding[None], prompts.get_dense_pe(), no_mask)

    @torch.inference_mode()
    def ask(
        self,
        shared: Shared,
        points: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        boxes: torch.Tensor | None = None,
        masks: torch.Tensor | None = None,
        several: bool = True,
        least_iou: float | None = None,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Masks for B prompts, a batch at a time: logits (b, M, r, r) and predicted IoU (b, M) float32, r = 256.

        Args:
            points: (B, P, 2) x, y.   labels: (B, P) 1 = on it, 0 = not on it; all 1 by default.
            boxes: (B, 4) x0, y0, x1, y1.   masks: (B, r, r) logits of an earlier answer.
            several: three masks (whole, part, smaller part) instead of one.
            least_iou: masks with no higher predicted IoU are not computed and -inf everywhere.
        """
        if points is not None and labels is None:
            labels = torch.ones(points.shape[:2])
        given = [points, labels, boxes, masks]
        for parts in zip(*(_split(x, self.batch, given) for x in given), strict=True):
            at, kinds, around, before = (None if x is None else x.to(self.device) for x in parts)
            # segment-anything adds half a pixel to corners and points, which it takes for whole pixels.
            sparse, dense = self.sam.prompt_encoder(
                points=None if at is None else (at * self.side, kinds),
                boxes=None if around is None else around * self.side,
                masks=None if before is None else before[:, None].float(),
            )
            if before is None:
                dense = None
            else:
                # The shared tokens already hold what stands for no mask.
                none = self.sam.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)
                dense = (dense - none).to(self.dtype)
            self.cost.add(calls=1, prompts=len(sparse))
            logits, iou = self.sam.mask_decoder(shared, None, sparse, dense, several, least_iou)
            yield logits, iou.float()

    def enlarge(self, logits: torch.Tensor, side: int) -> torch.Tensor:
        """Logits (n, r, r) at the size of a view, (n, side, side) float32, in two steps as segment-anything."""
        for size in (self.side, side):
            logits = F.interpolate(logits[:, None].float(), (size, size), mode="bilinear", align_corners=False)[:, 0]
        return logits


def _split(x: torch.Tensor | None, size: int, given: list[torch.Tensor | None]) -> list[torch.Tensor | None]:
    if x is not None:
        return list(x.split(size))
    count = next(len(other) for other in given if other is not None)
    return [None] * -(-count // size)
