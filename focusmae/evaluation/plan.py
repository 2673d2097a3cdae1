"""What a run of the evaluation is asked to do, checked before anything is read."""

import dataclasses
import json
from dataclasses import dataclass

from focusmae.errors import SettingsError
from focusmae.evaluation.inputs import PARTS
from focusmae.evaluation.protocol import (
    ARMS,
    CURVE_ARMS,
    CURVE_KEEPS,
    CURVE_SEEDS,
    DEFAULT_ARMS,
    KEEPS,
    PICTURE_SEEDS,
    SEEDS,
    Arm,
)
from focusmae.segments.base import SEGMENTERS
from focusmae.settings import MAX_SEEDS, MODELS

SCORERS = ("embedded", "shallow")
ROWS = 1  # to be raised whenever rows of an older version must not be mixed with new ones


@dataclass(frozen=True)
class Plan:
    """The settings of a run.

    strategies: arms, "random" is always among them. keeps, curve: shares of visible tokens, for all arms or for a few.
    seeds, picture_seeds: draws per input for predictions and for reconstructions (0: none). scorers: names or files,
    the first is FocusMAE's, "shallow" has an arm of that name, every other one an arm named as its file. seed: what the
    noise begins from. shuffle_labels: a control, in which every input gets another input's label.
    """

    strategies: tuple[str, ...] = DEFAULT_ARMS
    keeps: tuple[float, ...] = KEEPS
    curve: tuple[float, ...] = CURVE_KEEPS
    seeds: int = SEEDS
    picture_seeds: int = PICTURE_SEEDS
    limit: int | None = None
    models: str = "embedded"
    segmenter: str = "superpixels"
    autoencoder: str = ""
    classifier: str = ""
    judge: str = ""
    scorers: tuple[str, ...] = SCORERS
    part: str = "test"
    seed: int = 0
    shuffle_labels: bool = False

    def check(self) -> None:
        """Raises SettingsError, in one sentence, for the first setting that cannot be used."""
        for name in self.strategies:
            if name not in ARMS:
                raise SettingsError(f"There is no strategy {name!r}; choose from {', '.join(ARMS)}.")
        if not self.keeps or not all(0 < keep <= 1 for keep in (*self.keeps, *self.curve)):
            raise SettingsError("Name at least one keep ratio; all of them are above 0 and at most 1.")
        if not 1 <= self.seeds <= MAX_SEEDS or not 0 <= self.picture_seeds <= MAX_SEEDS:
            raise SettingsError(f"Draws per input lie between 1 and {MAX_SEEDS} (0 for no reconstructions).")
        if self.limit is not None and self.limit < 1:
            raise SettingsError("The limit is the number of inputs, at least 1.")
        if self.seed < 0:
            raise SettingsError("The seed counts from 0.")
        choices = {"models": MODELS, "segmenter": SEGMENTERS, "part": PARTS}
        for name, there in choices.items():
            if (value := getattr(self, name)) not in there:
                raise SettingsError(f"There is no {name} {value!r}; choose from {', '.join(there)}.")
        if not self.scorers or len(set(self.scorers)) != len(self.scorers):
            raise SettingsError("Name at least one scorer, and each only once; the first is FocusMAE's.")

    def arms(self, scorers: tuple[str, ...]) -> dict[str, Arm]:
        """The arms by name, "random" first; ``scorers``: the names of those that are loaded, FocusMAE's first."""
        chosen = {"random": ARMS["random"]} | {name: ARMS[name] for name in self.strategies}
        if "shallow" not in scorers[1:]:
            chosen.pop("shallow", None)
        for name in scorers[1:]:
            if name != "shallow":
                chosen[name] = Arm(name, f"Drawn from softmax of the scores of {name}.", name)
        return chosen

    def draws(self) -> dict[float, tuple[int, bool]]:
        """keep -> (draws per input, whether all arms take part), rising."""
        few = {keep: (min(CURVE_SEEDS, self.seeds), False) for keep in self.curve}
        return dict(sorted((few | {keep: (self.seeds, True) for keep in self.keeps}).items()))

    def takes_part(self, arm: str, keep: float) -> bool:
        """Whether ``arm`` is drawn at ``keep``."""
        return keep in self.keeps or arm in CURVE_ARMS

    def identity(self) -> str:
        """What a measured row depends on, as text: not how many inputs there are, nor where they came from."""
        about = dataclasses.asdict(self)
        # Networks count by their weights, and inputs by their content.
        for name in ("limit", "part", "models", "autoencoder", "classifier", "judge", "scorers"):
            del about[name]
        return json.dumps({"rows": ROWS, **about}, sort_keys=True)


def read_shares(text: str) -> tuple[float, ...]:
    """Keep ratios as people type them, "0.1,0.25". Raises SettingsError for what is no number."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"{text!r} are no keep ratios; write them as 0.1,0.25.") from error
