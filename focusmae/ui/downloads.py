"""Weights that the visitor asks for: fetched beside everything else, told as a share, stopped when nobody listens."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator

import gradio as gr

from focusmae import hub
from focusmae.errors import FocusMAEError, WeightsError
from focusmae.steps import stepwise
from focusmae.ui.beside import beside
from focusmae.ui.text import ENGLISH
from focusmae.ui.weights import ROLES

log = logging.getLogger(__name__)
TELL_EVERY = 0.25  # seconds


def fetch(job: dict) -> Iterator[dict]:
    """Fetch what ``job["offer"]`` {role, name} names; yields updates of the controls, errors included."""
    for news in beside(lambda: _fetch(job)):
        yield gr.skip() if news is None else news


def _fetch(job: dict) -> Iterator[dict]:
    offer = job.get("offer") if isinstance(job, dict) else None
    role, name = (offer.get("role"), offer.get("name")) if isinstance(offer, dict) else (None, None)
    try:
        if role not in ROLES or name not in hub.names(role):
            raise WeightsError("These weights are not in the list: choose one that the page offers.")
        last = 0.0
        for fraction in stepwise(lambda report: _transfer(hub.find(role, name), report)):
            if time.monotonic() - last > TELL_EVERY:
                last = time.monotonic()
                yield _news(role, name, fraction=fraction)
        yield _news(role, name, ready=True)
    except FocusMAEError as error:
        yield _news(role, name, error=str(error))
    except Exception:
        log.exception("not fetched")
        yield _news(role, name, error=ENGLISH["failed"])


def _transfer(weights: hub.Weights, report: Callable[[float], None]) -> None:
    hub.fetch(weights, lambda done, total: report(done / max(total, 1)))


def _news(role, name, **said) -> dict:
    return gr.update(fetching={"role": role, "name": name, "turn": uuid.uuid4().hex, **said})
