"""The visitor's segments: a source, clicks, a text; each stage runs once, and what it reports comes through."""

import numpy as np
import pytest

from focusmae import hub, segmenting
from focusmae.comparison import compare_steps
from focusmae.errors import Cancelled, SettingsError
from focusmae.media import open_media
from focusmae.prepared import Cache
from focusmae.segments import base
from focusmae.segments.base import SegmentMap
from focusmae.segments.kept import Kept
from focusmae.segments.matching import TextMatch, with_text
from focusmae.settings import Settings
from tests.tiny import is_one_sentence


class Halves:
    """Left and right; a click adds a square, and a text fits the right half."""

    name, weights = "halves", {"role": "segmenter", "name": "halves", "revision": "1", "sha256": "0", "licence": "none"}

    def __init__(self):
        self.looks, self.clicks, self.texts, self.endless, self.ended = 0, 0, 0, False, None

    def __call__(self, view, text=None, progress=None):
        self.looks += 1
        try:
            for share in (0.0, 0.5, 1.0):
                while progress:
                    progress(share)
                    if not self.endless:
                        break
        except Cancelled as error:
            self.ended = error
            raise
        labels = np.ones(view.frames.shape[:3], dtype=np.int32)
        labels[:, :, labels.shape[2] // 2 :] = 2
        return SegmentMap(labels, np.array([0.2, 0.4]), self.name)

    def click(self, view, segments, x, y, label, frame):
        self.clicks += 1
        labels = segments.labels.copy()
        labels[:, : int(20 + 10 * y), :20] = segments.count + 1
        return SegmentMap(labels, np.append(segments.quality, 1.0), segments.source)

    def match(self, view, segments, text):
        self.texts += 1
        if text == ";":
            return segments
        affinity = np.zeros((segments.count, 1), dtype=np.float32)
        affinity[1] = 0.0 if text == "unicorn" else 0.9
        notes = ("Nothing here looks like unicorn.",) if text == "unicorn" else ()
        return with_text(segments, TextMatch((text,), affinity, affinity.reshape(1, 1, -1, 1), notes))


@pytest.fixture
def halves(monkeypatch):
    found = Halves()
    for name in ("sam-vit-base", "groupvit"):
        monkeypatch.setitem(base.SEGMENTERS, name, lambda *_: found)
    monkeypatch.setattr(hub, "here", lambda weights: weights.name == "groupvit")
    return found


@pytest.fixture
def view(astronaut):
    return open_media(astronaut).view()


def finished(view, settings, kept):
    steps, shares = segmenting.segment_steps(view, settings, kept, "view"), []
    while True:
        try:
            shares.append(next(steps))
        except StopIteration as end:
            return end.value, shares


def test_another_text_or_click_does_not_look_again(halves, view):
    kept = Kept(8)
    first, shares = finished(view, Settings(segmenter="sam-vit-base"), kept)
    assert shares == [0.0, 0.5, 1.0] and first.segments.count == 2 and first.weights == (Halves.weights,)
    one = ((0.1, 0.1, 1),)
    clicked, _ = finished(view, Settings(segmenter="sam-vit-base", clicks=one), kept)
    assert clicked.segments.count == 3
    twice, _ = finished(view, Settings(segmenter="sam-vit-base", clicks=(*one, (0.5, 0.5, 1, 0))), kept)
    assert twice.segments.count == 4
    read, _ = finished(view, Settings(segmenter="sam-vit-base", clicks=one, text="a dog"), kept)
    assert read.segments.count == 3 and read.segments.affinity.tolist() == pytest.approx([0, 0.9, 0])
    assert len(read.weights) == 2 and not read.notes
    assert (halves.looks, halves.clicks, halves.texts) == (1, 2, 1)


def test_a_text_without_a_match_or_without_phrases_is_said(halves, view):
    kept = Kept(8)
    for text in ("unicorn", ";"):
        found, _ = finished(view, Settings(segmenter="sam-vit-base", text=text), kept)
        assert len(found.notes) == 1 and is_one_sentence(found.notes[0])


def test_without_the_readers_weights_the_segments_stay_and_a_note_says_why(view, monkeypatch):
    monkeypatch.setattr(hub, "here", lambda _: False)
    found, _ = finished(view, Settings(text="a dog"), Kept(8))
    assert found.segments.affinity is None and "download groupvit" in found.notes[0]


def test_clicks_need_a_segmenter_that_takes_them(view):
    with pytest.raises(SettingsError) as error:
        finished(view, Settings(clicks=((0.5, 0.5, 1),)), Kept(8))
    assert is_one_sentence(str(error.value))


def test_a_text_raises_the_scores_of_what_it_names(halves, astronaut):
    runs = {}
    for text in (None, "a dog"):
        *_, runs[text] = compare_steps(astronaut, Settings(segmenter="sam-vit-base", text=text, keep=0.1), Cache())
    assert runs["a dog"].clickable
    assert [row["role"] for row in runs["a dog"].weights].count("segmenter") == 2
    raised = runs["a dog"].scores - runs[None].scores
    assert raised[runs[None].token_segment == 2].mean() == pytest.approx(4 * 0.9, abs=0.01)
    assert np.abs(raised[runs[None].token_segment == 1]).max() < 1e-4


def test_closing_a_run_stops_the_segmenter(halves, astronaut):
    halves.endless = True
    steps = compare_steps(astronaut, Settings(segmenter="sam-vit-base"), Cache())
    while next(steps).step != "segments":
        pass
    next(steps)  # its first report
    steps.close()
    assert isinstance(halves.ended, Cancelled)
