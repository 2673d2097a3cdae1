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
from focusmae.ui.gpu import ZERO, on_gpu, run_seconds
from focusmae.ui.job import read_job
from focusmae.ui.picker import FIRST, open_source

log = logging.getLogger(__name__)
_warming: threading.Thread | None = None
_free = threading.Condition()
_at_work = 0


def run(job: dict) -> Iterator[dict]:
    """Compare two strategies on one source and yield what the viewer shows; errors are messages too."""
    global _at_work
    name, began = uuid.uuid4().hex, time.perf_counter()
    yield viewer.progress(name, "loading", 0, 6, 0.0)
    if _warming:
        _warming.join()  # it loads what this run needs, and has the first example half done
    with _free:
        _at_work += 1
    try:
        read_job(job)  # before a GPU is asked for
        for message in _compare(job, name):
            if message["kind"] == "result":
                message["seconds"] = round(time.perf_counter() - began, 2)
            yield message
    except FocusMAEError as error:
        gr.Warning(str(error), title="")
        yield viewer.error(str(error))
    except Exception:
        log.exception("a run failed")
        yield viewer.error(None)
    finally:
        with _free:
            _at_work -= 1
            _free.notify_all()


@on_gpu(lambda job, name: run_seconds(job))
def _compare(job: dict, name: str) -> Iterator[dict]:
    from focusmae.comparison import STEPS, Comparison, compare_steps  # late: it imports the networks

    source, settings = read_job(job)
    began = time.perf_counter()
    for step in compare_steps(open_source(source), settings):
        if isinstance(step, Comparison):
            yield viewer.result(name, step, time.perf_counter() - began)
        else:
            yield viewer.progress(name, step.step, STEPS.index(step.step) + 1, len(STEPS), step.fraction)


def give_way(patience: float = 60.0) -> None:
    """Return when nobody waits for a picture, at the latest after ``patience`` seconds: for work in the background."""
    with _free:
        _free.wait_for(lambda: _at_work == 0, timeout=patience)


def warm_up() -> None:
    """Load the networks beside the server and prepare the first example; a visitor who comes earlier waits for it."""
    global _warming
    _warming = threading.Thread(target=_warm, name="warm-up", daemon=True)
    _warming.start()


def _warm() -> None:
    try:
        from focusmae.comparison import compare
        from focusmae.prepared import load_models

        for kind in ("image", "clip"):
            load_models("auto", kind)
        if not ZERO:  # there, nothing may be computed outside a worker
            compare(open_source(FIRST))
    except FocusMAEError as error:
        log.warning("not warmed: %s", error)
    except Exception:
        log.exception("not warmed")
