"""Is it luck? The same comparison over many draws and over many keep ratios, one row at a time.

Both speak of one input: a row is one seed, whose arms share noise and held-out tokens, so that their difference is the
strategies'. What holds over many inputs is the evaluation's question: there an input counts once, whatever its seeds.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from focusmae.arms import evidence, paired_differences
from focusmae.comparison import first_view
from focusmae.errors import SettingsError
from focusmae.masking import visible_count
from focusmae.prepared import Cache
from focusmae.settings import MAX_SEEDS, Settings

SEEDS = 16
KEEPS = (0.05, 0.9, 0.25, 0.5, 0.1, 0.7, 0.15, 0.35)  # the ends first, so that a curve that grows keeps its frame
CURVE_SEEDS = 4
LOWER_IS_BETTER = {"heldout_mse": True, "picture_mse": True, "p_class": False, "agreement": False, "kl": True}


@dataclass(frozen=True)
class Table:
    """The draws so far, in the order of their seeds.

    rows: per seed the measures of each strategy, in the order of ``Settings.strategies``; a measure that a seed lacks
    (no token is held out at a high keep ratio) is missing in all rows.
    paired: second strategy minus first, {measure: {mean_difference, low, high, seeds}}; empty for a single seed.
    """

    seeds: list[int]
    rows: list[list[dict[str, float]]]
    paired: dict[str, dict]
    total: int

    def differences(self, measure: str) -> list[float]:
        """Second strategy minus first, one per seed."""
        return [second[measure] - first[measure] for first, second, *_ in self.rows if measure in first]

    def wins(self, measure: str) -> int:
        """In how many draws the second strategy did better."""
        sign = -1 if LOWER_IS_BETTER[measure] else 1
        return sum(sign * difference > 0 for difference in self.differences(measure))


@dataclass(frozen=True)
class Point:
    """Both arms at one keep ratio: per strategy {measure: (mean, lowest, highest)} over ``seeds`` draws."""

    keep: float
    visible: int
    seeds: int
    arms: list[dict[str, tuple[float, float, float]]]


def evidence_steps(source, settings: Settings, seeds: int = SEEDS, cache: Cache | None = None) -> Iterator[Table]:
    """The paired table after each of ``seeds`` draws, from ``settings.seed`` on; closing it cancels.

    Needs two strategies. The input's segments and scores come from the cache where it has just been compared.

    Raises:
        SettingsError: other than two strategies, or seeds outside 1 to MAX_SEEDS.
        MediaError, WeightsError: as ``compare``.
    """
    _check(settings, seeds)
    first, models = first_view(source, settings, cache)
    done, rows = [], []
    numbers = range(settings.seed, settings.seed + seeds)
    for seed, row in zip(numbers, evidence(first, models, settings.strategies, settings.keep, numbers), strict=True):
        done.append(seed)
        rows.append(row)
        yield Table(list(done), list(rows), paired_differences(rows), seeds)


def curve_steps(
    source, settings: Settings, keeps: tuple[float, ...] = KEEPS, seeds: int = CURVE_SEEDS, cache: Cache | None = None
) -> Iterator[Point]:
    """Both arms at every keep ratio, each over the same ``seeds`` draws; in the order of ``keeps``.

    Raises:
        SettingsError: other than two strategies, or a keep ratio outside (0, 1].
        MediaError, WeightsError: as ``compare``.
    """
    _check(settings, seeds)
    if not all(0 < keep <= 1 for keep in keeps):
        raise SettingsError("Every keep ratio of a curve is above 0 and at most 1.")
    first, models = first_view(source, settings, cache)
    numbers = range(settings.seed, settings.seed + seeds)
    for keep in keeps:
        rows = list(evidence(first, models, settings.strategies, keep, numbers))
        arms = [_spread([row[number] for row in rows]) for number in range(len(settings.strategies))]
        yield Point(keep, visible_count(first.grid.tokens, keep), seeds, arms)


def _spread(rows: list[dict[str, float]]) -> dict[str, tuple[float, float, float]]:
    measures = [measure for measure in rows[0] if all(measure in row for row in rows)]
    values = {measure: np.array([row[measure] for row in rows]) for measure in measures}
    return {measure: (float(v.mean()), float(v.min()), float(v.max())) for measure, v in values.items()}


def _check(settings: Settings, seeds: int) -> None:
    if len(settings.strategies) != 2:
        raise SettingsError("Evidence compares two strategies: name exactly two.")
    if not 1 <= seeds <= MAX_SEEDS:
        raise SettingsError(f"The number of draws lies between 1 and {MAX_SEEDS}.")
