"""Masks become one map: small on large, no holes, no crumbs, not too many."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label

from focusmae.segments.sam_painting import LIMIT, Layer, name_gaps, paint, segment_map, tidy
from tests.segments.sam_peers import colour_frame

R = 128
Y, X = np.mgrid[:R, :R]


def disc(x, y, radius):
    return (X - x) ** 2 + (Y - y) ** 2 < radius**2


def layer(*shapes, ids=None):
    stack = torch.from_numpy(np.stack(shapes)) if shapes else torch.zeros(0, R, R, dtype=torch.bool)
    return Layer(torch.tensor(ids or list(range(1, len(shapes) + 1))), stack)


def noisy(frames=1, side=256):
    return np.random.default_rng(0).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def test_small_lies_on_large_whatever_the_order():
    shapes = disc(64, 64, 50), disc(64, 64, 20), disc(64, 64, 35)
    for order in ((0, 1, 2), (2, 0, 1)):
        labels = paint(layer(*[shapes[n] for n in order], ids=[n + 1 for n in order]))
        assert labels[64, 64] == 2 and labels[64, 92] == 3 and labels[64, 108] == 1 and labels[0, 0] == 0


def test_many_masks_are_painted_as_few_are():
    rng = np.random.default_rng(1)
    shapes = [disc(*rng.integers(0, R, 2), rng.integers(5, 40)) for _ in range(150)]
    expected = np.zeros((R, R), dtype=int)
    for n in sorted(range(150), key=lambda n: (-shapes[n].sum(), -n)):
        expected[shapes[n]] = n + 1
    assert (paint(layer(*shapes)) == expected).all()


def holes_over_a_token(labels):
    gaps, count = label(labels == 0)
    return [n for n in range(1, count + 1) if (gaps == n).sum() > labels.size / 14**2]


def test_no_hole_is_left_and_large_ones_have_quality_zero():
    segments = segment_map([layer(disc(30, 30, 25), disc(90, 90, 20))], {1: 0.9, 2: 0.8}, noisy(), "sam")
    assert segments.labels.shape == (1, 256, 256) and segments.source == "sam"
    assert (segments.labels > 0).all() and segments.count == 3
    assert segments.quality.tolist() == pytest.approx([0.9, 0.8, 0])
    assert segments.labels[0, 60, 60] == 1 and segments.labels[0, 180, 180] == 2 and segments.labels[0, 10, 250] == 3


def test_a_hole_with_nothing_to_see_stays_none():
    frame = colour_frame((60, 60, 50, (200, 40, 40)), ground=(0, 0, 0))
    segments = segment_map([layer(disc(30, 30, 25))], {1: 0.9}, frame[None], "sam")
    assert segments.count == 1 and segments.labels[0, 200, 200] == 0
    frame[140:, 140:] = noisy()[0, 140:, 140:]
    segments = segment_map([layer(disc(30, 30, 25))], {1: 0.9}, frame[None], "sam")
    assert segments.count == 2


def test_small_gaps_and_crumbs_join_their_surroundings():
    token = R * R / 14**2
    labels = np.ones((R, R), dtype=np.int64)
    labels[:, 64:] = 2
    labels[10:15, 10:15] = 3  # 25 pixels, a token has 84
    labels[60:67, 60:68] = 0  # 56 pixels
    labels[100:110, 20:30] = 0  # more than a token
    labels[40:46, 90:96] = 3  # 36 pixels: more than a third
    assert 25 < token / 3 < 36 and 56 < token < 100
    out = tidy(labels)
    assert (out[10:15, 10:15] == 1).all() and set(out[60:67, 60:68].ravel()) == {1, 2}
    assert (out[100:110, 20:30] == 0).all() and (out[40:46, 90:96] == 3).all()


def test_dust_alone_is_left_as_it_is():
    labels = np.zeros((R, R), dtype=np.int64)
    labels[::4, ::4] = 1
    assert set(np.unique(tidy(labels))) <= {0, 1}
    segments = segment_map([layer(labels == 1)], {1: 0.9}, noisy(), "sam")
    assert segments.labels.shape == (1, 256, 256)


def test_no_masks_make_an_empty_map():
    segments = segment_map([layer()], {}, noisy(), "sam")
    assert segments.count == 0 and not segments.labels.any()


def test_five_hundred_masks_are_limited_to_the_best_and_largest():
    rng = np.random.default_rng(2)
    shapes = [disc(*rng.integers(0, R, 2), rng.integers(6, 12)) for _ in range(499)] + [disc(64, 64, 60)]
    quality = {n + 1: float(rng.random()) * 0.5 for n in range(499)} | {500: 1.0}
    segments = segment_map([layer(*shapes)], quality, noisy(), "sam")
    assert 40 < segments.count <= LIMIT
    assert segments.quality.max() == 1 and not holes_over_a_token(segments.labels[0])
    assert np.median(segments.quality) > np.median(list(quality.values()))


def test_ids_and_gaps_persist_through_time():
    layers = [layer(disc(30 + 5 * t, 30, 20), disc(90, 90, 20), ids=[4, 7]) for t in range(3)]
    segments = segment_map(layers, {4: 0.5, 7: 0.6}, noisy(3), "sam")
    assert segments.count == 3 and segments.quality.tolist() == pytest.approx([0.5, 0.6, 0])
    for t in range(3):
        assert segments.labels[t, 60, 60 + 10 * t] == 1 and segments.labels[t, 180, 180] == 2
        assert segments.labels[t, 250, 10] == 3


def test_more_gaps_than_there_is_room_for_share_an_id():
    labels = np.zeros((1, R, R), dtype=np.int64)
    labels[:, ::16], labels[:, :, ::16] = 1, 2
    named = name_gaps(labels, noisy(), 10)
    assert named.max() == 10 and (named > 0).all()
