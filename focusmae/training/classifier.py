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
from focusmae.masking import generator, sample_visible
from focusmae.models.checkpoints import load_model, parameters, save_model, transfer_encoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.encoder import EncoderConfig
from focusmae.models.load import load_scorer
from focusmae.segments.base import Segmenter, load_segmenter
from focusmae.training.data import (
    CLIP_GRID,
    PHOTO_GRID,
    Reader,
    batches,
    crop,
    glide,
    glide_boxes,
    held_out_photos,
    labelled_photos,
    random_boxes,
    step_generator,
)
from focusmae.training.focus import Focus, FocusReader, move_scores
from focusmae.training.loop import Schedule, fit, hash_of, make_accelerator
from focusmae.training.teacher import Teacher, load_teacher

KINDS = ("image", "clip")
GRIDS = {"image": PHOTO_GRID, "clip": CLIP_GRID}
SMALLEST_KEEP, RISE = 0.05, 0.7
SMOOTHING = 0.1
TRUST = 0.7  # weight of what the teacher says against the label
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
    """Cross-entropy with label smoothing from a subset of the tokens, drawn uniformly; or as ``focus`` says.

    With a focus a batch also holds descriptors and owners of the photos' segments (see ``FocusReader``). A ``teacher``
    sees the whole cut, of clips the middle frame's.
    """

    def __init__(
        self,
        model: TokenClassifier,
        kind: str,
        steps: int,
        seed: int,
        budget: int,
        focus: Focus | None = None,
        teacher: Teacher | None = None,
    ):
        super().__init__()
        self.model, self.kind, self.steps, self.seed, self.budget, self.focus = model, kind, steps, seed, budget, focus
        self._teacher = (teacher,)  # in a tuple: none of its weights are this module's

    def forward(self, step: int, batch) -> tuple[torch.Tensor, dict]:
        draws = step_generator(self.seed, step)
        grid = GRIDS[self.kind]
        count = grid.tokens
        if self.focus is None or self.focus.draws:
            count = keep_count(step, self.steps, grid.tokens, draws)
        size = min(len(batch[0]), max(4, self.budget // count))
        photos, labels, *segments = (part[:size] for part in batch)
        labels, keep = labels.to(self.model.head.weight.device), min(1.0, (count + 0.5) / grid.tokens)
        given, extra = {}, 0.0
        if self.focus is None:
            given["visible"] = sample_visible(torch.zeros(size, grid.tokens), keep, draws, "random", grid=grid)
        boxes, flips = _cuts(size, self.kind, draws)
        if self.focus is not None:
            found = self.focus.scores(photos, *segments)
            scores, extra = _moved(found.scores, boxes, flips), self.focus.loss(found.gates)
            given = self.focus.arguments(scores, keep, draws, grid)
        if self.kind == "image":
            pixels = _augment(photos, boxes, flips, given.get("visible"), draws)
        else:
            pixels = glide(photos, boxes)
        logits = self.model.logits(pixels.to(labels.device), **{k: v.to(labels.device) for k, v in given.items()})
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
        if (teacher := self._teacher[0]) is not None:
            with torch.no_grad():
                said = teacher(photos, boxes if boxes.ndim == 2 else boxes[:, boxes.shape[1] // 2], flips).softmax(-1)
            loss = torch.lerp(loss, nn.functional.cross_entropy(logits, said), TRUST)
        figures = {"top1": (logits.argmax(-1) == labels).float().mean(), "visible": torch.tensor(float(count))}
        return loss + extra, figures


def _cuts(count: int, kind: str, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Boxes (B, 4) and flips of photos, or boxes (B, 16, 4) of clips that glide over them."""
    if kind == "clip":
        return glide_boxes(count, draws), None
    return random_boxes(count, draws), torch.rand(count, generator=draws) < 0.5


def _moved(scores: torch.Tensor, boxes: torch.Tensor, flips: torch.Tensor | None) -> torch.Tensor:
    """Scores (B, 196) of photos at the tokens of what was cut out of them: (B, 196), or (B, 1568) of clips."""
    boxes = boxes.unsqueeze(1) if boxes.ndim == 2 else boxes.unflatten(1, (-1, 2)).mean(2)
    return move_scores(scores, boxes, flips)


def train(
    data: list[Path],
    out: Path,
    kind: str = "image",
    start: Path | None = None,
    steps: int = 3000,
    batch: int = 96,
    rate: float = 8e-4,
    seed: int = 0,
    focus: str = "none",
    scorer: str = "embedded",
    teacher: Path | None = None,
    *,
    config: EncoderConfig = EMBEDDED,
) -> dict:
    """Fine-tune on the labelled photos of ``data``; kind "clip" pans and zooms over them.

    start: autoencoder.safetensors or a classifier to begin from. focus: "none" draws uniformly; "select", "gate" and
    "prompt" are explained in training/focus.py; scorer: whose scores. teacher: teacher.safetensors, whose opinion is
    learned beside the labels. Writes out/classifier-KIND.safetensors, for
    "gate" also the scorer that was trained along, out/scorer-gate.safetensors. Returns top-1 on the validation part at
    random 10 and 25 and at 100 % of the tokens, and with the focus.
    """
    if kind not in KINDS:
        raise SettingsError(f"There is no kind {kind!r} of classifier; choose from {', '.join(KINDS)}.")
    chosen = None if focus == "none" else Focus(focus, load_scorer(scorer))
    accelerator = make_accelerator()
    items, labels = labelled_photos(data)
    torch.manual_seed(seed)
    model = TokenClassifier(config, labels)
    if start is not None:
        _begin_from(start, model)
    if accelerator.is_main_process:
        print(f"{len(items)} photos, {len(labels)} classes, {parameters(model) / 1e6:.2f} M weights", flush=True)
    budget = 4096 if kind == "image" else 6272
    where = device.setup()
    taught = load_teacher(teacher, labels).to(where) if teacher else None
    task = Task(model, kind, steps, seed, budget, chosen, taught).to(where)
    segmenter = load_segmenter("superpixels") if chosen else None
    reader = FocusReader(items, labels, seed, segmenter) if chosen else Reader(items, labels, seed)

    def feed(first: int):
        shape = {"rank": accelerator.process_index, "world": accelerator.num_processes, "seed": seed}
        size = batch if kind == "image" else max(4, batch // 3)
        return batches(reader, size, first, steps, **shape)

    held_out = _held_out(data, labels, kind, segmenter)
    schedule = Schedule(steps=steps, rate=rate, warmup=min(150, steps // 10 + 1), betas=(0.9, 0.98))
    about = {"data": ", ".join(d.name for d in data), "steps": str(steps), "batch": str(batch)}
    identity = {**about, "seed": seed, "kind": kind, "start": hash_of(start)}
    if chosen:
        about["focus"] = focus
        identity |= {"focus": focus, "scorer": scorer}
    if teacher:
        about["teacher"] = identity["teacher"] = hub.sha256(teacher)

    def judge() -> dict[str, float]:
        figures = evaluate(model, *held_out[:2])
        return {**figures, **evaluate_focus(model, chosen, kind, *held_out)} if chosen else figures

    figures = fit(
        task,
        schedule,
        out,
        feed,
        judge,
        {"model.head": 3.0},
        accelerator,
        identity,
    )
    if accelerator.is_main_process:
        save_model(model, out / f"classifier-{kind}.safetensors", **about)
        if focus == "gate":
            save_model(chosen.network, out / "scorer-gate.safetensors", **about)
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


def _augment(
    photos: torch.Tensor,
    boxes: torch.Tensor,
    flips: torch.Tensor,
    visible: torch.Tensor | None,
    draws: torch.Generator,
) -> torch.Tensor:
    """Boxes cut out, flipped, of random brightness and contrast, the visible patches alone: (B, 3, 1, 224, 224)."""
    b = len(photos)
    pixels = crop(photos, boxes, flips, visible)
    strength = 1 + 0.4 * (torch.rand(2, b, 1, 1, 1, generator=draws) * 2 - 1)
    middle = photos[:, :, ::8, ::8].float().mean((1, 2, 3)).view(b, 1, 1, 1) / 255
    slope, offset = strength[0] * strength[1], middle * (1 - strength[0]) * strength[1]
    return torch.addcmul(offset, pixels, slope).clamp_(0, 1).unsqueeze(2)


def _held_out(data: list[Path], labels: list[str], kind: str, segmenter: Segmenter | None = None) -> tuple:
    """(pixels, numbers of their labels) of the validation part; with a segmenter also photos, boxes, descriptors,
    and owners, from which a focus has its scores."""
    items = held_out_photos(data, labels, HELD_OUT if kind == "image" else HELD_OUT // 5)
    reader = FocusReader(items, labels, 0, segmenter) if segmenter else Reader(items, labels)
    photos, numbers, *segments = zip(*(reader[place] for place in range(len(reader))), strict=True)
    photos = torch.stack(photos)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(len(photos), 4)
    boxes = whole if kind == "image" else glide_boxes(len(photos), generator(0))
    pixels = (photos.float() / 255).unsqueeze(2) if kind == "image" else glide(photos, boxes)
    further = (photos, boxes, *map(torch.stack, segments)) if segmenter else ()
    return pixels, torch.tensor(numbers), *further


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
    return {f"top1_{_percent(keep)}": count / len(labels) for keep, count in right.items()}


@torch.no_grad()
def evaluate_focus(model: TokenClassifier, focus: Focus, kind: str, *held_out: torch.Tensor) -> dict[str, float]:
    """Top-1 with the focus: {"select_10": ..., "select_25": ...}, or {"gate": ...} or {"prompt": ...} of all tokens."""
    right, noise, where = {}, generator(0), model.head.weight.device
    for pixels, truth, photos, boxes, *segments in zip(*(part.split(16) for part in held_out), strict=True):
        scores = _moved(focus.scores(photos, *segments).scores, boxes, None)
        for keep in KEEPS[:-1] if focus.draws else KEEPS[-1:]:
            given = focus.arguments(scores, keep, noise, GRIDS[kind])
            said = model.logits(pixels.to(where), **{name: value.to(where) for name, value in given.items()})
            name = f"{focus.how}_{_percent(keep)}" if focus.draws else focus.how
            right[name] = right.get(name, 0) + int((said.argmax(-1).cpu() == truth).sum())
    return {name: count / len(held_out[1]) for name, count in right.items()}


def _percent(keep: float) -> str:
    return f"{keep:.0%}".rstrip("%")
