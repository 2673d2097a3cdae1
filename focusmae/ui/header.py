"""The top line, and what the README has measured, so that the page can show it without sending anybody elsewhere."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import gradio as gr

from focusmae.ui.viewer import script

README = Path(__file__).parents[2] / "README.md"
SECTION = "## Does it help?"


def make_header() -> gr.HTML:
    """Name, help, language and light."""
    return gr.HTML(
        {"help": section_html(README.read_text("utf-8")) if README.is_file() else ""},
        html_template="",
        js_on_load=script(("header.js",)),
        apply_default_css=False,
        elem_id="header",
        show_label=False,
    )


def section_html(readme: str) -> str:
    """The section SECTION of a Markdown text as HTML: paragraphs, lists, tables, code, bold; "" if there is none."""
    _, found, rest = readme.partition(f"\n{SECTION}\n")
    if not found:
        return ""
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.M)[0]
    return "\n".join(_block(block.strip()) for block in re.split(r"\n\s*\n", section) if block.strip())


def _block(text: str) -> str:
    lines = text.split("\n")
    if all(line.startswith("|") for line in lines) and len(lines) > 2:
        head, _, *rows = [[_inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
        cells = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        return f'<div class="fm-scroll" tabindex="0"><table><tr>{cells}</tr>{body}</table></div>'
    if text.startswith("```"):
        return f"<pre>{escape(text.strip('`').split(chr(10), 1)[-1].strip())}</pre>"
    if text.startswith("#"):
        return f"<h3>{_inline(text.lstrip('# '))}</h3>"
    if all(re.match(r"- |  ", line) for line in lines):
        items = re.split(r"^- ", text, flags=re.M)[1:]
        return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
    return f"<p>{_inline(text)}</p>"


def _inline(text: str) -> str:
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(" ".join(text.split()), quote=False))
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    return re.sub(r"!?\[([^\]]+)\]\([^)]*\)", r"\1", text)  # links lead out of the page: their words stay
