"""Small SAMs for tests: segment-anything's own with random weights, and one that takes plain colours for things."""

from functools import partial

import numpy as np
import torch
from scipy.ndimage import label as components
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import nn

from focusmae.media import View
from focusmae.segments.regions import shrink
from focusmae.segments.sam_model import Cost

SIDE = 128


def view_of(*frames: np.ndarray) -> View:
    """A view of frames uint8 (S, S, 3)."""
    stack = np.stack(frames)
    return View(stack, (0, 0, stack.shape[1], stack.shape[1]), tuple(float(t) for t in range(len(stack))))


def random_sam(seed: int = 0, side: int = SIDE, sharp: bool = False) -> Sam:
    """segment-anything's own model: 2 blocks, one in windows that need padding and one global; nothing is zero.

    ``sharp``: masks with clear borders and predicted IoU about 0.85, so that the usual thresholds let some pass.
    """
    torch.manual_seed(seed)
    grid, out = side // 16, 32
    sam = Sam(
        ImageEncoderViT(
            img_size=side, patch_size=16, embed_dim=48, depth=2, num_heads=3, mlp_ratio=4, out_chans=out,
            qkv_bias=True, norm_layer=partial(nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=3,
            global_attn_indexes=(1,),
        ),
        PromptEncoder(out, (grid, grid), (side, side), mask_in_chans=8),
        MaskDecoder(
            transformer_dim=out,
            transformer=TwoWayTransformer(depth=2, embedding_dim=out, num_heads=8, mlp_dim=64),
            iou_head_hidden_dim=24,
        ),
    )  # fmt: skip
    with torch.no_grad():
        for weight in sam.parameters():
            weight += 0.1 * torch.randn_like(weight)
        if sharp:
            for network in sam.mask_decoder.output_hypernetworks_mlps:
                network.layers[-1].weight *= 100
                network.layers[-1].bias *= 100
            sam.mask_decoder.iou_prediction_head.layers[-1].bias.fill_(0.85)
    return sam.eval().requires_grad_(False)


class ColourSam:
    """What SamModel offers, for pictures of plain colours: a mask is the connected patch of the colour at a point.

    Black is nothing: there all answers are poor. ``asked`` holds every point prompt, x and y in [0, 1].
    """

    raster, side, device, dtype, batch = 64, 256, torch.device("cpu"), torch.float32, 4

    def __init__(self):
        self.cost, self.asked = Cost(), []

    def encode(self, frames):
        for frame in frames:
            self.cost.add(frames=1)
            yield torch.from_numpy(shrink(frame[None], self.raster, self.raster)[0].copy())

    def share(self, embedding):
        return embedding.numpy()

    def ask(self, picture, points, labels=None, boxes=None, masks=None, several=True, least_iou=None):
        for first in range(0, len(points), self.batch):
            some = points[first : first + self.batch, 0]
            self.cost.add(calls=1, prompts=len(some))
            self.asked += some.tolist()
            patches = [self._patch(picture, x, y) for x, y in some.tolist()]
            logits = torch.stack([torch.from_numpy(patch) for patch, _ in patches]) * 16.0 - 8
            iou = torch.tensor([value for _, value in patches])
            # Three masks: the patch, its left half at a lower value, and nothing.
            half = logits.clone()
            half[:, :, self.raster // 2 :] = -8
            if several:
                yield (
                    torch.stack([logits, half, torch.full_like(half, -8)], 1),
                    torch.stack([iou, iou - 0.5, iou * 0], 1),
                )
            else:
                yield logits[:, None], iou[:, None]

    def _patch(self, picture, x, y):
        row, column = (min(int(v * self.raster), self.raster - 1) for v in (y, x))
        colour = picture[row, column].astype(int)
        if colour.max() < 16:
            return np.zeros((self.raster, self.raster), dtype=np.float32), 0.1
        alike = np.abs(picture.astype(int) - colour).max(-1) < 24
        names, _ = components(alike)
        return (names == names[row, column]).astype(np.float32), 0.95


def colour_frame(*discs: tuple, ground: tuple = (60, 120, 60), side: int = 256) -> np.ndarray:
    """A frame of one colour with discs (x, y, radius, colour) in pixels on it, uint8 (side, side, 3)."""
    frame = np.empty((side, side, 3), dtype=np.uint8)
    frame[:] = ground
    y, x = np.mgrid[:side, :side]
    for cx, cy, radius, colour in discs:
        frame[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = colour
    return frame


def pair_overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of every mask of a (n, h, w) with every one of b (m, h, w): (n, m)."""
    x, y = (masks.reshape(len(masks), -1).astype(np.float64) for masks in (a, b))
    common = x @ y.T
    return common / np.maximum(x.sum(1)[:, None] + y.sum(1)[None] - common, 1)


