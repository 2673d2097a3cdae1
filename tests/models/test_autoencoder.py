"""The masked autoencoder on tiny networks: shapes, what it may see, batches, gradients."""

import pytest
import torch

from focusmae.masking import Grid
from focusmae.models.autoencoder import MaskedAutoencoder
from focusmae.models.patches import patchify
from tests.tiny import (
    ENCODERS,
    autoencoder_config,
    change_tokens,
    hidden_of,
    make_autoencoder,
    random_pixels,
    random_visible,
    randomise,
)

SIDE = 64
# MAE knows photos alone; VideoMAE and the embedded model take both.
CASES = [("mae", 1), ("videomae", 1), ("videomae", 16), ("ours", 1), ("ours", 16)]
EVERY_CASE = pytest.mark.parametrize("kind, frames", CASES)


def setup(kind: str, frames: int, batch: int = 1, share: float = 0.25):
    model, pixels = make_autoencoder(kind), random_pixels(batch, frames, SIDE)
    tokens = model.encoder.grid(pixels).tokens
    return model, pixels, random_visible(batch, tokens, int(tokens * share)), tokens


def test_grid_of_photos_and_clips():
    assert make_autoencoder("mae").grid(1) == Grid(1, 14, 14)
    for kind in ("videomae", "ours"):
        assert make_autoencoder(kind).grid(1) == Grid(1, 14, 14)
        assert make_autoencoder(kind).grid(16) == Grid(8, 14, 14)


@EVERY_CASE
@torch.inference_mode()
def test_shapes_and_range(kind, frames):
    model, pixels, visible, tokens = setup(kind, frames, batch=2)
    patches, picture = model.patches(pixels, visible), model.reconstruct(pixels, visible)
    assert patches.shape == (2, tokens, ENCODERS[kind].tubelet * 16 * 16 * 3)
    assert picture.shape == pixels.shape and picture.dtype == torch.float32
    assert patches.isfinite().all() and picture.min() >= 0 and picture.max() <= 1
    assert picture.std() > 0.01


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 16])
def test_the_real_size(frames):
    model, pixels = make_autoencoder(), random_pixels(1, frames, 224)
    visible = random_visible(1, model.grid(frames).tokens, 20)
    assert model.reconstruct(pixels, visible).shape == pixels.shape


@EVERY_CASE
@torch.inference_mode()
def test_hidden_pixels_never_matter_and_visible_ones_do(kind, frames):
    model, pixels, visible, tokens = setup(kind, frames)
    tubelet = ENCODERS[kind].tubelet if frames > 1 else 1
    picture = model.reconstruct(pixels, visible)
    hidden = change_tokens(pixels, hidden_of(visible, tokens), SIDE, tubelet)
    assert not torch.equal(hidden, pixels)
    assert torch.equal(model.reconstruct(hidden, visible), picture)
    seen = change_tokens(pixels, visible[:, :1], SIDE, tubelet)
    assert not torch.allclose(model.reconstruct(seen, visible), picture, atol=1e-4)


@EVERY_CASE
@torch.inference_mode()
def test_a_batch_equals_single_calls(kind, frames):
    model, pixels, visible, _ = setup(kind, frames, batch=3)
    together = model.reconstruct(pixels, visible)
    for number in range(3):
        alone = model.reconstruct(pixels[number : number + 1], visible[number : number + 1])
        torch.testing.assert_close(together[number : number + 1], alone, rtol=0, atol=1e-5)


@EVERY_CASE
@torch.inference_mode()
def test_the_order_of_visible_tokens_does_not_matter(kind, frames):
    model, pixels, visible, _ = setup(kind, frames)
    picture = model.reconstruct(pixels, visible)
    torch.testing.assert_close(model.reconstruct(pixels, visible.flip(1)), picture, rtol=0, atol=1e-5)


@EVERY_CASE
def test_every_weight_gets_a_gradient(kind, frames):
    torch.manual_seed(0)
    model = MaskedAutoencoder(autoencoder_config(kind))  # as training begins: zero biases and all
    if model.retouch:
        randomise(model.retouch)  # it begins as the identity, two zero layers deep, and wakes in the first steps
    _, pixels, visible, _ = setup(kind, frames)
    (model.patches(pixels, visible) - model.encoder.patches(pixels)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


def test_targets_are_normalised_patches_of_a_photo_shown_twice():
    model, pixels = make_autoencoder(), random_pixels(1, 1, SIDE)
    normal = (pixels - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1, 1)) / torch.tensor(
        [0.229, 0.224, 0.225]
    ).view(1, 3, 1, 1, 1)
    expected = patchify(torch.cat([normal, normal], dim=2), 2, 16)
    torch.testing.assert_close(model.encoder.patches(pixels), expected)


@torch.inference_mode()
def test_a_photo_is_a_clip_of_one_tubelet():
    model, photo = make_autoencoder(), random_pixels(1, 1, SIDE)
    visible = random_visible(1, 16, 5)
    twice = model.reconstruct(photo.expand(-1, -1, 2, -1, -1), visible)
    torch.testing.assert_close(model.reconstruct(photo, visible), twice.mean(2, keepdim=True), rtol=0, atol=1e-6)


@torch.inference_mode()
def test_one_visible_token_and_all_of_them():
    model, pixels, _, tokens = setup("ours", 1)
    for count in (1, tokens):
        assert model.reconstruct(pixels, random_visible(1, tokens, count)).isfinite().all()


@torch.inference_mode()
def test_patch_embedding_is_the_convolution():
    for kind, encoder in ENCODERS.items():
        model = make_autoencoder(kind)
        pixels = random_pixels(1, encoder.tubelet, SIDE)
        normal = (pixels - model.encoder.mean) / model.encoder.std
        expected = model.encoder.patch_embed["proj"](normal).flatten(2).transpose(1, 2)
        found = model.encoder.embed(pixels) - model.encoder.positions(model.encoder.grid(pixels))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
