"""Layout and events of the page: what to compare stands on the left, what came out of it in the viewer."""

from __future__ import annotations

from html import escape
from pathlib import Path

import gradio as gr

from focusmae.errors import MediaError
from focusmae.media.limits import LIMITS
from focusmae.segments.base import SEGMENTERS
from focusmae.strategies import STRATEGIES
from focusmae.ui import api, viewer
from focusmae.ui.picker import FIRST, make_picker
from focusmae.ui.run import run
from focusmae.ui.text import ENGLISH, LABELS, label

HERE = Path(__file__).parent
MODELS = ("auto", "embedded")  # what this version can load
WORK = "models"  # everything that computes stands in one queue
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
        source = gr.State(FIRST)
        with gr.Row(elem_id="page"):
            with gr.Column(elem_id="controls", min_width=0):
                gr.HTML(f"<b>FocusMAE</b><span>{escape(ENGLISH['tagline'])}</span>", elem_id="brand")
                picker = make_picker()
                keep = gr.Slider(5, 90, 25, step=1, label=label("keep"), elem_id="keep", buttons=[], min_width=0)
                with gr.Row(elem_id="draw"):
                    seed = gr.Number(0, label=label("seed"), precision=0, minimum=0, min_width=0, elem_id="seed")
                    following = gr.Button(label("next_draw"), min_width=0, elem_id="next")
                more = gr.Button(label("settings"), min_width=0, elem_id="more")  # on a phone alone
                choices = _choices()
                with gr.Row(elem_id="run"):
                    compare = gr.Button(label("compare"), variant="primary", min_width=0, elem_id="compare")
                    cancel = gr.Button(label("cancel"), min_width=0, elem_id="cancel")
            with gr.Column(elem_id="stage", min_width=0):
                panes = viewer.make_viewer()

        more.click(None, js="() => { document.querySelector('#choices').classList.toggle('fm-shown'); }")
        settings = [source, keep, seed, *choices]
        # In the queue, though it takes no time: only queued events tell the browser that a State has changed.
        picker.pick(_pick, source, [source, panes], concurrency_limit=None, api_visibility="private")
        picker.refused(_refused, None, panes, queue=False, api_visibility="private")
        following.click(lambda n: int(n or 0) + 1, seed, seed, queue=False, api_visibility="private")
        running = gr.on(
            [page.load, source.change, keep.release, seed.change, compare.click, *(c.input for c in choices)],
            run,
            settings,
            panes,
            trigger_mode="always_last",  # while one runs, only the newest wish is kept
            concurrency_id=WORK,
            concurrency_limit=1,
            show_progress="hidden",
            api_visibility="private",
        )
        cancel.click(None, cancels=[running])  # first, since a click's events wait for each other
        cancel.click(lambda: {"kind": "cancelled"}, None, panes, queue=False, api_visibility="private")
        api.add(WORK, MODELS)
    return page


def launch_options() -> dict:
    """What ``launch`` needs besides addresses: look, words, limits, and nothing that leaves this host."""
    style = "\n".join((HERE / name).read_text("utf-8") for name in ("page.css", "viewer.css"))
    return {
        "theme": THEME,
        "head": f"<style>\n{style}\n</style>",
        "i18n": LABELS,
        "footer_links": ["api"],
        "max_file_size": LIMITS.upload_bytes,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "show_error": False,
    }


def queue(page: gr.Blocks) -> gr.Blocks:
    """One queue of known length, and no way around it."""
    return page.queue(max_size=20, api_open=False)


def _choices() -> list[gr.Dropdown]:
    """Left arm, right arm, models, segments."""
    names = [(strategy.title, name) for name, strategy in STRATEGIES.items()]
    plain = {"filterable": False, "min_width": 0}
    with gr.Group(elem_id="choices"):
        return [
            gr.Dropdown(names, value="random", label=label("left"), elem_id="left", **plain),
            gr.Dropdown(names, value="select", label=label("right"), elem_id="right", **plain),
            gr.Dropdown(list(MODELS), value="auto", label=label("models"), elem_id="models", **plain),
            gr.Dropdown(list(SEGMENTERS), value="auto", label=label("segmenter"), elem_id="segmenter", **plain),
        ]


def _pick(current: str, event: gr.EventData):
    """An example or an upload was chosen: keep its name; ``source.change`` starts the run."""
    chosen = event._data.get("example") or event._data.get("path")
    if not isinstance(chosen, str):
        return current, viewer.error(None)
    return chosen, gr.skip()


def _refused(event: gr.EventData) -> dict:
    """The browser or the server would not take the file."""
    if event._data.get("empty"):
        return viewer.error(str(MediaError(f"The file is empty: choose {LIMITS.formats()}.")))
    return viewer.error(f"The file could not be taken: up to {LIMITS.upload_megabytes} MB work. {LIMITS.sentence()}")
