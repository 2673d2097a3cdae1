"""Everything as one ZIP file, made when somebody asks for it: the comparison is computed again, with its evidence."""

from __future__ import annotations

import dataclasses
import logging
import uuid
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from focusmae.errors import FocusMAEError
from focusmae.ui.beside import beside
from focusmae.ui.gpu import evidence_seconds, on_gpu
from focusmae.ui.job import read_job
from focusmae.ui.picker import open_source
from focusmae.ui.share import as_command, as_python
from focusmae.ui.text import ENGLISH

log = logging.getLogger(__name__)


def pack(job: dict) -> Iterator[tuple]:
    """Yields (path of the ZIP, or nothing new; update of the controls)."""
    for done in beside(lambda: _made(job)):
        yield done or (gr.skip(), gr.skip())


def _made(job: dict) -> Iterator[tuple]:
    try:
        read_job(job)
        path = _pack(job, str(Path(get_upload_folder()) / f"pack-{uuid.uuid4().hex}"))
        yield path, gr.update(packed={"folder": Path(path).parent.name})
    except FocusMAEError as error:
        yield gr.skip(), gr.update(packed={"error": str(error), "turn": uuid.uuid4().hex})
    except Exception:
        log.exception("not packed")
        yield gr.skip(), gr.update(packed={"error": ENGLISH["failed"], "turn": uuid.uuid4().hex})


@on_gpu(lambda job, folder: evidence_seconds(job))
def _pack(job: dict, folder: str) -> str:
    from focusmae.comparison import Comparison, compare_steps
    from focusmae.evidence import SEEDS
    from focusmae.export import bundle

    source, settings = read_job(job)
    asked = dataclasses.replace(settings, seeds=SEEDS)
    comparison = next(step for step in compare_steps(open_source(source), asked) if isinstance(step, Comparison))
    name = str(job.get("name") or "")
    return str(
        bundle(
            comparison,
            Path(folder) / "focusmae.zip",
            {"reproduce.py": as_python(source, name, asked), "reproduce.txt": as_command(source, name, asked) + "\n"},
        )
    )
