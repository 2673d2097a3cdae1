"""What the decoders were taught to predict, undone: raw, in [0, 1], and normalised within each patch."""

import pytest
import torch

from focusmae.masking import Grid
from focusmae.models.patches import patchify
from focusmae.models.targets import TARGETS, guess_statistics, patch_statistics, to_picture
from tests.models.reference import MEAN, STD
from tests.tiny import change_tokens, hidden_of, random_pixels, random_visible

NORMAL = MEAN.view(1, 3, 1, 1, 1), STD.view(1, 3, 1, 1, 1)
CASES = [("imagenet", 1), ("unit", 2), ("imagenet-patch", 1), ("unit-patch", 2)]


def taught(kind: str, pixels: torch.Tensor, tubelet: int) -> torch.Tensor:
    """The target as the authors' programs make it from pixels in [0, 1], patch by patch."""
    space = (pixels - NORMAL[0]) / NORMAL[1] if kind.startswith("imagenet") else pixels
    patches = patchify(space, tubelet, 16)
    if kind == "imagenet-patch":
        return (patches - patches.mean(-1, keepdim=True)) / (patches.var(-1, keepdim=True) + 1e-6) ** 0.5
    if kind == "unit-patch":
        cubes = patches.view(*patches.shape[:2], -1, 3)
        return ((cubes - cubes.mean(2, keepdim=True)) / (cubes.var(2, keepdim=True).sqrt() + 1e-6)).flatten(2)
    return patches


def scene(kind: str, tubelet: int, side: int = 64):
    pixels = random_pixels(2, 1 if tubelet == 1 else 16, side)
    grid = Grid(pixels.shape[2] // tubelet, side // 16, side // 16)
    return pixels, grid, random_visible(2, grid.tokens, grid.tokens // 3)


@pytest.mark.parametrize("kind, tubelet", CASES)
def test_a_perfect_decoder_with_the_true_statistics_gives_the_picture_back(kind, tubelet):
    pixels, grid, visible = scene(kind, tubelet)
    patches = taught(kind, pixels, tubelet)
    picture = to_picture(TARGETS[kind], patches, pixels, visible, grid, (tubelet, 16), NORMAL, true_statistics=True)
    torch.testing.assert_close(picture, pixels, rtol=0, atol=1e-4)
    raw = not kind.endswith("patch")
    guess = to_picture(TARGETS[kind], patches, pixels, visible, grid, (tubelet, 16), NORMAL)
    assert torch.equal(guess, picture) == raw and TARGETS[kind].per_patch != raw
    # Visible patches have their own statistics either way.
    for row, right, wrong in zip(visible, pixels, guess, strict=True):
        for token in row.tolist():
            t, place = divmod(token, 16)
            rows, columns = (slice(16 * v, 16 * v + 16) for v in divmod(place, 4))
            area = (slice(None), slice(tubelet * t, tubelet * (t + 1)), rows, columns)
            torch.testing.assert_close(wrong[area], right[area], rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind, tubelet", [case for case in CASES if case[0].endswith("patch")])
def test_only_true_statistics_read_hidden_pixels(kind, tubelet):
    pixels, grid, visible = scene(kind, tubelet)
    patches = torch.randn(2, grid.tokens, tubelet * 768)
    changed = change_tokens(pixels, hidden_of(visible, grid.tokens), 64, tubelet) * 0.3
    changed = torch.where(change_tokens(pixels, visible, 64, tubelet) != pixels, pixels, changed)
    assert not torch.equal(changed, pixels)
    arguments = visible, grid, (tubelet, 16), NORMAL
    guess = to_picture(TARGETS[kind], patches, pixels, *arguments)
    assert torch.equal(to_picture(TARGETS[kind], patches, changed, *arguments), guess)
    true = to_picture(TARGETS[kind], patches, pixels, *arguments, true_statistics=True)
    assert not torch.allclose(to_picture(TARGETS[kind], patches, changed, *arguments, true_statistics=True), true)


def test_statistics_of_smooth_pictures_are_guessed_well():
    """Where brightness and contrast change slowly, their neighbours tell them."""
    ramp = torch.linspace(0.2, 0.8, 224).expand(224, 224)
    noise = torch.randn(3, 224, 224, generator=torch.Generator().manual_seed(0))
    pixels = (ramp + 0.1 * ramp.T * noise).clamp(0, 1).view(1, 3, 1, 224, 224)
    grid, visible = Grid(1, 14, 14), random_visible(1, 196, 49)
    middle, spread = patch_statistics(patchify(pixels, 1, 16), 3)
    assert middle.shape == spread.shape == (1, 196, 3)
    guessed, width = guess_statistics(middle, spread, visible, grid)
    seen = visible.unsqueeze(-1).expand(-1, -1, 3)
    torch.testing.assert_close(guessed.gather(1, seen), middle.gather(1, seen))
    torch.testing.assert_close(width.gather(1, seen), spread.gather(1, seen))
    mean = middle.gather(1, seen).mean(1, keepdim=True)
    assert (guessed - middle).square().mean() < 0.1 * (mean - middle).square().mean()
    assert (width.log() - spread.log()).abs().mean() < 0.25
