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
from focusmae.ui.beside import beside
from focusmae.ui.gpu import ZERO, on_gpu, run_seconds
from focusmae.ui.job import read_job
from focusmae.ui.picker import FIRST, open_source

log = logging.getLogger(__name__)
PATIENCE = 1.5  # seconds; who waits longer is told how long it will take
SURE = 0.15  # of the work is done before anybody can say so

_warming: threading.Thread | None = None
_turn = threading.Lock()  # one run at a time, also where one was cancelled and has not yet come to its end
_free = threading.Condition()
_at_work = 0


def run(job: dict) -> Iterator[dict]:
    """Compare two strategies on one source and yield what the viewer shows; errors are messages too."""
    name, began = uuid.uuid4().hex, time.perf_counter()
    message = viewer.progress(name, "loading", 0, 6, 0.0)
    yield message
    for news in beside(lambda: _run(job, name)):
        seconds = time.perf_counter() - began
        if news is None or news["kind"] == "progress":
            message = {**(news or message), "left": _left((news or message)["fraction"], seconds)}
        else:
            message = {**news, "seconds": round(seconds, 2)} if news["kind"] == "result" else news
            if news.get("text"):
                gr.Warning(news["text"], title="")
        yield message


def _left(fraction: float, seconds: float) -> int | None:
    """The seconds that are left, as far as anybody can say; None where it is too soon to say."""
    if seconds < PATIENCE or fraction < SURE:
        return None
    return max(1, round(seconds / fraction * (1 - fraction)))


def _run(job: dict, name: str) -> Iterator[dict]:
    global _at_work
    with _free:
        _at_work += 1
    try:
        if _warming:
            _warming.join()  # it loads what this run needs, and has the first example half done
        read_job(job)  # before a GPU is asked for
        yield viewer.progress(name, "waiting", 0, 6, 0.0)
        with _turn:
            yield from _compare(job, name)
    except FocusMAEError as error:
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
    for step in compare_steps(open_source(source), settings):
        if isinstance(step, Comparison):
            yield viewer.result(name, step, 0.0)
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
