"""The left column: what to compare and how, in one component that sends one job. Nothing here computes."""

from __future__ import annotations

import gradio as gr

from focusmae.errors import SettingsError
from focusmae.media.limits import LIMITS
from focusmae.segments.base import SEGMENTERS
from focusmae.strategies import STRATEGIES
from focusmae.ui import weights
from focusmae.ui.job import DEFAULTS, read_job
from focusmae.ui.picker import entries
from focusmae.ui.share import as_command, as_python
from focusmae.ui.viewer import script

SCRIPTS = ("controls.js", "picker.js", "sheet.js", "intro.js", "link.js")  # one closure; the last one begins
READER = "groupvit"  # whose weights a text needs


def make_controls() -> gr.HTML:
    """Emits "go" (its value is the job), "cancel", "open", "pack", "fetch", "unfetch" and "refused" {empty}."""
    return gr.HTML(
        DEFAULTS,
        html_template="",
        js_on_load=script(SCRIPTS),
        apply_default_css=False,
        elem_id="controls",
        show_label=False,
        server_functions=[models, reproduce],
        given={
            "examples": entries(),
            "limits": {"bytes": LIMITS.upload_bytes, "extensions": ",".join(LIMITS.extensions)},
            "strategies": [{"name": name, "title": s.title, "summary": s.summary} for name, s in STRATEGIES.items()],
            "segmenters": [{"name": name} for name in SEGMENTERS],
            "models": weights.rows(),
            "reader": READER,
            "tokens": {"photo": 196, "clip": 1568},
            "defaults": DEFAULTS,
        },
        focused=None,
        fetching=None,
        packed=None,
    )


def models(_=None) -> dict[str, list[dict]]:
    """What can be chosen now: see :func:`focusmae.ui.weights.rows_with_waits`. The browser always sends something."""
    return weights.rows_with_waits()


def reproduce(job: dict) -> dict:
    """The job as Python and as a command, for the clipboard: {python, command}, or {error} in one sentence."""
    try:
        source, settings = read_job(job)
    except SettingsError as error:
        return {"error": str(error)}
    name = str(job.get("name") or "")
    return {"python": as_python(source, name, settings), "command": as_command(source, name, settings)}
