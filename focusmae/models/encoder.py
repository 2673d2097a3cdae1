"""The ViT encoder that autoencoder, classifier and scorer share: only the tokens it is given are ever computed."""

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import Mlp
from timm.models.vision_transformer import Attention, Block
from torch import nn

from focusmae.errors import SettingsError
from focusmae.masking import Grid
from focusmae.models.patches import gather_tokens, grid_for, patchify
from focusmae.models.positions import GIVEN, Positions

SHORT = 256
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder. ``tubelet`` 1 is MAE's patch, 2 VideoMAE's; ``positions`` as in :class:`Positions`.

    mlp_width 0 means four times the width. frames and side: the only number of frames and pixels per side that the
    weights know, 0 for any. eps: of every layer norm, but head_eps (0: the same) of the last one before the head.
    registers: learned tokens behind the class token. position_prefix: rows of a given table that belong to these.
    pool (classifiers): "mean" of the patch tokens, the "first" token, or as "timm". mean, std: of the pixels in [0, 1].
    """

    width: int = 192
    depth: int = 8
    heads: int = 3
    patch: int = 16
    tubelet: int = 2
    positions: str = "space-time"
    class_token: bool = False
    final_norm: bool = True
    eps: float = 1e-6
    mlp_width: int = 0
    frames: int = 0
    side: int = 0
    head_eps: float = 0.0
    registers: int = 0
    position_prefix: int = 0
    pool: str = "mean"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    @property
    def prefix(self) -> int:
        """Tokens in front of the patch tokens: class token and registers."""
        return int(self.class_token) + self.registers

    @property
    def given_grid(self) -> Grid | None:
        """The grid of a position table that belongs to the weights; None for a computed one."""
        if self.positions != GIVEN:
            return None
        return grid_for(self.frames, self.side, self.side, self.tubelet, self.patch)


class Encoder(nn.Module):
    """Patch embedding, positions, and pre-norm blocks from timm (whose keys are the official ones)."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config
        size = (config.tubelet, config.patch, config.patch)
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv3d(3, config.width, kernel_size=size, stride=size)})
        if config.prefix:
            self.cls_token = nn.Parameter(torch.zeros(1, config.prefix, config.width))
        self.positions = Positions(config.positions, config.width, config.given_grid, config.position_prefix)
        norm = functools.partial(nn.LayerNorm, eps=config.eps)
        self.norm_pre = nn.Identity()
        self.blocks = make_blocks(config.width, config.depth, config.heads, norm, mlp_width=config.mlp_width)
        self.norm = norm(config.width) if config.final_norm else nn.Identity()
        for name, values in (("mean", config.mean), ("std", config.std)):
            # On the CPU even while weights are being assembled without storage (device "meta").
            values = torch.tensor(values, dtype=torch.float32, device="cpu").view(1, 3, 1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def grid(self, pixels: torch.Tensor) -> Grid:
        """Tokens per axis for pixels (B, 3, T, H, W).

        Raises SettingsError if the weights know another number of frames or another size alone.
        """
        frames, height, width = pixels.shape[2:]
        wanted = (self.config.frames or frames, self.config.side or height, self.config.side or width)
        if (frames, height, width) != wanted:
            kind = "photos" if wanted[0] == 1 else f"clips of {wanted[0]} frames"
            given = "a photo" if frames == 1 else f"{frames} frames"
            raise SettingsError(
                f"These weights take {kind} of {wanted[2]} x {wanted[1]} px, not {given} of {width} x {height} px; "
                "choose others, as mae-base for photos and videomae-base for clips, or the embedded ones for both."
            )
        return grid_for(frames, height, width, self.config.tubelet, self.config.patch)

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
        places = self.positions(self.grid(pixels), pixels).expand(len(patches), -1, -1)
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
        """Tokens (B, K, D) -> (B, prefix + K, D): class token and registers in front, blocks, final norm."""
        if self.config.prefix:
            first = (self.cls_token + self.positions.first()).expand(len(tokens), -1, -1)
            tokens = torch.cat([first, tokens], dim=1)
        tokens = self.norm_pre(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)


def make_blocks(
    width: int, depth: int, heads: int, norm=nn.LayerNorm, mlp_ratio: float = 4.0, mlp_width: int = 0
) -> nn.ModuleList:
    """``depth`` pre-norm blocks with query, key and value biases and exact GELU."""
    blocks = nn.ModuleList()
    for _ in range(depth):
        block = Block(width, heads, mlp_ratio=mlp_ratio, qkv_bias=True, norm_layer=norm)
        block.attn = SizedAttention(width, heads, qkv_bias=True)
        if mlp_width not in (0, int(width * mlp_ratio)):
            block.mlp = Mlp(width, mlp_width)
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
