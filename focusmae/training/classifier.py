"""Fine-tuning of the classifiers from the autoencoder's encoder, with random keep ratios from 5 to 100 %.

So trained, a prediction from few tokens is meaningful. One keep count a batch, and larger batches where few tokens are
visible, so that every step costs about the same; the ceiling of the draw rises over the run (few tokens are quick).
"""

import math
from pathlib import Path

import torch
from torch import nn

from focusmae import device, hub
from focusmae.errors import SettingsError
from focusmae.masking import Grid, generator, sample_visible
from focusmae.models.checkpoints import load_model, parameters, save_model, transfer_encoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.training.data import Reader, batches, crop, pan_and_zoom, random_boxes, read_items, step_generator
from focusmae.training.loop import Schedule, fit, make_accelerator

KINDS = ("image", "clip")
SMALLEST_KEEP, RISE = 0.05, 0.7
SMOOTHING = 0.1
HELD_OUT = 300
KEEPS = (0.1, 0.25, 1.0)
EMBEDDED = EncoderConfig(final_norm=False)


def keep_count(step: int, steps: int, tokens: int, draws: torch.Generator) -> int:
    """Log-uniform between 5 % of the tokens and a ceiling that rises from 30 % to 100 % over the first 70 %."""
    ceiling = 0.3 + 0.7 * min(1.0, step / (RISE * steps))
    low, high = math.log(SMALLEST_KEEP), math.log(ceiling)
    share = math.exp(low + (high - low) * torch.rand((), generator=draws).item())
    return max(2, round(tokens * share))


class Task(nn.Module):
    """Cross-entropy with label smoothing from a subset of the tokens, drawn uniformly."""

    def __init__(self, model: TokenClassifier, kind: str, steps: int, seed: int, budget: int):
        super().__init__()
        self.model, self.kind, self.steps, self.seed, self.budget = model, kind, steps, seed, budget

    def forward(self, step: int, batch) -> tuple[torch.Tensor, dict]:
        photos, labels = batch
        draws = step_generator(self.seed, step)
        grid = Grid(1 if self.kind == "image" else 8, 14, 14)
        count = keep_count(step, self.steps, grid.tokens, draws)
        size = min(len(photos), max(4, self.budget // count))
        photos, labels = photos[:size], labels[:size].to(self.model.head.weight.device)
        visible = sample_visible(
            torch.zeros(size, grid.tokens), (count + 0.5) / grid.tokens, draws, "random", grid=grid
        )
        pixels = _augment(photos, visible, draws) if self.kind == "image" else pan_and_zoom(photos, draws)
        logits = self.model.logits(pixels.to(labels.device), visible.to(labels.device))
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
        return loss, {"top1": (logits.argmax(-1) == labels).float().mean(), "visible": torch.tensor(float(count))}


def train(
    data: list[Path],
    out: Path,
    kind: str = "image",
    start: Path | None = None,
    steps: int = 3000,
    batch: int = 96,
    rate: float = 8e-4,
    seed: int = 0,
    *,
    config: EncoderConfig = EMBEDDED,
) -> dict:
    """Fine-tune on the labelled photos of ``data``; kind "clip" pans and zooms over them.

    ``start``: autoencoder.safetensors or a classifier to begin from. Writes out/classifier-KIND.safetensors and returns
    top-1 on the validation part at 10, 25 and 100 % of the tokens.
    """
    if kind not in KINDS:
        raise SettingsError(f"There is no kind {kind!r} of classifier; choose from {', '.join(KINDS)}.")
    accelerator = make_accelerator()
    items = [item for item in read_items(data, "train") if item.label and not item.is_clip]
    labels = sorted({item.label for item in items})
    if len(labels) < 2:
        raise SettingsError("A classifier needs photos of two labels or more; put them into one folder for each label.")
    torch.manual_seed(seed)
    model = TokenClassifier(config, labels)
    if start is not None:
        _begin_from(start, model)
    if accelerator.is_main_process:
        print(f"{len(items)} photos, {len(labels)} classes, {parameters(model) / 1e6:.2f} M weights", flush=True)
    budget = 4096 if kind == "image" else 6272
    task = Task(model.to(device.setup()), kind, steps, seed, budget)

    def feed(first: int):
        shape = {"rank": accelerator.process_index, "world": accelerator.num_processes, "seed": seed}
        size = batch if kind == "image" else max(4, batch // 3)
        return batches(Reader(items, labels, seed), size, first, steps, **shape)

    held_out = _held_out(data, labels, kind)
    schedule = Schedule(steps=steps, rate=rate, warmup=min(150, steps // 10 + 1), betas=(0.9, 0.98))
    about = {"data": ", ".join(d.name for d in data), "steps": str(steps), "batch": str(batch)}
    begun = hub.sha256(start) if start else "nothing"
    figures = fit(
        task,
        schedule,
        out,
        feed,
        lambda: evaluate(model, *held_out),
        {"model.head": 3.0},
        accelerator,
        {**about, "seed": seed, "kind": kind, "start": begun},
    )
    if accelerator.is_main_process:
        save_model(model, out / f"classifier-{kind}.safetensors", **about)
    return figures


def _begin_from(start: Path, model: TokenClassifier) -> None:
    if start.name.startswith("classifier"):
        source = load_model(start, "classifier")
        if source.labels == model.labels:
            model.load_state_dict(source.state_dict())
            return
    else:
        source = load_model(start, "autoencoder")
    transfer_encoder(source, model)


def _augment(photos: torch.Tensor, visible: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """Random crop, flip, brightness and contrast of the visible patches: float (B, 3, 1, 224, 224)."""
    b = len(photos)
    pixels = crop(photos, random_boxes(b, draws, 0.25), torch.rand(b, generator=draws) < 0.5, visible)
    strength = 1 + 0.4 * (torch.rand(2, b, 1, 1, 1, generator=draws) * 2 - 1)
    middle = photos[:, :, ::8, ::8].float().mean((1, 2, 3)).view(b, 1, 1, 1) / 255
    slope, offset = strength[0] * strength[1], middle * (1 - strength[0]) * strength[1]
    return torch.addcmul(offset, pixels, slope).clamp_(0, 1).unsqueeze(2)


def _held_out(data: list[Path], labels: list[str], kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    items = [item for item in read_items(data, "val") if item.label in labels and not item.is_clip]
    if not items:
        raise SettingsError("The validation part holds no labelled photo; add a --data folder with more photos.")
    count = HELD_OUT if kind == "image" else HELD_OUT // 5
    reader = Reader(items[:: max(1, len(items) // count)][:count], labels)
    photos, numbers = zip(*(reader[place] for place in range(len(reader))), strict=True)
    photos = torch.stack(photos)
    pixels = (photos.float() / 255).unsqueeze(2) if kind == "image" else pan_and_zoom(photos, generator(0))
    return pixels, torch.tensor(numbers)


def evaluate(model: TokenClassifier, pixels: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Top-1 on held-out inputs from random subsets: {"top1_10": ..., "top1_25": ..., "top1_100": ...}."""
    right, noise = dict.fromkeys(KEEPS, 0), generator(0)
    where = model.head.weight.device
    for part, truth in zip(pixels.split(16), labels.split(16), strict=True):
        grid = model.encoder.grid(part)
        for keep in KEEPS:
            visible = sample_visible(torch.zeros(len(part), grid.tokens), keep, noise, "random", grid=grid)
            said = model.logits(part.to(where), visible.to(where)).argmax(-1).cpu()
            right[keep] += int((said == truth).sum())
    return {f"top1_{keep:.0%}".rstrip("%"): count / len(labels) for keep, count in right.items()}
