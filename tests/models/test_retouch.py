"""The retouch begins as the identity, paints per tubelet, and carries what it sees across the borders of patches."""

import dataclasses

import pytest
import torch

from focusmae.masking import generator
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.retouch import Retouch
from tests.tiny import autoencoder_config, make_autoencoder, random_pixels, random_visible, randomise

WIDTHS = autoencoder_config().retouch


def inputs(batch: int, slices: int, side: int = 64):
    shape = (batch, 3, 2 * slices, side, side)
    guess, picture = (torch.randn(shape, generator=generator(seed)) for seed in (0, 1))
    known = (torch.rand(batch, 1, slices, side // 2, side // 2, generator=generator(2)) < 0.3).float()
    return guess, picture, known


@pytest.mark.parametrize("slices", [1, 3])
def test_it_adds_nothing_before_it_is_trained(slices):
    added = Retouch(WIDTHS)(*inputs(2, slices))
    assert added.shape == (2, 3, 2 * slices, 64, 64) and not added.any()


def test_all_frames_of_a_tubelet_get_the_same_and_tubelets_and_inputs_do_not_mix():
    retouch = randomise(Retouch(WIDTHS))
    guess, picture, known = inputs(2, 3)
    with torch.no_grad():
        added = retouch(guess, picture, known)
        assert torch.equal(added[:, :, 0::2], added[:, :, 1::2])
        assert added.std() > 1e-3 and not torch.allclose(added[:, :, 0], added[:, :, 2], atol=1e-3)
        alone = retouch(guess[1:, :, 2:4], picture[1:, :, 2:4], known[1:, :, 1:2])
    torch.testing.assert_close(alone, added[1:, :, 2:4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("which", range(3))
def test_every_input_tells_and_its_neighbourhood_hears(which):
    retouch, given = randomise(Retouch(WIDTHS)), inputs(1, 1)
    with torch.no_grad():
        before = retouch(*given)
        given[which][..., :4, :4] += 1
        change = (retouch(*given) - before).abs().amax((0, 1, 2))
    assert change[:16, :16].max() > 1e-4 and change[16:32, 16:32].max() > 1e-6


def test_an_autoencoders_picture_is_the_decoders_with_the_retouch_added():
    model = make_autoencoder()
    plain = MaskedAutoencoder(dataclasses.replace(autoencoder_config(), retouch=())).eval()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("retouch.")})
    pixels, visible = random_pixels(2), random_visible(2, 16, 5)
    with torch.no_grad():
        before, after = plain.reconstruct(pixels, visible), model.reconstruct(pixels, visible)
        assert not torch.allclose(before, after, atol=1e-3)
        for parameter in model.retouch.paint.parameters():
            parameter.zero_()
        assert torch.equal(before, model.reconstruct(pixels, visible))
