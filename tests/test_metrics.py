"""Metrics against hand-computed cases and against scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from focusmae import metrics
from focusmae.errors import SettingsError
from focusmae.masking import Grid


@pytest.fixture
def pictures():
    """Two noisy versions of the same clips: (2, 3, 4, 40, 48) each, the second leaving [0, 1] here and
    there."""
    random = np.random.default_rng(0)
    smooth = np.sin(np.arange(48) / 7)[None] * np.cos(np.arange(40) / 5)[:, None] * 0.4 + 0.5
    first = np.clip(smooth + random.normal(0, 0.05, (2, 3, 4, 40, 48)), 0, 1)
    second = first + random.normal(0, 0.2, first.shape)
    return torch.from_numpy(first).float(), torch.from_numpy(second).float()


def test_token_mse_is_the_mean_over_a_tokens_own_pixels():
    grid, pixels = Grid(2, 2, 3), torch.zeros(1, 3, 4, 4, 6)
    picture = pixels.clone()
    picture[0, 1, 2:4, 2:4, 4:6] = 0.6  # one of three channels of the last token
    picture[0, :, 0, 0, 2] = 1.0  # one of the 8 pixels of token 1
    expected = torch.zeros(1, 12)
    expected[0, 11], expected[0, 1] = 0.36 / 3, 1 / 8
    torch.testing.assert_close(metrics.token_mse(pixels, picture, grid), expected)


def test_token_mse_averages_to_the_error_of_the_whole_picture(pictures):
    pixels, picture = pictures
    errors = metrics.token_mse(pixels, picture, Grid(2, 5, 6))
    torch.testing.assert_close(errors.mean(dim=1), ((pixels - picture) ** 2).flatten(1).mean(dim=1))
    tokens = torch.tensor([0, 7, 59])
    torch.testing.assert_close(metrics.mean_at(errors, tokens), errors[:, tokens].mean(dim=1))


def test_paste_shows_the_truth_at_visible_tokens_only(pictures):
    (pixels, picture), grid = pictures, Grid(2, 5, 6)
    visible = torch.tensor([[0, 59], [1, 30]])
    errors = metrics.token_mse(pixels, metrics.paste(pixels, picture, visible, grid), grid)
    assert torch.equal(errors == 0, torch.zeros(2, 60).scatter(1, visible, 1.0).bool())
    hidden = errors != 0
    assert torch.equal(errors[hidden], metrics.token_mse(pixels, picture, grid)[hidden])
    white, black = torch.ones(1, 3, 1, 4, 4), torch.zeros(1, 3, 1, 4, 4)
    photo = metrics.paste(white, black, torch.tensor([[1]]), Grid(1, 2, 2))
    assert photo[0, 0, 0].tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_psnr_equals_scikit_image(pictures):
    pixels, picture = pictures
    expected = [
        peak_signal_noise_ratio(x, y, data_range=1.0)
        for x, y in zip(pixels.numpy(), picture.clamp(0, 1).numpy(), strict=True)
    ]
    torch.testing.assert_close(
        metrics.psnr(pixels, picture).double(), torch.tensor(expected), atol=1e-3, rtol=0
    )
    assert metrics.psnr(pixels, pixels).tolist() == [100.0, 100.0]


def test_ssim_equals_scikit_image(pictures):
    pixels, picture = pictures
    settings = dict(
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0, data_range=1.0
    )
    expected = [
        np.mean([structural_similarity(x[:, time], y[:, time], **settings) for time in range(4)])
        for x, y in zip(pixels.double().numpy(), picture.clamp(0, 1).double().numpy(), strict=True)
    ]
    torch.testing.assert_close(
        metrics.ssim(pixels, picture).double(), torch.tensor(expected), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(metrics.ssim(pixels, pixels), torch.ones(2))
    with pytest.raises(SettingsError, match="at least 11 pixels"):
        metrics.ssim(pixels[..., :10, :], picture[..., :10, :])


def test_kl_and_agreement_by_hand():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    q = torch.tensor([[0.25, 0.75, 0.0], [0.2, 0.3, 0.5]])
    expected = [0.5 * math.log(2) + 0.5 * math.log(2 / 3), math.log(5)]
    assert metrics.kl(p, q).tolist() == pytest.approx(expected, rel=1e-5)
    assert metrics.kl(p, p).tolist() == [0, 0]
    assert metrics.kl(q, p).isfinite().all()
    guesses = torch.tensor([[0.9, 0.1, 0], [0.9, 0.1, 0], [0, 0, 1]])
    assert metrics.agreement(torch.eye(3), guesses).tolist() == [1, 0, 1]


def test_coverage_is_the_foreground_share_of_what_is_visible():
    foreground = torch.tensor([[True, False, False, True], [False, False, True, True]])
    assert metrics.coverage(foreground, torch.tensor([[0, 1], [2, 3]])).tolist() == [0.5, 1.0]


def test_bootstrap_interval_is_close_to_the_normal_one_and_repeats():
    differences = np.random.default_rng(1).normal(0.3, 1.0, 400)
    mean, low, high = metrics.bootstrap_interval(differences)
    half = 1.96 * differences.std(ddof=1) / 20
    assert mean == differences.mean()
    assert low == pytest.approx(mean - half, abs=0.01) and high == pytest.approx(mean + half, abs=0.01)
    assert (mean, low, high) == metrics.bootstrap_interval(torch.from_numpy(differences))


def test_bootstrap_interval_of_degenerate_differences():
    assert metrics.bootstrap_interval([0.25] * 8) == (0.25, 0.25, 0.25)
    assert metrics.bootstrap_interval([0.1 + 1e-18, 0.1, 0.1]) == pytest.approx((0.1, 0.1, 0.1))
    assert metrics.bootstrap_interval([0.0, 0.0]) == (0, 0, 0)
    for few in ([0.0, 1.0], [0.0, 0.0, 0.0, 1.0]):
        mean, low, high = metrics.bootstrap_interval(few)
        assert 0 <= low <= mean <= high <= 1 and low < high
    with pytest.raises(SettingsError, match="at least two"):
        metrics.bootstrap_interval([0.1])
    with pytest.raises(SettingsError, match="finite"):
        metrics.bootstrap_interval([0.1, math.nan])


def test_visible_mean_fill_is_the_mean_colour_of_what_is_visible():
    pixels = torch.zeros(2, 3, 1, 4, 4)
    pixels[0, :, :, :2, :2] = torch.tensor([0.2, 0.4, 0.6])[:, None, None, None]
    pixels[1, :, :, 2:, 2:] = 1.0
    filled = metrics.visible_mean_fill(pixels, torch.tensor([[0, 1], [3, 3]]), Grid(1, 2, 2))
    torch.testing.assert_close(filled[0, :, 0, 3, 3], torch.tensor([0.1, 0.2, 0.3]))
    assert (filled == filled[..., :1, :1]).all() and (filled[1] == 1).all()


def test_linear_fill_restores_a_ramp_between_visible_tokens_and_repeats_the_nearest_outside():
    grid = Grid(1, 3, 3)
    ramp = (torch.arange(12) / 12)[:, None] * 0.5 + (torch.arange(12) / 12)[None] * 0.25
    pixels = torch.stack([ramp, 1 - ramp, ramp / 2])[None, :, None]
    corners = metrics.linear_fill(pixels, torch.tensor([[0, 2, 6, 8]]), grid)
    torch.testing.assert_close(corners, pixels)  # everything lies inside the hull
    top_left = metrics.linear_fill(pixels, torch.tensor([[0]]), grid)
    torch.testing.assert_close(top_left[..., :4, :4], pixels[..., :4, :4])
    torch.testing.assert_close(top_left[..., 11, :4], pixels[..., 3, :4])
    torch.testing.assert_close(top_left[..., 11, 11], pixels[..., 3, 3])


def test_linear_fill_treats_each_slice_of_a_clip_by_itself():
    grid = Grid(3, 3, 3)
    pixels = torch.rand(1, 3, 6, 12, 12, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([[0, 2, 4, 6, 9 + 4]])  # four tokens at first, one then, none at last
    filled = metrics.linear_fill(pixels, visible, grid)
    for frame in (0, 1):
        photo = metrics.linear_fill(pixels[:, :, frame : frame + 1], visible[:, :4], Grid(1, 3, 3))
        torch.testing.assert_close(filled[:, :, frame : frame + 1], photo)
    torch.testing.assert_close(filled[:, :, 4:6], filled[:, :, 2:4])
    assert not filled.isnan().any()


def test_linear_fill_of_pixels_on_one_line_takes_the_nearest():
    pixels = torch.tensor([0.1, 0.9, 0.5, 0.5]).reshape(1, 1, 1, 2, 2).expand(1, 3, 1, 2, 2)
    filled = metrics.linear_fill(pixels, torch.tensor([[0, 1]]), Grid(1, 2, 2))
    assert filled[0, 0, 0].flatten().tolist() == pytest.approx([0.1, 0.9, 0.1, 0.9])


def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="same shape"):
        metrics.psnr(torch.zeros(1, 3, 1, 4, 4), torch.zeros(1, 3, 1, 4, 5))
    for shape in ((1, 3, 1, 5, 4), (3, 1, 4, 4)):
        with pytest.raises(SettingsError, match="cannot be cut into 1 x 2 x 2 tokens"):
            metrics.token_mse(torch.zeros(shape), torch.zeros(shape), Grid(1, 2, 2))
