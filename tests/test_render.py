"""Panes: pure functions from arrays to pictures."""

import numpy as np
import pytest

from focusmae import render
from focusmae.errors import SettingsError

GRID = (2, 3, 4)
SHAPE = (4, 48, 64)
TOKENS = np.arange(24, dtype=np.float32)


def frames() -> np.ndarray:
    return np.random.default_rng(0).random((*SHAPE, 3), dtype=np.float32)


def token_at(t: int, y: int, x: int) -> int:
    return (t // 2 * 3 + y // 16) * 4 + x // 16


@pytest.mark.parametrize("channels", [(), (3,)])
def test_tokens_are_spread_over_their_pixels(channels):
    values = np.random.default_rng(1).random((24, *channels))
    field = render.spread_tokens(values, GRID, SHAPE)
    assert field.shape == SHAPE + channels
    for t, y, x in [(0, 0, 0), (1, 15, 16), (2, 16, 15), (3, 47, 63), (1, 31, 48)]:
        np.testing.assert_array_equal(field[t, y, x], values[token_at(t, y, x)])
    # A picture that the grid does not divide is covered without gaps, too.
    assert set(render.spread_tokens(TOKENS, GRID, (3, 50, 61)).ravel()) == set(TOKENS)


def test_magma_runs_from_dark_to_bright():
    colours = render.magma(np.linspace(0, 1, 100)).astype(int)
    assert colours[0].tolist() == [0, 0, 4] and colours[-1].tolist() == [252, 253, 191]
    assert (np.diff(colours @ [0.2126, 0.7152, 0.0722]) >= -0.5).all()
    np.testing.assert_array_equal(render.magma(np.array([-3.0, 7.0])), colours[[0, -1]])


def test_mask_pane():
    shown = render.to_bytes(frames())
    pane = render.mask_pane(frames(), np.array([0, 17]), GRID)
    np.testing.assert_array_equal(pane[:2, :16, :16], shown[:2, :16, :16])
    np.testing.assert_array_equal(pane[2:, 16:32, 16:32], shown[2:, 16:32, 16:32])
    rest = pane.copy()
    rest[:2, :16, :16] = rest[2:, 16:32, 16:32] = render.PAPER
    assert (rest == render.PAPER).all()


def test_errors_of_all_arms_share_one_scale():
    scale = render.error_scale([TOKENS**2, 4 * TOKENS**2])
    roots = np.concatenate([TOKENS, 2 * TOKENS])
    assert scale == pytest.approx(np.percentile(roots[roots > 0], 99))
    pane = render.error_pane(TOKENS**2, GRID, SHAPE, scale)
    np.testing.assert_array_equal(pane[0, 0, 0], render.magma(np.array(0.0)))
    np.testing.assert_array_equal(pane[3, 47, 63], render.magma(np.array(23 / scale)))
    assert render.error_scale([np.zeros(24)]) == 1.0


def test_the_spotlight_lights_what_matters():
    white = np.ones((*SHAPE, 3), np.float32)
    pane = render.spotlight_pane(white, TOKENS, GRID)
    assert pane[0, 0, 0].tolist() == [31] * 3 and pane[3, 47, 63].tolist() == [255] * 3
    np.testing.assert_array_equal(render.spotlight_pane(white, np.ones(24), GRID), 255)


def test_experts_are_told_apart():
    gates = np.eye(4)[np.arange(24) % 4]
    pane = render.experts_pane(np.zeros((*SHAPE, 3), np.float32), gates, GRID)
    tints = [pane[0, 0, 16 * expert].astype(float) for expert in range(4)]
    for tint, colour in zip(tints, render.EXPERT_COLOURS, strict=True):
        np.testing.assert_allclose(tint, 0.55 * np.array(colour), atol=1)


def test_segments_are_outlined():
    labels = np.zeros(SHAPE, np.int32)
    labels[:, 10:30, 10:40] = 1
    dark = np.full((*SHAPE, 3), 90, np.uint8)
    pane = render.segments_pane(dark, labels)
    assert (pane[:, 10, 20] == 255).all() and (pane[:, 20, 25] == 90).all() and (pane[:, 40, 60] == 90).all()
    assert (pane == 30).any()  # the shadow
    with pytest.raises(SettingsError):
        render.segments_pane(dark[:, :20], labels)
