"""Where the arms' scores come from: the scorers, the segment prior, other segments, class activations, or nothing."""

from dataclasses import dataclass

import torch

from focusmae.evaluation.contenders import Networks, Reader, scorer_tokens
from focusmae.evaluation.masks import Masks
from focusmae.evaluation.protocol import ACTIVATION_SPREAD
from focusmae.masking import Grid, centre_scores
from focusmae.models.grids import resample_scores, scorer_grid
from focusmae.models.load import Scorer, load_scorer, segment_inputs
from focusmae.models.scorer import Scores
from focusmae.segments.base import SegmentMap


@dataclass
class Case:
    """One input, read: pixels (1, 3, T, 224, 224) in [0, 1] on the models' device, its segments, and another input's.

    labels: what it may be called, the nearest folder first; empty where nobody knows.
    """

    name: str
    kind: str
    sha256: str
    pixels: torch.Tensor
    segments: SegmentMap
    foreign: SegmentMap
    labels: tuple[str, ...] = ()
    masks: Masks | None = None


class Sources:
    """Scores (1, N) on the CPU by the name of their source, each made once; see ``protocol.Arm`` for the names.

    The scorers' own tokens, and the classifier's, are resampled to the grid that is asked for where it has others.
    truth: number of the true class, None if unknown.  wrong: number of a class that is neither true nor predicted,
    chosen by the input's content; None where there are fewer than three classes.
    """

    def __init__(self, case: Case, networks: Networks, reader: Reader, truth: int | None):
        self.case, self.networks, self.reader = case, networks, reader
        self.glance = scorer_grid(case.pixels)
        self.predicted = int(reader.full.argmax())
        self.truth = truth
        self.wrong = self._wrong_class()
        self._first = next(iter(networks.scorers))
        self._inputs: dict[bool, tuple[torch.Tensor, torch.Tensor]] = {}
        self._made: dict[str, Scores | None] = {}

    def scores(self, source: str, grid: Grid) -> torch.Tensor | None:
        """Scores for tokens of ``grid``; None where this input has no such source, as an oracle's without a label."""
        made = self._get(source)
        home = self.reader.grid if source in ("activation", "truth", "wrong") else self.glance
        return None if made is None else resample_scores(made.scores, home, grid)

    def gates(self, scorer: str) -> torch.Tensor:
        """The experts' shares (1, N, E) of a scorer, by its name."""
        return self._get("scores" if scorer == self._first else scorer).gates

    def _get(self, source: str) -> Scores | None:
        if source not in self._made:
            made = self._make(source)
            self._made[source] = made if made is None else Scores(*(part.float().cpu() for part in made))
        return self._made[source]

    def _make(self, source: str) -> Scores | None:
        plain = {"nothing": torch.zeros(1, self.glance.tokens), "centre": centre_scores(self.glance)[None]}
        if source in plain:
            return _without_gates(plain[source])
        if source == "inverse":
            return _without_gates(-self._get("scores").scores)
        classes = {"activation": self.predicted, "truth": self.truth, "wrong": self.wrong}
        if source in classes:
            number = classes[source]
            return None if number is None else _without_gates(ACTIVATION_SPREAD * self.reader.activation(number))
        if source == "prior":
            return self._scored(load_scorer("prior"), foreign=False)
        first = self.networks.scorers[self._first]
        if source in ("scores", "shuffled"):
            return self._scored(first, foreign=source == "shuffled")
        return self._scored(self.networks.scorers[source], foreign=False)

    def _scored(self, scorer: Scorer, foreign: bool) -> Scores:
        if foreign not in self._inputs:
            segments = self.case.foreign if foreign else self.case.segments
            self._inputs[foreign] = segment_inputs(self.case.pixels, segments, self.glance)
        where = next(iter(scorer.network.parameters()), self.case.pixels).device
        descriptors, owners = (part.to(where)[None] for part in self._inputs[foreign])
        return scorer.network(scorer_tokens(scorer, self.reader), descriptors, owners)

    def _wrong_class(self) -> int | None:
        others = [n for n in range(len(self.reader.full)) if n not in (self.truth, self.predicted)]
        return others[int(self.case.sha256[:12], 16) % len(others)] if others else None


def _without_gates(scores: torch.Tensor) -> Scores:
    return Scores(scores, torch.empty(0))
