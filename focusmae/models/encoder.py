"""The ViT encoder that autoencoder, classifier and scorer share: only the tokens it is given are ever computed."""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Attention, Block
from torch import nn

from focusmae.masking import Grid
from focusmae.models.patches import gather_tokens, grid_for, patchify
from focusmae.models.positions import TABLES

SHORT = 256
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder. ``tubelet`` 1 is MAE's patch, 2 VideoMAE's; ``positions`` names a table of positions.py."""

    width: int = 192
    depth: int = 8
    heads: int = 3
    patch: int = 16
    tubelet: int = 2
    positions: str = "space-time"
    class_token: bool = False
    final_norm: bool = True
    eps: float = 1e-6


class Encoder(nn.Module):
    """Patch embedding, fixed positions, and pre-norm blocks from timm (whose keys are the official ones)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        size = (config.tubelet, config.patch, config.patch)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, config.width, kernel_size=size, stride=size)})
        if config.class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, config.width))
        norm = functools.partial(nn.LayerNorm, eps=config.eps)
        self.blocks = make_blocks(config.width, config.depth, config.heads, norm)
        self.norm = norm(config.width) if config.final_norm else nn.Identity()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1, 1), persistent=False)
        self._tables: dict[tuple, torch.Tensor] = {}

    def grid(self, pixels: torch.Tensor) -> Grid:
        """Tokens per axis for pixels (B, 3, T, H, W)."""
        return grid_for(*pixels.shape[2:], self.config.tubelet, self.config.patch)

    def positions(self, grid: Grid, width: int | None = None) -> torch.Tensor:
        """The position table (N, width), computed once per grid and device."""
        width, device = width or self.config.width, self.mean.device
        if (grid, width, device) not in self._tables:
            self._tables[grid, width, device] = TABLES[self.config.positions](width, grid).to(device)
        return self._tables[grid, width, device]

    def patches(self, pixels: torch.Tensor) -> torch.Tensor:
        """Flat normalised input patches (B, N, P) of pixels (B, 3, T, H, W) in [0, 1]; a photo is shown twice."""
        pixels = self.show_twice((pixels - self.mean) / self.std)
        return patchify(pixels, self.config.tubelet, self.config.patch)

    def show_twice(self, pixels: torch.Tensor) -> torch.Tensor:
        """Fill one tubelet with a single frame (as OmniMAE does), so that photos and clips share one embedding."""
        return pixels.expand(-1, -1, self.config.tubelet, -1, -1) if pixels.shape[2] == 1 else pixels

    def embed(
        self, pixels: torch.Tensor, visible: torch.Tensor | None = None, gate: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Patch embedding plus position, (B, K, D), of the visible tokens alone (all of them for None).

        ``gate`` (B, N) multiplies the patch embedding, not the position: a shut token is empty, not misplaced.
        """
        tubelet = min(self.config.tubelet, pixels.shape[2])
        patches = patchify(pixels, tubelet, self.config.patch)
        places = self.positions(self.grid(pixels)).expand(len(patches), -1, -1)
        if visible is not None:
            patches, places = gather_tokens(patches, visible), gather_tokens(places, visible)
            gate = gate if gate is None else gate.gather(1, visible)
        mean, std = (x.flatten().repeat(patches.shape[-1] // 3) for x in (self.mean, self.std))
        weight, bias = self.patch_embed["proj"].weight, self.patch_embed["proj"].bias
        if tubelet < self.config.tubelet:  # a photo is shown twice: add up the frames of the filter, not of the photo
            weight = weight.sum(2, keepdim=True)
        tokens = F.linear((patches - mean) / std, weight.permute(0, 2, 3, 4, 1).flatten(1), bias)
        return (tokens if gate is None else tokens * gate.unsqueeze(-1)) + places

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, K, D) -> (B, K or K + 1, D): class token in front where there is one, blocks, final norm."""
        if self.config.class_token:
            tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def make_blocks(width: int, depth: int, heads: int, norm=nn.LayerNorm, mlp_ratio: float = 4.0) -> nn.ModuleList:
    """``depth`` pre-norm blocks with query, key and value biases and exact GELU."""
    blocks = nn.ModuleList()
    for _ in range(depth):
        block = Block(width, heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=norm)
        block.attn = SizedAttention(width, heads, qkv_bias=True)
        blocks.append(block)
    return blocks


class SizedAttention(Attention):
    """timm's attention, which takes its plain products on short sequences on a CPU: the fused kernel is made for long
    ones, and costs twice as much on 36 tokens, three times as much with gradients."""

    def forward(self, x: torch.Tensor, *args, **kwargs) -> torch.Tensor:
        self.fused_attn = x.is_cuda or x.shape[1] > SHORT
        return super().forward(x, *args, **kwargs)


def initialise(module: nn.Module) -> None:
    """MAE's initialisation: Xavier for linear layers, zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.Conv3d):
            nn.init.xavier_uniform_(part.weight.view(len(part.weight), -1))
            nn.init.zeros_(part.bias)
