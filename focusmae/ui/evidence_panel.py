"""The panel "one draw, or a rule?": paired differences over many draws and both arms along the keep ratio.

It follows each picture in a queue of its own, gives way to whoever waits for a picture, and ends when a new run begins.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import gradio as gr

from focusmae.errors import FocusMAEError
from focusmae.strategies import STRATEGIES
from focusmae.ui.beside import beside
from focusmae.ui.gpu import evidence_seconds, on_gpu
from focusmae.ui.job import read_job
from focusmae.ui.picker import open_source
from focusmae.ui.run import give_way
from focusmae.ui.viewer import script

log = logging.getLogger(__name__)
STRIPS = ("p_class", "agreement", "heldout_mse")
CURVES = ("p_class", "heldout_mse")


def make_panel() -> gr.HTML:
    """The empty panel; its JavaScript puts it beside the viewer's verdict."""
    return gr.HTML(
        None,
        html_template="",
        js_on_load=script(("evidence_panel.js",)),
        apply_default_css=False,
        elem_id="evidence",
        show_label=False,
    )


def gather(job: dict) -> Iterator[dict | None]:
    """Messages for the panel as the draws come in; None (an empty panel) where the job cannot be compared."""
    for message in beside(lambda: _patiently(job)):
        yield gr.skip() if message is None else message["panel"]


def _patiently(job: dict) -> Iterator[dict]:
    try:
        read_job(job)
        for message in _gather(job):
            yield {"panel": message}
            give_way()
    except FocusMAEError:
        yield {"panel": None}  # the run before has said why
    except Exception:
        log.exception("no evidence")
        yield {"panel": None}


@on_gpu(evidence_seconds)
def _gather(job: dict) -> Iterator[dict]:
    from focusmae.evidence import CURVE_SEEDS, KEEPS, SEEDS, curve_steps, evidence_steps
    from focusmae.media import open_media

    source, settings = read_job(job)
    opened = open_media(open_source(source))
    message = {
        "media": opened.kind,
        "arms": [{"name": name, "title": STRATEGIES[name].title} for name in settings.strategies],
        "keep": settings.keep,
        "total": SEEDS,
        "curve_seeds": CURVE_SEEDS,
        "seeds": [],
        "measures": [],
        "curve": [],
    }
    yield dict(message)
    for table in evidence_steps(opened, settings, SEEDS):
        measures = [_measure(table, key) for key in STRIPS if key in table.rows[0][0]]
        message = {**message, "seeds": table.seeds, "measures": measures}
        yield message
    for point in curve_steps(opened, settings, KEEPS, CURVE_SEEDS):
        row = {"keep": point.keep, "visible": point.visible}
        row["arms"] = [{key: _short(arm[key]) for key in CURVES if key in arm} for arm in point.arms]
        message = {**message, "curve": [*message["curve"], row]}
        yield message


def _measure(table, key: str) -> dict:
    found = {"key": key, "differences": _short(table.differences(key)), "wins": table.wins(key)}
    if key in table.paired:
        row = table.paired[key]
        found |= {"mean": row["mean_difference"], "low": row["low"], "high": row["high"]}
    return found


def _short(values) -> list[float]:
    return [round(float(value), 6) for value in values]
