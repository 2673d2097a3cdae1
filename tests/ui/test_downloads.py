"""Weights on request: told as a share, refused by name alone, stopped when nobody listens."""

import threading

import pytest

from focusmae import hub
from focusmae.errors import WeightsError
from focusmae.ui import downloads

OFFER = {"offer": {"role": "autoencoder", "name": "mae-base"}}


def said(updates):
    return [update["fetching"] for update in updates if "fetching" in update]


def test_a_download_tells_its_share_and_that_it_is_ready(monkeypatch):
    asked = []

    def fetch(weights, progress):
        asked.append(weights.name)
        for done in (1, 2, 4):
            progress(done, 4)

    monkeypatch.setattr(hub, "fetch", fetch)
    monkeypatch.setattr(downloads, "TELL_EVERY", -1)
    told = said(downloads.fetch(OFFER))
    assert asked == ["mae-base"] and [row["fraction"] for row in told[:-1]] == [0.25, 0.5, 1.0]
    assert told[-1]["ready"] and told[-1]["name"] == "mae-base"


def test_a_failure_is_one_sentence(monkeypatch):
    def fetch(weights, progress):
        raise WeightsError("There is no way to the Hub.")

    monkeypatch.setattr(hub, "fetch", fetch)
    assert said(downloads.fetch(OFFER))[-1]["error"] == "There is no way to the Hub."
    monkeypatch.setattr(hub, "fetch", lambda *_: 1 / 0)
    assert "division" not in said(downloads.fetch(OFFER))[-1]["error"]


def test_closing_stops_the_download(monkeypatch):
    stopped = threading.Event()

    def fetch(weights, progress):
        try:
            for done in range(10**9):
                progress(done, 10**9)
        finally:
            stopped.set()

    monkeypatch.setattr(hub, "fetch", fetch)
    stream = downloads.fetch(OFFER)
    assert next(update for update in stream if "fetching" in update)
    stream.close()
    assert stopped.wait(5)


@pytest.mark.parametrize(
    "job",
    [None, {}, {"offer": "mae-base"}, {"offer": {"role": "scorer", "name": "embedded"}},
     {"offer": {"role": "autoencoder", "name": "../../x"}}, {"offer": {"role": "autoencoder", "name": ["mae-base"]}}],
)  # fmt: skip
def test_only_listed_names_are_fetched(job, monkeypatch):
    monkeypatch.setattr(hub, "fetch", lambda *_: pytest.fail("asked for"))
    (told,) = said(downloads.fetch(job))
    assert told["error"].endswith(".")
