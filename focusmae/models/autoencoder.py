"""The masked autoencoder: the encoder sees the visible tokens, a small decoder imagines the rest.

One class for MAE (He et al., CVPR 2022), VideoMAE (Tong et al., NeurIPS 2022) and the embedded model; they differ only
in configuration. The embedded one is a single network for photos and clips with raw pixels as target.
"""

import dataclasses
import functools
from dataclasses import dataclass, field

import torch
from torch import nn

from focusmae.masking import Grid
from focusmae.models.encoder import Encoder, EncoderConfig, initialise, make_blocks
from focusmae.models.fill import CELL, harmonic_fill, visible_cells
from focusmae.models.origin import Origin
from focusmae.models.patches import SIDE, patchify, unpatchify
from focusmae.models.positions import Positions
from focusmae.models.retouch import Retouch
from focusmae.models.targets import TARGETS, to_picture

SAMPLED = 4  # the decoder reads every fourth pixel of the first guess along each axis


@dataclass(frozen=True)
class AutoencoderConfig:
    """Encoder plus decoder. ``fill`` "harmonic": the decoder predicts what to add to the interpolated colours.

    target: a key of TARGETS. decoder_positions: "" as the encoder's. decoder_mlp_width 0 means four times the width.
    retouch: the widths of a :class:`Retouch` after the decoder, which needs a fill; () is none.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder_width: int = 128
    decoder_depth: int = 4
    decoder_heads: int = 4
    fill: str = "none"
    target: str = "imagenet"
    decoder_positions: str = ""
    decoder_mlp_width: int = 0
    retouch: tuple[int, ...] = ()


class MaskedAutoencoder(nn.Module):
    """pixels (B, 3, T, H, W) in [0, 1] with T = 1 or 16, visible (B, K) int64 ascending -> the whole picture.

    Weights from elsewhere may know photos alone, or clips alone, or one size (``side``): every method raises
    SettingsError for anything else. ``weights`` says which file this is, ``notes`` what its reader had to assume.
    """

    origin: Origin | None = None
    notes: tuple[str, ...] = ()
    precision: str = "float32"

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        shape, width = config.encoder, config.decoder_width
        norm = functools.partial(nn.LayerNorm, eps=shape.eps)
        self.patch_size = shape.tubelet * shape.patch * shape.patch * 3
        self.target = TARGETS[config.target]
        self.encoder_to_decoder = nn.Linear(shape.width, width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, width))
        positions = dataclasses.replace(shape, positions=config.decoder_positions or shape.positions)
        self.decoder_positions = Positions(positions.positions, width, positions.given_grid, shape.position_prefix)
        self.decoder_blocks = make_blocks(
            width, config.decoder_depth, config.decoder_heads, norm, mlp_width=config.decoder_mlp_width
        )
        self.decoder_norm = nn.LayerNorm(width, eps=shape.head_eps or shape.eps)
        self.decoder_head = nn.Linear(width, self.patch_size)
        if config.fill == "harmonic":
            self.fill_embed = nn.Linear(3 * (shape.patch // SAMPLED) ** 2, width)
        initialise(self)
        self.retouch = Retouch(config.retouch) if config.retouch else None  # begins in its own way
        nn.init.normal_(self.mask_token, std=0.02)

    @property
    def norm_targets(self) -> bool:
        """Whether the decoder predicts pixels that are normalised within each patch."""
        return self.target.per_patch

    @property
    def weights(self) -> dict[str, str] | None:
        """{role, name, revision, sha256, licence} of the file; None for a model that was not loaded from one."""
        return self.origin and self.origin.row()

    @property
    def side(self) -> int:
        """Height and width in pixels that :meth:`grid` counts with, and the only ones that some weights take."""
        return self.config.encoder.side or SIDE

    def grid(self, frames: int) -> Grid:
        """Tokens per axis for 1 or 16 frames of ``side`` pixels. Raises SettingsError if the weights take others."""
        return self.encoder.grid(torch.empty(1, 3, frames, self.side, self.side, device="meta"))

    def patches(self, pixels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """The decoder's raw output (B, N, P), in the checkpoint's own scale (see ``target``).

        A patch is flattened (frame, row, column, channel), as MAE and VideoMAE do.
        """
        grid, shape = self.encoder.grid(pixels), (self.config.encoder.tubelet, self.config.encoder.patch)
        latent = self.encoder(self.encoder.embed(pixels, visible))
        if self.config.fill != "harmonic":
            return self.decode(latent, visible, grid, None)
        guess = self._fill(pixels, visible, grid)
        output = self.decode(latent, visible, grid, patchify(guess, *shape))
        if self.retouch is None:
            return output
        known = visible_cells(visible, grid, shape[1] // CELL)
        return output + patchify(self.retouch(guess, unpatchify(output, grid, *shape), known), *shape)

    def decode(
        self, latent: torch.Tensor, visible: torch.Tensor, grid: Grid, fill: torch.Tensor | None
    ) -> torch.Tensor:
        """Encoded visible tokens (B, K, D) -> (B, N, P); mask tokens stand wherever nothing is visible."""
        prefix = self.config.encoder.prefix
        tokens = self.encoder_to_decoder(latent)
        first, tokens = tokens[:, :prefix], tokens[:, prefix:]
        everything = self.mask_token.to(tokens.dtype).expand(len(tokens), grid.tokens, -1)
        everything = everything.scatter(1, visible.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]), tokens)
        everything = everything + self.decoder_positions(grid, tokens)
        if fill is not None:
            everything = everything + self.fill_embed(self._fill_cells(fill))
        if prefix:
            everything = torch.cat([first + self.decoder_positions.first(), everything], dim=1)
        for block in self.decoder_blocks:
            everything = block(everything)
        output = self.decoder_head(self.decoder_norm(everything[:, prefix:]))
        return output if fill is None else output + fill

    def reconstruct(
        self, pixels: torch.Tensor, visible: torch.Tensor, true_statistics: bool = False
    ) -> torch.Tensor:
        """The decoder's own picture (B, 3, T, H, W), un-normalised to [0, 1]; visible tokens are not pasted.

        Where targets were normalised within each patch (``norm_targets``), mean and contrast of the hidden patches are
        interpolated from the visible ones, or, with ``true_statistics``, read from the picture itself: a nicer view,
        and no longer what the model knew.
        """
        encoder = self.encoder
        picture = to_picture(
            self.target,
            self.patches(pixels, visible),
            encoder.show_twice(pixels),
            visible,
            encoder.grid(pixels),
            (encoder.config.tubelet, encoder.config.patch),
            (encoder.mean, encoder.std),
            true_statistics,
        )
        return picture.mean(2, keepdim=True) if pixels.shape[2] == 1 and encoder.config.tubelet > 1 else picture

    def _fill(self, pixels: torch.Tensor, visible: torch.Tensor, grid: Grid) -> torch.Tensor:
        encoder = self.encoder
        pixels = encoder.show_twice((pixels - encoder.mean) / encoder.std)
        return harmonic_fill(pixels, visible, grid, encoder.config.tubelet, encoder.config.patch)

    def _fill_cells(self, fill: torch.Tensor) -> torch.Tensor:
        """(B, N, P) filled patches -> (B, N, cells * 3): every fourth pixel, enough for a smooth picture."""
        b, n, _ = fill.shape
        shape = self.config.encoder
        x = fill.view(b, n, shape.tubelet, shape.patch, shape.patch, 3)
        return x[:, :, 0, SAMPLED // 2 :: SAMPLED, SAMPLED // 2 :: SAMPLED].flatten(2)
