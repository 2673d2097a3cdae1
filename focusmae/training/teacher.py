"""A teacher for the classifiers: a small convolutional network that sees whole photos and ships with nothing.

Convolutions learn quickly from few photos, transformers do not. While a classifier learns from a few tokens of a cut,
the teacher says what it makes of the whole cut (distillation, Hinton et al. 2015; for transformers DeiT, ICML 2021).
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from focusmae import device
from focusmae.errors import SettingsError, WeightsError
from focusmae.models.checkpoints import parameters
from focusmae.models.tensors import read_tensors
from focusmae.training.data import Reader, batches, crop, held_out_photos, labelled_photos, random_boxes, step_generator
from focusmae.training.loop import Schedule, fit, make_accelerator

SIDE = 112  # px; half the classifiers' side is enough to know the class
WIDTHS = (32, 64, 128, 256)
SMOOTHING = 0.1
HELD_OUT = 300


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, at half the side (ResNet, He et al., CVPR 2016)."""

    def __init__(self, given: int, width: int):
        super().__init__()
        self.first, self.second = _convolution(given, width, 2), _convolution(width, width)
        self.beside = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(given, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.second(F.relu(self.first(x))) + self.beside(x))


def _convolution(given: int, width: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(given, width, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


class Teacher(nn.Module):
    """Photos uint8 (B, 3, H, W), boxes (B, 4), flips (B,) -> logits (B, len(labels)) of what is in the boxes."""

    def __init__(self, labels: list[str], widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, widths[0], 2), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)))
        self.head = nn.Linear(widths[-1], len(labels))
        self.to(memory_format=torch.channels_last)

    def forward(self, photos: torch.Tensor, boxes: torch.Tensor, flips: torch.Tensor | None = None) -> torch.Tensor:
        """Logits of the boxes, each seen at 112 px."""
        pixels = 4 * (crop(photos, boxes, flips, side=SIDE).to(self.head.weight.device) - 0.5)
        x = self.blocks(self.stem(pixels.contiguous(memory_format=torch.channels_last)))
        return self.head(x.mean((2, 3)))


class Task(nn.Module):
    """Cross-entropy with label smoothing on random cuts of photos."""

    def __init__(self, model: Teacher, seed: int):
        super().__init__()
        self.model, self.seed = model, seed

    def forward(self, step: int, batch) -> tuple[torch.Tensor, dict]:
        photos, labels = batch
        draws = step_generator(self.seed, step)
        boxes, flips = random_boxes(len(photos), draws), torch.rand(len(photos), generator=draws) < 0.5
        logits, labels = self.model(photos, boxes, flips), labels.to(self.model.head.weight.device)
        loss = F.cross_entropy(logits, labels, label_smoothing=SMOOTHING)
        return loss, {"top1": (logits.argmax(-1) == labels).float().mean()}


def train(
    data: list[Path],
    out: Path,
    steps: int = 2000,
    batch: int = 64,
    rate: float = 3e-3,
    seed: int = 0,
    *,
    widths: tuple[int, ...] = WIDTHS,
) -> dict[str, float]:
    """Train on the labelled photos of ``data``; writes out/teacher.safetensors, returns held-out top-1."""
    accelerator = make_accelerator()
    items, labels = labelled_photos(data)
    torch.manual_seed(seed)
    model = Teacher(labels, widths)
    if accelerator.is_main_process:
        print(f"{len(items)} photos, {len(labels)} classes, {parameters(model) / 1e6:.2f} M weights", flush=True)
    task = Task(model, seed).to(device.setup())

    def feed(first: int):
        shape = {"rank": accelerator.process_index, "world": accelerator.num_processes, "seed": seed}
        return batches(Reader(items, labels, seed), batch, first, steps, **shape)

    reader = Reader(held_out_photos(data, labels, HELD_OUT), labels)
    held_out = [reader[place] for place in range(len(reader))]
    schedule = Schedule(steps=steps, rate=rate, warmup=min(150, steps // 10 + 1), betas=(0.9, 0.98))
    identity = {"data": ", ".join(d.name for d in data), "batch": str(batch), "seed": seed}
    figures = fit(task, schedule, out, feed, lambda: _evaluate(model, held_out), None, accelerator, identity)
    if accelerator.is_main_process:
        about = {"kind": "teacher", "labels": "\n".join(labels), "widths": " ".join(map(str, widths))}
        tensors = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
        save_file(tensors, out / "teacher.safetensors", metadata={**identity, "seed": str(seed), **about})
    return figures


def _evaluate(model: Teacher, held_out: list[tuple[torch.Tensor, int]]) -> dict[str, float]:
    whole, right = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), 0
    for photo, label in held_out:
        right += int(model(photo[None], whole).argmax() == label)
    return {"top1": right / len(held_out)}


def load_teacher(path: Path, labels: list[str]) -> Teacher:
    """The frozen teacher in a file. Raises WeightsError for other files, SettingsError if its labels are others."""
    found = read_tensors(path)
    if found.metadata.get("kind") != "teacher":
        raise WeightsError(f"{path.name} holds no teacher; `python -m focusmae train teacher` makes one.")
    if found.metadata["labels"].split("\n") != labels:
        raise SettingsError(f"{path.name} knows other labels than the photos have; train a teacher on the same --data.")
    teacher = Teacher(labels, tuple(map(int, found.metadata["widths"].split())))
    teacher.load_state_dict(found.values)
    return teacher.eval().requires_grad_(False)
