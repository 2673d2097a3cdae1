"""The first sight: one finished example, computed beforehand and shipped, so that nobody meets an empty page.

``python -m focusmae.ui.first`` computes it again, whenever the weights or the viewer's messages change.
"""

from __future__ import annotations

import json
from functools import cache

import gradio as gr

from focusmae.ui import viewer
from focusmae.ui.evidence_panel import gather
from focusmae.ui.job import DEFAULTS, read_job
from focusmae.ui.picker import SHIPPED, open_source

FILE = SHIPPED / "first.json"


@cache
def finished() -> tuple[dict, dict]:
    """Messages of the finished example, for the viewer and for the evidence beside it."""
    found = json.loads(FILE.read_text("utf-8"))
    return found["result"], found["evidence"]


def compute() -> dict:
    """The same from the networks: {result, evidence}."""
    from focusmae.comparison import compare_steps

    source, settings = read_job(DEFAULTS)
    *_, comparison = compare_steps(open_source(source), settings)
    *_, evidence = (message for message in gather(DEFAULTS) if message != gr.skip())
    return {"result": {**viewer.result("first", comparison, 0.0), "shipped": True}, "evidence": evidence}


if __name__ == "__main__":
    FILE.write_text(json.dumps(compute(), separators=(",", ":")) + "\n", "utf-8")
    print(f"{FILE.name}: {FILE.stat().st_size / 1000:.0f} kB")
