"""SAM's candidate masks: how good each is, and which of those that say the same is kept.

The rules are those of segment-anything's SamAutomaticMaskGenerator (Kirillov et al., ICCV 2023, appendix B): predicted
IoU, stability under a shifted threshold, non-maximum suppression of boxes. Unlike there everything is measured on the
decoder's own raster (256 x 256), where a token of the 14 x 14 grid still has 18 x 18 pixels; a second suppression
compares the masks themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torchvision.ops import nms


@dataclass(frozen=True)
class Rules:
    """Which masks are kept. Each threshold is in [0, 1].

    pred_iou: predicted IoU above this.   stability: IoU of the masks at logit ``offset`` and -``offset``, at least.
    box_overlap: of two masks whose boxes' IoU is above this, the one of higher predicted IoU stays.
    mask_overlap: the same for the masks themselves; 1 = no such test.
    """

    pred_iou: float = 0.86
    stability: float = 0.90
    offset: float = 1.0
    box_overlap: float = 0.7
    mask_overlap: float = 0.8

    @property
    def least_iou(self) -> float:
        """``pred_iou``; as in segment-anything, 0 and less let everything pass."""
        return self.pred_iou if self.pred_iou > 0 else -torch.inf


REFERENCE = Rules(0.88, 0.95, 1.0, 0.7, 1.0)
"""SamAutomaticMaskGenerator's own defaults."""
RELAXED = Rules(0.5, 0.7)
"""For places where nothing better was found."""


@dataclass(frozen=True)
class Masks:
    """n masks on one frame: logits (n, r, r), iou and stability (n,), boxes (n, 4) x0, y0, x1, y1 in whole pixels.

    Logits are float16, as there may be a thousand of them; the rest is float32.
    """

    logits: torch.Tensor
    iou: torch.Tensor
    stability: torch.Tensor
    boxes: torch.Tensor

    def __len__(self) -> int:
        return len(self.logits)

    def __getitem__(self, rows) -> Masks:
        return Masks(self.logits[rows], self.iou[rows], self.stability[rows], self.boxes[rows])

    @property
    def shapes(self) -> torch.Tensor:
        """(n, r, r) bool."""
        return self.logits > 0

    @property
    def quality(self) -> torch.Tensor:
        """Predicted IoU x stability, (n,) float32 in [0, 1]."""
        return (self.iou * self.stability).clamp(0, 1)


def join(parts: list[Masks]) -> Masks:
    """All masks of one list or more, in their order."""
    return Masks(*(torch.cat([getattr(part, name) for part in parts]) for name in Masks.__dataclass_fields__))


def none(raster: int, device: torch.device) -> Masks:
    """No masks."""
    return measure(torch.zeros(0, raster, raster, device=device), torch.zeros(0, device=device))


def stability(logits: torch.Tensor, offset: float) -> torch.Tensor:
    """IoU of the masks above ``offset`` and above ``-offset``, (n,) float32; 0 for an empty mask."""
    flat = logits.flatten(1)
    inner, outer = ((flat > level).sum(1).float() for level in (offset, -offset))
    return inner / outer.clamp_min(1)


def boxes_of(shapes: torch.Tensor) -> torch.Tensor:
    """First and last column and row of masks (n, h, w) bool: (n, 4) float32 x0, y0, x1, y1; zeros for an empty mask."""
    sides = []
    for axis in (1, 2):  # columns, rows
        there = shapes.any(axis).float()
        size = there.shape[1]
        sides.append((there.argmax(1), size - 1 - there.flip(1).argmax(1)))
    boxes = torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], 1).float()
    return boxes * shapes.flatten(1).any(1)[:, None]


def measure(
    logits: torch.Tensor, iou: torch.Tensor, offset: float = Rules.offset, enlarged: torch.Tensor | None = None
) -> Masks:
    """n masks (n, r, r) with their predicted IoU (n,); stability and boxes of ``enlarged`` where it is given."""
    at = logits if enlarged is None else enlarged
    return Masks(logits.half(), iou.float(), stability(at, offset), boxes_of(at > 0))


def judge(masks: Masks, rules: Rules) -> Masks:
    """Those that pass the rules."""
    return masks[((masks.iou > rules.least_iou) & (masks.stability >= rules.stability)).nonzero()[:, 0]]


def overlaps(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Common pixels and IoU of every mask of a (n, h, w) with every one of b (m, h, w), bool: two (n, m) float32."""
    # Products of zeros and ones: exact in float32, and to one part in 256 in bfloat16, which a GPU multiplies faster.
    kind = torch.bfloat16 if a.is_cuda else torch.float32
    x = a.flatten(1).to(kind)
    y = x if b is a else b.flatten(1).to(kind)
    common = (x @ y.T).float()
    areas = [m.flatten(1).sum(1).float() for m in (a, b)]
    return common, common / (areas[0][:, None] + areas[1] - common).clamp_min(1)


def suppress(masks: Masks, rules: Rules) -> Masks:
    """Without those that a mask of higher predicted IoU covers: first by their boxes, then by themselves."""
    masks = masks[nms(masks.boxes, masks.iou, rules.box_overlap)]  # in falling order of predicted IoU
    if rules.mask_overlap >= 1 or len(masks) < 2:
        return masks
    return masks[unrepeated(masks.shapes, rules.mask_overlap)]


def unrepeated(shapes: torch.Tensor, most: float) -> list[int]:
    """Rows of masks (n, r, r) bool whose IoU with every earlier row in the list is at most ``most``, ascending."""
    same = (overlaps(shapes, shapes)[1] > most).cpu().numpy()
    kept: list[int] = []
    for row in range(len(shapes)):
        if not same[row, kept].any():
            kept.append(row)
    return kept
