"""Segments through a clip: everything on key frames, and in between every mask is carried on by prompts.

SAM knows no time. A mask goes to the next frame as three prompts at once: its box, a point inside, and its own logits,
all moved to where its colours went (``sam_motion.py``). It ends when SAM is no longer sure of it or answers with
something else; at a cut all end. On key frames, every eighth frame or where too much has got lost, SAM is asked for
everything again, and what no segment accounts for yet is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from focusmae.segments.sam_decoder import Shared
from focusmae.segments.sam_everything import Meter, everything
from focusmae.segments.sam_masks import Masks, Rules, boxes_of, join, measure, overlaps, unrepeated
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_motion import colours, cuts, innermost, moves, shifted
from focusmae.segments.sam_painting import LIMIT, Layer

KEY_EVERY, KEY_LEAST = 8, 3  # frames from one key frame to the next, and to one that comes early
LOST = 0.3  # of the frame without any mask: above, the next key frame comes early
SURE = 0.7  # of its mean quality so far: below, a segment ends
SAME = 0.3  # IoU with the moved mask of the frame before: below, the answer is another thing
TWICE = 0.8  # IoU of two carried segments: above, they have become one, and the younger ends
KNOWN = 0.5  # IoU with, or share covered by, segments that exist: above, a mask on a key frame is not new


@dataclass
class Tracks:
    """The segments that live on one frame: ids (n,) int64, masks, sums of quality and frames so far (n,)."""

    ids: torch.Tensor
    masks: Masks
    total: torch.Tensor
    age: torch.Tensor

    @classmethod
    def of(cls, masks: Masks, first: int) -> Tracks:
        """New segments with ids from ``first`` on."""
        ids = torch.arange(first, first + len(masks), device=masks.iou.device)
        return cls(ids, masks, masks.quality, torch.ones_like(masks.iou))

    def __getitem__(self, rows) -> Tracks:
        return Tracks(self.ids[rows], self.masks[rows], self.total[rows], self.age[rows])

    def and_also(self, other: Tracks) -> Tracks:
        return Tracks(
            torch.cat([self.ids, other.ids]),
            join([self.masks, other.masks]),
            torch.cat([self.total, other.total]),
            torch.cat([self.age, other.age]),
        )


@dataclass
class Followed:
    """What came out: one layer per frame, and the mean quality of every id."""

    layers: list[Layer] = field(default_factory=list)
    quality: dict[int, float] = field(default_factory=dict)


def follow(
    model: SamModel,
    embed: Callable[[np.ndarray], Iterator[torch.Tensor]],
    frames: np.ndarray,
    points_per_side: int,
    rules: Rules,
    report: Callable[[float], None] | None = None,
    stride: int = 1,
) -> Followed:
    """Segments of frames uint8 (T, S, S, 3); a photo is a clip of one frame.

    The encoder sees every ``stride``-th frame and the first of each shot; the others take over the frame before.
    Prompts: at most points_per_side^2 + 24 on each key frame, and one per living segment where it goes on.

    embed: frames -> their embeddings, one after the other.   report: called with the share that is done; may raise.
    """
    new_shot = cuts(frames)
    steps = looked_at(new_shot, stride)
    meter = Meter(report, work(len(frames), points_per_side, stride))
    out, live, seen, key, last = Followed(), None, None, 0, 0
    for t, until, embedding in zip(steps, [*steps[1:], len(frames)], embed(frames[steps]), strict=True):
        meter.add(ENCODING)
        shared, now = model.share(embedding), colours(frames[t], model.device)
        fresh = live is None or new_shot[t]
        if not fresh:
            meter.add(len(live.ids))
            live = carry(model, shared, live, seen, now)
        if fresh or t - key >= KEY_EVERY or (t - key >= KEY_LEAST and lost(live) > LOST):
            key = t
            found = everything(model, shared, points_per_side, rules, meter)
            live = Tracks.of(limited(found), last + 1) if fresh else renewed(live, found, last + 1)
            last = max([last, *live.ids.tolist()])
        seen = now
        for number, mean in zip(live.ids.tolist(), (live.total / live.age).tolist(), strict=True):
            out.quality[number] = mean
        out.layers += [Layer(live.ids, live.masks.shapes)] * (until - t)
    return out


def looked_at(new_shot: list[bool], stride: int) -> list[int]:
    """Which frames the encoder sees."""
    return [t for t, new in enumerate(new_shot) if new or t % stride == 0]


ENCODING = 250
"""Prompts that take as long as one pass of the encoder."""


def work(frames: int, points_per_side: int, stride: int = 1) -> float:
    """Prompts that a clip is worth, encoder passes included, when about half of the points are asked."""
    passes = -(-frames // stride)
    keys = -(-frames // max(KEY_EVERY, stride))
    return passes * ENCODING + keys * 0.5 * points_per_side**2 + (passes - keys) * 20


def carry(
    model: SamModel, shared: Shared, tracks: Tracks, before: torch.Tensor, now: torch.Tensor
) -> Tracks:
    """The segments on the next frame, without those that end there.

    shared: of that frame.   before, now: ``colours`` of both frames.
    """
    if not len(tracks.ids):
        return tracks
    by = moves(before, now, tracks.masks.shapes)
    guess = shifted(tracks.masks.logits, by)
    shapes = guess > 0
    prompts = {
        "points": innermost(shapes)[:, None],
        # Corners in whole pixels, as segment-anything's own boxes.
        "boxes": boxes_of(shapes) / model.raster,
        "masks": guess,
    }
    answers = list(model.ask(shared, several=False, **prompts))
    logits, iou = (torch.cat(parts)[:, 0] for parts in zip(*answers, strict=True))
    masks = measure(logits, iou)
    common = (masks.shapes & shapes).flatten(1).sum(1)
    either = (masks.shapes | shapes).flatten(1).sum(1)
    alike = common / either.clamp_min(1) >= SAME
    stays = alike & (masks.quality >= SURE * tracks.total / tracks.age)
    after = Tracks(tracks.ids, masks, tracks.total + masks.quality, tracks.age + 1)[stays]
    return after[unrepeated(after.masks.shapes, TWICE)]


def lost(live: Tracks) -> float:
    """Share of the frame without any mask."""
    return 1 - float(live.masks.shapes.any(0).float().mean()) if len(live.ids) else 1.0


def limited(masks: Masks) -> Masks:
    """At most as many masks as a SegmentMap may show: those of highest quality x root of area."""
    if len(masks) < LIMIT:
        return masks
    worth = masks.quality * masks.shapes.flatten(1).sum(1).sqrt()
    return masks[worth.argsort(descending=True, stable=True)[: LIMIT - 1].sort().values]


def renewed(live: Tracks, found: Masks, first: int) -> Tracks:
    """The living segments and those masks of a key frame that are none of them, with ids from ``first`` on.

    A segment that was found again, and better, takes over the new mask.
    """
    if not len(live.ids) or not len(found):
        return live.and_also(Tracks.of(limited(found), first))
    iou = overlaps(found.shapes, live.masks.shapes)[1]
    best, of = iou.max(0)  # per living segment
    better = (best > TWICE) & (found.quality[of] > live.masks.quality)
    rows = torch.where(better, of + len(live.ids), torch.arange(len(live.ids), device=of.device))
    kept = Tracks(live.ids, join([live.masks, found])[rows], live.total, live.age)
    # A mask is known if it is a segment's, or mostly made of segments that are not much larger than itself.
    areas, old_areas = (shapes.flatten(1).sum(1).float() for shapes in (found.shapes, live.masks.shapes))
    similar = (old_areas[None] <= 2 * areas[:, None]).float()
    inside = (similar @ live.masks.shapes.flatten(1).float() > 0) & found.shapes.flatten(1)
    new = found[(iou.max(1).values <= KNOWN) & (inside.sum(1) <= KNOWN * areas)]
    new = new[: LIMIT - 1 - len(live.ids)]
    return kept.and_also(Tracks.of(new, first))
