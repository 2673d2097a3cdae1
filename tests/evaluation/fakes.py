"""A world whose answers are known: grey pictures with one coloured square of 3 x 3 tokens, and nothing else matters."""

import math
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from focusmae.evaluation.contenders import Networks
from focusmae.masking import Grid
from focusmae.media import write_png
from focusmae.models.load import Scorer
from focusmae.models.scorer import Scores
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import EXPERTS
from tests.tiny import make_autoencoder

LABELS = ["Red", "green thing", "blue"]
COLOURS = {"red": (255, 0, 0), "Green_Thing": (0, 255, 0), "BLUE": (0, 0, 255)}  # by folder names that mean the same
GREY, OBJECT = 128, 9
GRID = Grid(1, 14, 14)


class ColourEncoder(nn.Module):
    """A token's features are how its mean colour differs from grey."""

    def grid(self, pixels: torch.Tensor) -> Grid:
        return Grid(max(1, pixels.shape[2] // 2), 14, 14)

    def embed(self, pixels: torch.Tensor) -> torch.Tensor:
        t, h, w = self.grid(pixels)
        blocks = (pixels - GREY / 255).reshape(len(pixels), 3, t, -1, h, 16, w, 16)
        return blocks.mean((3, 5, 7)).flatten(2).transpose(1, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens


class ColourClassifier(nn.Module):
    """Says the colour that it sees, the surer the more of it; without any, all three alike (and so the first)."""

    def __init__(self, labels=LABELS, sharpness: float = 300.0):
        super().__init__()
        self.labels, self.config = list(labels), SimpleNamespace(prefix=0, pool="mean")
        self.encoder, self.fc_norm, self.head = ColourEncoder(), nn.Identity(), nn.Linear(3, 3)
        with torch.no_grad():
            self.head.weight.copy_(sharpness * torch.eye(3))
            self.head.bias.zero_()
        self.eval().requires_grad_(False)

    def pool(self, encoded: torch.Tensor) -> torch.Tensor:
        return encoded.mean(1)


class ColourScores(nn.Module):
    """Importance = colour, times ``strength``: negative looks away, 0 knows nothing."""

    def __init__(self, strength: float):
        super().__init__()
        self.config, self.strength = SimpleNamespace(reads="features"), nn.Parameter(torch.tensor(strength))

    def forward(self, tokens, descriptors, owners) -> Scores:
        scores = self.strength * tokens.abs().sum(-1)
        return Scores(scores, torch.full((*scores.shape, len(EXPERTS)), 1 / len(EXPERTS)))


class Whole:
    """A segmenter for which every picture is one thing."""

    name = "whole"

    def __call__(self, view, text=None) -> SegmentMap:
        return SegmentMap(np.ones(view.frames.shape[:3]), np.ones(1), self.name)


def networks(strength: float = 40.0, judge: nn.Module | None = None) -> Networks:
    """All that ``evaluate`` needs, tiny; the scorer sees where the colour is."""
    classifier = ColourClassifier()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        autoencoder = make_autoencoder()
    scorer = Scorer("colour", ColourScores(strength), classifier, classifier)
    return Networks(autoencoder, classifier, {"colour": scorer}, judge)


def picture(number: int, colour: tuple[int, int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """uint8 (224, 224, 3), and the row and column of the first token of its square; no two numbers alike."""
    frame = np.full((224, 224, 3), GREY, np.uint8)
    row, column = np.random.default_rng(number).integers(0, 12, 2).tolist()
    frame[16 * row : 16 * row + 48, 16 * column : 16 * column + 48] = colour
    frame[0, 0] = (GREY, GREY, 100 + number)  # so that pictures with equal squares differ
    return frame, (row, column)


def write_world(folder, each: int = 4, masks: bool = True) -> int:
    """``each`` pictures of every colour in folders of classes, with object masks; returns their number."""
    for place, (name, colour) in enumerate(COLOURS.items()):
        (folder / name).mkdir(parents=True)
        (folder / "masks" / name).mkdir(parents=True)
        for number in range(each):
            frame, (row, column) = picture(place * each + number, colour)
            write_png(folder / name / f"{number}.png", frame)
            mask = np.zeros((224, 224), np.uint8)
            mask[16 * row : 16 * row + 48, 16 * column : 16 * column + 48] = 255
            if masks:
                write_png(folder / "masks" / name / f"{number}.png", mask)
    return each * len(COLOURS)


def chance_to_see(keep: float) -> float:
    """The chance that a uniform draw has at least one token of the square (hypergeometric)."""
    tokens, count = GRID.tokens, int(GRID.tokens * keep)
    return 1 - math.comb(tokens - OBJECT, count) / math.comb(tokens, count)
