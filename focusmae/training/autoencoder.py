"""Training of the embedded autoencoder: photos at 25 % visible, clips at 10 %, raw pixels as target."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from focusmae import device
from focusmae.errors import SettingsError
from focusmae.masking import generator, sample_visible
from focusmae.metrics import token_mse, visible_mean_fill
from focusmae.models.autoencoder import AutoencoderConfig, MaskedAutoencoder
from focusmae.models.checkpoints import load_model, parameters, save_model
from focusmae.models.patches import gather_tokens
from focusmae.training.data import (
    Reader,
    batches,
    crop,
    pan_and_zoom,
    random_boxes,
    read_items,
    step_generator,
)
from focusmae.training.loop import Schedule, fit, hash_of, make_accelerator
from focusmae.training.masks import random_keep, training_mask

PHOTO_KEEP, CLIP_KEEP = 0.25, 0.1
CLIP_EVERY = 5  # one step in five sees clips
VISIBLE_WEIGHT = 0.05  # a little loss on visible tokens makes the decoder's own picture fit to show
HELD_OUT = 96
EMBEDDED = AutoencoderConfig(decoder_depth=3, decoder_heads=2, fill="harmonic", retouch=(32, 64, 48))


@dataclass(frozen=True)
class Batch:
    """Photos uint8 (B, 3, 224, 224) of every step, and real clips (B, 16, 3, 224, 224) where the step uses them."""

    photos: torch.Tensor
    clips: torch.Tensor | None


class Task(nn.Module):
    """Loss of one step: mean squared error of normalised pixels on hidden tokens."""

    def __init__(self, model: MaskedAutoencoder, seed: int):
        super().__init__()
        self.model, self.seed = model, seed

    def forward(self, step: int, batch: Batch) -> tuple[torch.Tensor, dict]:
        draws = step_generator(self.seed, step)
        is_clip = step % CLIP_EVERY == CLIP_EVERY - 1
        pixels = _clip_pixels(batch, draws) if is_clip else _photo_pixels(batch.photos, draws)
        pixels = pixels.to(self.model.mask_token.device)
        keep = random_keep(CLIP_KEEP if is_clip else PHOTO_KEEP, draws)
        visible = training_mask(len(pixels), self.model.encoder.grid(pixels), keep, draws).to(pixels.device)
        error = (self.model.patches(pixels, visible) - self.model.encoder.patches(pixels)).square().mean(-1)
        seen = gather_tokens(error.unsqueeze(-1), visible).sum()
        hidden = (error.sum() - seen) / (error.numel() - visible.numel())
        loss = hidden + VISIBLE_WEIGHT * seen / visible.numel()
        return loss, {"clip" if is_clip else "photo": hidden.detach()}


def train(
    data: list[Path],
    out: Path,
    steps: int = 4000,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
    start: Path | None = None,
    only_retouch: bool = False,
    *,
    config: AutoencoderConfig = EMBEDDED,
) -> dict:
    """Train on the ``train`` parts of ``data``; writes out/autoencoder.safetensors and returns held-out figures.

    start: autoencoder weights to begin from, whose shape is kept; a retouch that they lack is added as the identity.
    only_retouch: leave the transformer as it is, which makes a step several times cheaper.
    """
    accelerator = make_accelerator()
    items = read_items(data, "train")
    photos, clips = [i for i in items if not i.is_clip], [i for i in items if i.is_clip]
    if not photos:
        raise SettingsError("The training part holds clips alone; add a --data folder with photos.")
    torch.manual_seed(seed)
    model = _begin(load_model(start, "autoencoder"), config.retouch) if start else MaskedAutoencoder(config)
    if only_retouch:
        if model.retouch is None:
            raise SettingsError("There is no retouch to train; begin from weights with a harmonic fill.")
        model.requires_grad_(False)
        model.retouch.requires_grad_(True)
    if accelerator.is_main_process:
        print(f"{len(photos)} photos, {len(clips)} clips, {parameters(model) / 1e6:.2f} M weights", flush=True)
    task = Task(model.to(device.setup()), seed)

    def feed(first: int):
        shape = {"rank": accelerator.process_index, "world": accelerator.num_processes, "seed": seed}
        photo_stream = batches(Reader(photos, seed=seed), batch, first, steps, **shape)
        every = 2 * CLIP_EVERY
        clip_stream = clips and batches(
            Reader(clips, seed=seed), max(1, batch // 8), first // every, steps // every + 1, **shape
        )
        for step in range(first, steps):
            real = clips and step % every == every - 1
            yield Batch(next(photo_stream)[0], next(clip_stream)[0] if real else None)

    held_out = _held_out(data)
    about = {"data": ", ".join(d.name for d in data), "steps": str(steps), "batch": str(batch)}
    identity = {**about, "seed": seed, "start": hash_of(start), "only_retouch": only_retouch}
    figures = fit(
        task,
        Schedule(steps=steps, rate=rate, warmup=min(150, steps // 10 + 1)),
        out,
        feed,
        lambda: evaluate(model, *held_out),
        accelerator=accelerator,
        identity=identity,
    )
    if accelerator.is_main_process:
        save_model(model, out / "autoencoder.safetensors", **about)
    return figures


def _begin(model: MaskedAutoencoder, widths: tuple[int, ...]) -> MaskedAutoencoder:
    """``model`` ready for training, with a retouch if it has the fill that one needs."""
    if model.config.fill == "harmonic" and not model.config.retouch:
        whole = MaskedAutoencoder(dataclasses.replace(model.config, retouch=widths))
        missing, surplus = whole.load_state_dict(model.state_dict(), strict=False)
        assert not surplus and all(key.startswith("retouch.") for key in missing)
        model = whole
    return model.train().requires_grad_(True)


def _photo_pixels(photos: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    flips = torch.rand(len(photos), generator=draws) < 0.5
    return crop(photos, random_boxes(len(photos), draws), flips).unsqueeze(2)


def _clip_pixels(batch: Batch, draws: torch.Generator) -> torch.Tensor:
    if batch.clips is None:
        return pan_and_zoom(batch.photos[: max(1, len(batch.photos) // 8)], draws)
    b, t = batch.clips.shape[:2]
    boxes = random_boxes(b, draws, 0.5).repeat_interleave(t, 0)
    return crop(batch.clips.flatten(0, 1), boxes).view(b, t, 3, 224, 224).transpose(1, 2)


def _held_out(data: list[Path]) -> tuple[torch.Tensor, torch.Tensor]:
    """The first photos and pan-and-zoom clips of the validation part: (M, 3, 1, 224, 224), (8, 3, 16, 224, 224)."""
    items = [item for item in read_items(data, "val") if not item.is_clip]
    if not items:
        raise SettingsError("The validation part holds no photo; add a --data folder with more photos.")
    chosen = items[:: max(1, len(items) // HELD_OUT)][:HELD_OUT]
    photos = torch.stack([Reader(chosen)[place][0] for place in range(len(chosen))])
    return (photos.float() / 255).unsqueeze(2), pan_and_zoom(photos[:8], generator(0))


def evaluate(model: MaskedAutoencoder, photos: torch.Tensor, clips: torch.Tensor) -> dict[str, float]:
    """Mean squared error on hidden pixels in [0, 1], and its ratio to the mean of the visible pixels (trivial fill)."""
    figures = {}
    for name, pixels, keep, strategy in (
        ("photo", photos, PHOTO_KEEP, "random"),
        ("clip", clips, CLIP_KEEP, "tube"),
    ):
        errors, trivial, guess, noise = 0.0, 0.0, 0.0, generator(0)
        for part in pixels.split(8):
            part = part.to(model.mask_token.device)
            grid = model.encoder.grid(part)
            visible = sample_visible(part.new_zeros(len(part), grid.tokens), keep, noise, strategy, grid=grid)
            errors += _hidden(token_mse(part, model.reconstruct(part, visible), grid), visible)
            trivial += _hidden(token_mse(part, visible_mean_fill(part, visible, grid), grid), visible)
            first = model._fill(part, visible, grid)[:, :, : part.shape[2]]
            first = (first * model.encoder.std + model.encoder.mean).clamp(0, 1)
            guess += _hidden(token_mse(part, first, grid), visible)
        figures[f"{name}_mse"] = errors / len(pixels)
        figures[f"{name}_to_mean_fill"] = errors / trivial
        figures[f"{name}_to_harmonic_fill"] = errors / guess
    return figures


def _hidden(error: torch.Tensor, visible: torch.Tensor) -> float:
    """Sum over inputs of the mean error (B, N) on hidden tokens."""
    return (error.scatter(1, visible, 0.0).sum(1) / (error.shape[1] - visible.shape[1])).sum().item()
