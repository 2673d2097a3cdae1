"""Layout and events of the page: what to compare stands on the left, what came out of it beside it."""

from __future__ import annotations

import uuid
from pathlib import Path

import gradio as gr

from focusmae.errors import MediaError
from focusmae.media.limits import LIMITS
from focusmae.ui import api, viewer
from focusmae.ui.controls import make_controls
from focusmae.ui.downloads import fetch
from focusmae.ui.evidence_panel import gather, make_panel
from focusmae.ui.first import finished
from focusmae.ui.header import make_header
from focusmae.ui.pack import pack
from focusmae.ui.run import run

HERE = Path(__file__).parent
STYLES = ("page.css", "header.css", "controls.css", "sheet.css", "evidence_panel.css", "viewer.css")
WORK, EVIDENCE, DOWNLOADS = "models", "evidence", "downloads"  # what computes, what may wait, what fetches
WAITING = 40  # events in the queue; each visitor has one picture and one background job there at most
CACHE_SECONDS = 3600
THEME = gr.themes.Base(
    primary_hue=gr.themes.colors.stone,
    secondary_hue=gr.themes.colors.stone,
    neutral_hue=gr.themes.colors.stone,
    font=["system-ui", "DejaVu Sans", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
)


def build() -> gr.Blocks:
    """The page with all its events and endpoints; launch it with :func:`launch_options`."""
    with gr.Blocks(
        title="FocusMAE",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(CACHE_SECONDS, CACHE_SECONDS),
    ) as page:
        make_header()
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="aside", min_width=0):
                controls = make_controls()
                packed = gr.DownloadButton(elem_id="packed")  # never seen: a script presses it
            with gr.Column(elem_id="stage", min_width=0):
                panes = viewer.make_viewer()
                evidence = make_panel()

        hidden = {"show_progress": "hidden", "api_visibility": "private"}
        quick = {**hidden, "queue": False, "trigger_mode": "multiple"}  # the second of two quick clicks counts too
        controls.open(finished, None, [panes, evidence], **quick)
        controls.refused(_refused, None, panes, **quick)
        panes.focus(_focus, None, controls, **quick)
        panes.click(_click, None, controls, **quick)
        running = controls.go(
            run,
            controls,
            panes,
            trigger_mode="multiple",  # the controls wait for "free" before they ask again
            concurrency_id=WORK,
            concurrency_limit=1,
            **hidden,
        )
        running.then(None, js="() => { document.dispatchEvent(new Event('focusmae-free')); }")  # cancelled or done
        proving = controls.prove(
            gather,
            controls,
            evidence,
            trigger_mode="multiple",
            concurrency_id=EVIDENCE,
            concurrency_limit=1,
            **hidden,
        )
        controls.halt(None, cancels=[proving])
        controls.cancel(None, cancels=[running, proving])
        controls.cancel(lambda: {"kind": "cancelled"}, None, panes, **quick)
        controls.pack(
            pack, controls, [packed, controls], concurrency_id=WORK, concurrency_limit=1, **hidden
        )
        fetching = controls.fetch(
            fetch, controls, controls, concurrency_id=DOWNLOADS, concurrency_limit=1, **hidden
        )
        controls.unfetch(None, cancels=[fetching])
        api.add(WORK)
    return page


def launch_options() -> dict:
    """What ``launch`` needs besides addresses: look, words, limits, and nothing that leaves this host."""
    style = "\n".join((HERE / name).read_text("utf-8") for name in STYLES)
    return {
        "theme": THEME,
        "head": f"<style>\n{style}\n</style>\n<script>\n{(HERE / 'head.js').read_text('utf-8')}\n</script>",
        "footer_links": ["api"],  # else the page has no view of its API; the top line leads there
        "max_file_size": LIMITS.upload_bytes,
        "mcp_server": api.has_mcp(),
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
    }


def queue(page: gr.Blocks) -> gr.Blocks:
    """One queue of known length, and no way around it."""
    return page.queue(max_size=WAITING, api_open=False)


def _focus(event: gr.EventData):
    """The visitor raised or lowered segments in the viewer: the controls take it up and ask for a new run."""
    return gr.update(focused={"focus": event._data.get("focus"), "turn": uuid.uuid4().hex})


def _click(event: gr.EventData):
    """The visitor pointed at a place in the viewer where a segment shall be, or shall not."""
    place = [event._data.get(key) for key in ("x", "y", "label", "frame")]
    return gr.update(focused={"click": place, "turn": uuid.uuid4().hex})


def _refused(event: gr.EventData) -> dict:
    """The browser or the server would not take the file."""
    if event._data.get("empty"):
        return viewer.error(str(MediaError(f"The file is empty: choose {LIMITS.formats()}.")))
    return viewer.error(f"The file could not be taken: up to {LIMITS.upload_megabytes} MB work. {LIMITS.sentence()}")
