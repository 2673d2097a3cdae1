"""The visitor's own weights, windows of a clip, and what each view says."""

import numpy as np
import pytest

from focusmae.comparison import Settings, compare
from focusmae.errors import SettingsError
from focusmae.media import open_media
from focusmae.prepared import Cache
from focusmae.settings import read_focus
from tests.tiny import is_one_sentence


@pytest.fixture(scope="module")
def cache():
    return Cache()


@pytest.fixture(scope="module")
def plain(photo_file, cache):
    return compare(photo_file, keep=0.1, cache=cache)


def share(result, number: int, name: str = "select") -> float:
    return float((result.token_segment[result.arms[name].visible] == number).mean())


def test_a_raised_segment_is_seen_more_and_a_lowered_one_less(photo_file, cache, plain):
    sizes = np.bincount(plain.token_segment)
    number = int(sizes[1:].argmax()) + 1
    up = compare(photo_file, keep=0.1, focus=((number, 6.0),), cache=cache)
    down = compare(photo_file, keep=0.1, focus=((number, -6.0),), cache=cache)
    assert share(up, number) > share(plain, number) > share(down, number)
    owned = plain.token_segment == number
    assert (up.scores[owned] > plain.scores[owned] + 1).all() and up.chance[owned].mean() > plain.chance[owned].mean()
    np.testing.assert_array_equal(up.arms["random"].visible, plain.arms["random"].visible)


def test_the_wish_does_not_stay(photo_file, cache, plain):
    again = compare(photo_file, keep=0.1, cache=cache)
    np.testing.assert_array_equal(again.scores, plain.scores)


def test_a_small_segment_is_raised_in_the_token_that_holds_most_of_it(photo_file, cache, plain):
    from focusmae.segments.descriptors import membership

    shares = membership(plain.segments, plain.grid)
    number = int(shares[:, 1:].max(0).argmin()) + 1  # the one that fills its tokens least
    up = compare(photo_file, keep=0.1, focus=((number, 5.0),), cache=cache)
    assert (up.scores - plain.scores)[shares[:, number].argmax()] == pytest.approx(5.0, abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [{"focus": ((0, 1.0),)}, {"focus": ((1, 9.0),)}, {"focus": ((1,),)}, {"start": 1.0, "clips": 2}, {"seconds": 0}],
)
def test_settings_that_cannot_be_used(settings, clip_file):
    with pytest.raises(SettingsError) as error:
        compare(clip_file, **settings)
    assert is_one_sentence(str(error.value))


def test_a_segment_that_there_is_not(photo_file, cache):
    with pytest.raises(SettingsError, match="no segment 999"):
        compare(photo_file, focus=((999, 1.0),), cache=cache)


def test_windows_lie_where_they_are_asked_for():
    frames = np.repeat(np.arange(100, dtype=np.uint8)[:, None, None, None], 3, axis=3)
    media = open_media(np.broadcast_to(frames, (100, 224, 224, 3)).copy())  # 4 seconds
    begin = media.views(start=0.0, seconds=0.64)[0]
    assert begin.times[0] < 0.04 and begin.times[-1] == pytest.approx(0.6, abs=0.041)
    late = media.views(start=3.9, seconds=1.0)[0]
    assert late.times[-1] == pytest.approx(3.96, abs=0.041) and late.times[0] >= 2.95
    with pytest.raises(SettingsError, match="lasts 4.0 s"):
        media.views(start=4.5)


def test_every_view_says_its_own_and_both_ways_of_combining_follow(clip_file):
    result = compare(clip_file, keep=0.1, clips=2, crops=3, seconds=0.3, cache=Cache())
    assert [(row["clip"], row["crop"]) for row in result.views] == [(c, k) for c in (0, 1) for k in (0, 1, 2)]
    assert result.views[0]["times"][0] < result.views[-1]["times"][0]

    def said(row, label):
        return {entry["label"]: entry["probability"] for entry in row["full"]}.get(label)

    label = result.full[0]["label"]
    each = [said(row, label) for row in result.views]
    assert result.combined["mean"]["full"] == result.full
    if None not in each:  # within the top five of every view
        assert result.full[0]["probability"] == pytest.approx(np.mean(each), abs=1e-5)
        assert said(result.combined["any"], label) == pytest.approx(max(each), abs=1e-6)
    assert said(result.combined["any"], result.combined["any"]["full"][0]["label"]) == pytest.approx(
        max(row["full"][0]["probability"] for row in result.views), abs=1e-6
    )
    for name, arm in result.arms.items():
        assert result.combined["mean"]["strategies"][name] == arm.prediction


def test_settings_need_no_network():
    assert Settings().focus == () and Settings(focus=((1, 2.0),)).check() is None


def test_focus_as_text():
    assert read_focus("3:+4, 7:-2.5,") == ((3, 4.0), (7, -2.5)) and read_focus("") == ()
    for text in ("3", "a:1", "3:4:5", "3:x"):
        with pytest.raises(SettingsError) as error:
            read_focus(text)
        assert is_one_sentence(str(error.value))
