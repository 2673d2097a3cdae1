"""The segments of a view as a visitor asked for them: a source, then clicks that add or remove, then a text.

Each stage is kept by what it depends on, so that another text or click does not run the source again.
"""

import inspect
from collections.abc import Callable, Generator, Hashable
from typing import NamedTuple

from focusmae import hub
from focusmae.errors import SettingsError
from focusmae.media import View
from focusmae.segments.base import Segmenter, SegmentMap, load_segmenter
from focusmae.segments.kept import Kept
from focusmae.segments.matching import TextSegments
from focusmae.settings import Settings
from focusmae.steps import stepwise

READER = "groupvit"
LOADING = 0.5  # share of the bar for a download, where there is one


class Found(NamedTuple):
    """Segments, the weights that made them (one row a file), notes for the visitor, and whether clicks change them."""

    segments: SegmentMap
    weights: tuple[dict, ...] = ()
    notes: tuple[str, ...] = ()
    clickable: bool = False


def segment_steps(view: View, settings: Settings, kept: Kept, key: Hashable) -> Generator[float, None, Found]:
    """Yields the share that is done, in [0, 1], and returns what was found; ``key`` names the view.

    Raises SettingsError or WeightsError, one sentence each.
    """
    source = ("segments", key, settings.segmenter, settings.checkpoint)
    found = kept.get(source)
    if found is None:
        found = kept.put(source, (yield from stepwise(lambda report: _look(view, settings, report))))
    for number in range(len(settings.clicks)):
        clicked = (*source, settings.clicks[: number + 1])
        found = kept.get(clicked) or kept.put(clicked, _click(view, settings, found, settings.clicks[number]))
    return _read(view, settings, found) if settings.text else found


def _look(view: View, settings: Settings, report: Callable[[float], None]) -> Found:
    begun = 0.0

    def loading(done: int, total: int) -> None:
        nonlocal begun
        begun = LOADING
        report(LOADING * done / max(total, 1))

    segmenter = load_segmenter(settings.segmenter, settings.checkpoint, loading)
    reports = "progress" in inspect.signature(segmenter.__call__).parameters
    told = {"progress": lambda share: report(begun + (1 - begun) * share)} if reports else {}
    return Found(segmenter(view, **told), _weights(segmenter), clickable=hasattr(segmenter, "click"))


def _click(view: View, settings: Settings, found: Found, click: tuple) -> Found:
    segmenter = load_segmenter(settings.segmenter, settings.checkpoint)
    if not hasattr(segmenter, "click"):
        raise SettingsError("Clicks add and remove segments with SAM alone; choose sam-vit-base as segmenter.")
    x, y, label, frame = (*click, 0)[:4]
    return found._replace(segments=segmenter.click(view, found.segments, x, y, label, frame))


def _read(view: View, settings: Settings, found: Found) -> Found:
    """The same segments with their affinity to the text; without the weights that takes, as they were and a note."""
    if settings.segmenter != READER and not hub.here(hub.find("segmenter", READER)):
        note = f"The text has no effect without GroupViT's weights; python -m focusmae download {READER} fetches them."
        return found._replace(notes=(note,))
    reader = load_segmenter(READER, settings.checkpoint if settings.segmenter == READER else None)
    segments = reader.match(view, found.segments, settings.text)
    weights = found.weights if settings.segmenter == READER else (*found.weights, *_weights(reader))
    if not isinstance(segments, TextSegments):
        return found._replace(notes=("The text names nothing: write what to look for, as in a dog; grass.",))
    return found._replace(segments=segments, weights=weights, notes=tuple(segments.match.notes))


def _weights(segmenter: Segmenter) -> tuple[dict, ...]:
    return (dict(segmenter.weights),) if hasattr(segmenter, "weights") else ()
