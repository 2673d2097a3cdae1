"""Fine-tuning on labelled clips, in arms that differ in nothing but the tokens that a step may see.

focus: drawn from softmax of a frozen scorer's scores; random: drawn uniformly, as many of them, with the same noise;
all: every token. Network, start, clips, windows, cuts and their order are the same. Labels are unlike in number, so
every label comes equally often; windows are those of the test, made and scored once.
"""

import dataclasses
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

from focusmae.masking import sample_visible
from focusmae.models.checkpoints import load_model, transfer_encoder
from focusmae.models.classifier import TokenClassifier
from focusmae.models.load import load_classifier
from focusmae.models.tensors import read_tensors
from focusmae.training.data import CLIP_GRID, SIDE, random_boxes, step_generator
from focusmae.training.focus import move_scores

ARMS = {
    "focus": "FocusMAE fine-tuning: tokens drawn from the frozen scorer's scores",
    "random": "random masking: as many tokens, drawn uniformly",
    "all": "no masking: every token",
}
STRATEGIES = {"focus": "select", "random": "random"}
SMALLEST_CUT = 0.6  # of the picture's area; what a label depends on may lie anywhere
SMOOTHING = 0.1


class Windows(torch.utils.data.Dataset):
    """Stored views of clips: ((number, step)) -> (uint8 (16, 3, 224, 224), label, scores (1568,)), a window at random.

    A store is a safetensors file with ``views`` uint8 (V, 16, 3, 224, 224) and ``scores`` (V, 1568).
    """

    def __init__(self, stores: list[Path], labels: list[int], seed: int):
        self.stores, self.labels, self.seed = stores, labels, seed

    def __len__(self) -> int:
        return len(self.stores)

    def __getitem__(self, place: tuple[int, int]) -> tuple[torch.Tensor, int, torch.Tensor]:
        number, step = place
        with safe_open(self.stores[number], "pt") as file:
            views, scores = file.get_slice("views"), file.get_slice("scores")
            draw = torch.rand((), generator=step_generator(self.seed, step, number)).item()
            view = int(draw * views.get_shape()[0])
            return views[view], self.labels[number], scores[view].float()


class EqualShares(torch.utils.data.Sampler):
    """Batches [(number, place)] in which every label comes equally often, each clip of a label before any comes again.

    A function of the step alone, so that a resumed run, and every arm, sees the same. ``place`` counts all draws.
    """

    def __init__(self, labels: list[int], batch: int, first: int, last: int, seed: int, rank: int = 0, world: int = 1):
        self.batch, self.range, self.seed, self.rank, self.world = batch, range(first, last), seed, rank, world
        self.members = [[n for n, each in enumerate(labels) if each == label] for label in sorted(set(labels))]

    def __len__(self) -> int:
        return len(self.range)

    def __iter__(self):
        for step in self.range:
            start = (step * self.world + self.rank) * self.batch
            yield [(self._number(place), place) for place in range(start, start + self.batch)]

    def _number(self, place: int) -> int:
        turn, label = divmod(place, len(self.members))
        members = self.members[label]
        epoch, position = divmod(turn, len(members))
        order = torch.randperm(len(members), generator=step_generator(self.seed, 13, label, epoch))
        return members[int(order[position])]


class Task(nn.Module):
    """Cross-entropy with label smoothing, from the tokens of an arm; ``keep``: the share of them that is visible."""

    def __init__(self, model: TokenClassifier, arm: str, keep: float, seed: int):
        super().__init__()
        self.model, self.arm, self.keep, self.seed = model, arm, keep, seed

    def forward(self, step: int, batch) -> tuple[torch.Tensor, dict]:
        windows, labels, scores = batch
        draws, count = step_generator(self.seed, step), len(windows)
        boxes = (random_boxes(count, draws, SMALLEST_CUT) * SIDE).round() / SIDE
        flips = torch.rand(count, generator=draws) < 0.5
        pixels = cut(windows, boxes, flips)
        moved = move_scores(scores, boxes.unsqueeze(1).expand(-1, CLIP_GRID.t, -1), flips)
        visible, where = tokens(self.arm, moved, self.keep, draws), self.model.head.weight.device
        logits = self.model.logits(pixels.to(where), visible if visible is None else visible.to(where))
        loss = nn.functional.cross_entropy(logits, labels.to(where), label_smoothing=SMOOTHING)
        return loss, {"top1": (logits.argmax(-1) == labels.to(where)).float().mean()}


def cut(windows: torch.Tensor, boxes: torch.Tensor, flips: torch.Tensor) -> torch.Tensor:
    """Boxes (B, 4) of whole pixels out of windows uint8 (B, T, 3, 224, 224): float (B, 3, T, 224, 224) in [0, 1].

    By bytes and without positions to sample at, which takes a fraction of the time of ``data.crop``.
    """
    found = []
    for window, box, flip in zip(windows, (boxes * SIDE).round().int().tolist(), flips.tolist(), strict=True):
        x0, y0, x1, y1 = box
        part = F.interpolate(window[:, :, y0:y1, x0:x1], (SIDE, SIDE), mode="bilinear", antialias=True)
        found.append(part.flip(3) if flip else part)
    return torch.stack(found).transpose(1, 2).float() / 255


def tokens(arm: str, scores: torch.Tensor, keep: float, draws: torch.Generator) -> torch.Tensor | None:
    """The visible tokens (B, K) of an arm for scores (B, 1568); None for all of them."""
    return sample_visible(scores, keep, draws, STRATEGIES[arm], grid=CLIP_GRID) if arm in STRATEGIES else None


def begin(start: str, labels: list[str], seed: int) -> TokenClassifier:
    """A classifier for ``labels`` with the encoder of ``start``, a name or a file (of ours also an autoencoder's).

    Raises SettingsError or WeightsError.
    """
    path = Path(start)
    if path.is_file() and read_tensors(path).metadata.get("kind") == "autoencoder":
        source = load_model(path, "autoencoder")
    else:
        source = load_classifier(start)
    torch.manual_seed(seed)
    model = TokenClassifier(dataclasses.replace(source.encoder.config, final_norm=False, pool="mean"), labels)
    transfer_encoder(source, model)
    return model


def warmup(steps: int) -> int:
    """Steps of the linear warm-up of a run of ``steps``."""
    return max(1, min(50, math.ceil(steps / 10)))
