"""One run of the page as a stream of messages for the viewer. A plain generator: closing it stops the run."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator

import gradio as gr

from focusmae.errors import FocusMAEError
from focusmae.ui import viewer
from focusmae.ui.picker import FIRST, open_source

log = logging.getLogger(__name__)
_warming: threading.Thread | None = None


def run(
    source: str, keep: float, seed: float | None, left: str, right: str, models: str, segmenter: str
) -> Iterator[dict]:
    """Compare two strategies on one source and yield what the viewer shows; errors are messages too.

    source: an example's name or an uploaded file's path.  keep: per cent of the tokens.
    """
    began, name = time.perf_counter(), uuid.uuid4().hex
    yield viewer.progress(name, "loading", 0, 6, 0.0)
    if _warming:
        _warming.join()  # it loads what this run needs, and has the first example half done
    try:
        from focusmae.comparison import STEPS, Comparison, Settings, compare_steps  # late: it imports the networks

        settings = Settings(
            keep=keep / 100, seed=int(seed or 0), strategies=(left, right), models=models, segmenter=segmenter
        )
        for step in compare_steps(open_source(source), settings):
            if isinstance(step, Comparison):
                yield viewer.result(name, step, time.perf_counter() - began)
            else:
                yield viewer.progress(name, step.step, STEPS.index(step.step) + 1, len(STEPS), step.fraction)
    except FocusMAEError as error:
        gr.Warning(str(error), title="")
        yield viewer.error(str(error))
    except Exception:
        log.exception("a run failed")
        yield viewer.error(None)


def warm_up() -> None:
    """Load the networks beside the server and prepare the first example; a visitor who comes earlier waits for it."""
    global _warming
    _warming = threading.Thread(target=_warm, name="warm-up", daemon=True)
    _warming.start()


def _warm() -> None:
    try:
        from focusmae.comparison import compare

        compare(open_source(FIRST))
    except FocusMAEError as error:
        log.warning("not warmed: %s", error)
    except Exception:
        log.exception("not warmed")
