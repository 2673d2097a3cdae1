"""The masked autoencoder: the encoder sees the visible tokens, a small decoder imagines the rest.

One class for MAE (He et al., CVPR 2022), VideoMAE (Tong et al., NeurIPS 2022) and the embedded model; they differ only
in configuration. The embedded one is a single network for photos and clips with raw pixels as target.
"""

import functools
from dataclasses import dataclass, field

import torch
from torch import nn

from focusmae.masking import Grid
from focusmae.models.encoder import Encoder, EncoderConfig, initialise, make_blocks
from focusmae.models.fill import CELL, harmonic_fill
from focusmae.models.patches import patchify, unpatchify


@dataclass(frozen=True)
class AutoencoderConfig:
    """Encoder plus decoder. ``fill`` "harmonic": the decoder predicts what to add to the interpolated colours."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder_width: int = 128
    decoder_depth: int = 4
    decoder_heads: int = 4
    fill: str = "none"


class MaskedAutoencoder(nn.Module):
    """pixels (B, 3, T, H, W) in [0, 1] with T = 1 or 16, visible (B, K) int64 ascending -> the whole picture."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        shape, width = config.encoder, config.decoder_width
        norm = functools.partial(nn.LayerNorm, eps=shape.eps)
        self.patch_size = shape.tubelet * shape.patch * shape.patch * 3
        self.encoder_to_decoder = nn.Linear(shape.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        self.decoder_blocks = make_blocks(width, config.decoder_depth, config.decoder_heads, norm)
        self.decoder_norm = norm(width)
        self.decoder_head = nn.Linear(width, self.patch_size)
        if config.fill == "harmonic":
            self.fill_embed = nn.Linear(3 * (shape.patch // CELL) ** 2, width)
        initialise(self)
        nn.init.normal_(self.mask_token, std=0.02)

    def grid(self, frames: int) -> Grid:
        """Tokens per axis for 1 or 16 frames of 224 px."""
        return self.encoder.grid(torch.empty(1, 3, frames, 224, 224, device="meta"))

    def patches(self, pixels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """The decoder's raw output (B, N, P) in ImageNet-normalised pixels, patches flattened row, column, channel."""
        grid, fill = self.encoder.grid(pixels), None
        if self.config.fill == "harmonic":
            fill = patchify(self._fill(pixels, visible, grid), self.config.encoder.tubelet, self.config.encoder.patch)
        return self.decode(self.encoder(self.encoder.embed(pixels, visible)), visible, grid, fill)

    def decode(
        self, latent: torch.Tensor, visible: torch.Tensor, grid: Grid, fill: torch.Tensor | None
    ) -> torch.Tensor:
        """Encoded visible tokens (B, K, D) -> (B, N, P); mask tokens stand wherever nothing is visible."""
        if self.config.encoder.class_token:
            first, latent = latent[:, :1], latent[:, 1:]
        tokens = self.encoder_to_decoder(latent)
        everything = self.mask_token.to(tokens.dtype).expand(len(tokens), grid.tokens, -1)
        everything = everything.scatter(1, visible.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]), tokens)
        everything = everything + self.encoder.positions(grid, self.config.decoder_width)
        if fill is not None:
            everything = everything + self.fill_embed(self._fill_cells(fill))
        if self.config.encoder.class_token:
            everything = torch.cat([self.encoder_to_decoder(first), everything], dim=1)
        for block in self.decoder_blocks:
            everything = block(everything)
        if self.config.encoder.class_token:
            everything = everything[:, 1:]
        output = self.decoder_head(self.decoder_norm(everything))
        return output if fill is None else output + fill

    def reconstruct(self, pixels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """The decoder's own picture (B, 3, T, H, W), un-normalised to [0, 1]; visible tokens are not pasted."""
        encoder = self.encoder
        picture = unpatchify(
            self.patches(pixels, visible), encoder.grid(pixels), encoder.config.tubelet, encoder.config.patch
        )
        picture = (picture * encoder.std + encoder.mean).clamp(0, 1)
        return picture.mean(2, keepdim=True) if pixels.shape[2] == 1 else picture

    def _fill(self, pixels: torch.Tensor, visible: torch.Tensor, grid: Grid) -> torch.Tensor:
        encoder = self.encoder
        pixels = encoder.show_twice((pixels - encoder.mean) / encoder.std)
        return harmonic_fill(pixels, visible, grid, encoder.config.tubelet, encoder.config.patch)

    def _fill_cells(self, fill: torch.Tensor) -> torch.Tensor:
        """(B, N, P) filled patches -> (B, N, cells * 3): every CELL-th pixel, enough for a smooth picture."""
        b, n, _ = fill.shape
        shape = self.config.encoder
        x = fill.view(b, n, shape.tubelet, shape.patch, shape.patch, 3)
        return x[:, :, 0, CELL // 2 :: CELL, CELL // 2 :: CELL].flatten(2)
