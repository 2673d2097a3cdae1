"""What a visitor can ask for, checked before any work begins. Imports no network: the page can use it at once."""

from dataclasses import dataclass

from focusmae.errors import SettingsError
from focusmae.segments.base import SEGMENTERS
from focusmae.strategies import STRATEGIES

MODELS = ("auto", "embedded", "official")
MAX_SEEDS = 256
FOCUS_LIMIT = 8  # logits; more would only make certain what is certain already


@dataclass(frozen=True)
class Settings:
    """What to compare. ``keep`` in (0, 1]: share of visible tokens; ``seeds`` > 1 adds evidence over many draws.

    models: "embedded", "official", or "auto" (official where its files are here already). autoencoder, classifier: a
    name or a file that takes the place of what ``models`` says; "" leaves it.
    focus: pairs (segment id, change of its tokens' scores in logits, -8 to 8): the visitor's own weights.
    clicks: (x, y, label) or (x, y, label, frame): x, y in [0, 1] of the view, label 1 adds a segment there, 0 removes.
    checkpoint: a file or folder with the segmenter's weights.
    start, seconds: where the window of a clip begins and how long it lasts; None: its middle, 2.56 s.
    """

    keep: float = 0.25
    seed: int = 0
    seeds: int = 1
    strategies: tuple[str, ...] = ("random", "select")
    models: str = "auto"
    autoencoder: str = ""
    classifier: str = ""
    segmenter: str = "auto"
    checkpoint: str | None = None
    text: str | None = None
    clips: int = 1
    crops: int = 1
    start: float | None = None
    seconds: float | None = None
    focus: tuple[tuple[int, float], ...] = ()
    clicks: tuple[tuple[float, ...], ...] = ()

    def check(self) -> None:
        """Raises SettingsError, in one sentence, for the first setting that cannot be used."""
        if not 0 < self.keep <= 1:
            raise SettingsError(f"keep is the share of visible tokens, above 0 and at most 1, not {self.keep}.")
        if self.seed < 0 or not 1 <= self.seeds <= MAX_SEEDS:
            raise SettingsError(f"seed counts from 0 and seeds lies between 1 and {MAX_SEEDS}.")
        if not self.strategies or len(set(self.strategies)) != len(self.strategies):
            raise SettingsError("Name at least one strategy, and each only once.")
        for name in self.strategies:
            if name not in STRATEGIES:
                raise SettingsError(f"There is no strategy {name!r}; choose from {', '.join(STRATEGIES)}.")
        for name, value, choices in (("models", self.models, MODELS), ("segmenter", self.segmenter, SEGMENTERS)):
            if value not in choices:
                raise SettingsError(f"There is no {name} {value!r}; choose from {', '.join(choices)}.")
        if not 1 <= self.clips <= 10 or self.crops not in (1, 3):
            raise SettingsError("clips lies between 1 and 10, and crops is 1 or 3.")
        if self.start is not None and self.clips > 1:
            raise SettingsError("start places a single window; leave it out for several clips.")
        if not all(len(pair) == 2 and pair[0] >= 1 and abs(pair[1]) <= FOCUS_LIMIT for pair in self.focus):
            raise SettingsError(f"focus holds pairs of a segment and a change from -{FOCUS_LIMIT} to {FOCUS_LIMIT}.")
        if not all(3 <= len(click) <= 4 and click[2] in (0, 1) for click in self.clicks):
            raise SettingsError("clicks holds (x, y, label) with x, y from 0 to 1 and label 1 (add) or 0 (remove).")



def read_focus(text: str) -> tuple[tuple[int, float], ...]:
    """The visitor's weights from "3:+4,7:-2": pairs (segment, change in logits). Raises SettingsError."""
    try:
        pairs = (part.split(":") for part in text.split(",") if part.strip())
        return tuple((int(number), float(change)) for number, change in pairs)
    except ValueError as error:
        raise SettingsError(f"{text!r} is no focus: write segment:change, as in 3:+4,7:-2.") from error
