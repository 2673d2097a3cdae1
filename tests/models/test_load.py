"""Names and paths to models: what exists is found, what does not is answered with what does."""

import numpy as np
import pytest
import skimage.data
import torch

from focusmae import hub
from focusmae.errors import SettingsError, WeightsError
from focusmae.masking import generator, sample_visible
from focusmae.media import open_media
from focusmae.metrics import token_mse, visible_mean_fill
from focusmae.models.checkpoints import save_model
from focusmae.models.fill import harmonic_fill
from focusmae.models.load import Scorer, load_autoencoder, load_classifier, load_scorer
from focusmae.models.scorer import PRIOR_WEIGHT
from focusmae.segments.base import SegmentMap
from focusmae.segments.descriptors import DESCRIPTORS, EXPERTS, describe
from tests.tiny import is_one_sentence, make_autoencoder, make_classifier, make_scorer

LOADERS = {"autoencoder": load_autoencoder, "classifier": load_classifier, "scorer": load_scorer}


def two_halves(frames: int, side: int = 64) -> SegmentMap:
    labels = np.zeros((frames, side, side), np.int32)
    labels[:, :, : side // 2] = 1
    return SegmentMap(labels, np.array([0.75], np.float32), "test")


@pytest.mark.parametrize("role", LOADERS)
def test_an_unknown_name_is_answered_with_the_names(role):
    with pytest.raises(SettingsError) as error:
        LOADERS[role]("no-such-model")
    assert is_one_sentence(str(error.value)) and "no-such-model" in str(error.value)
    assert hub.names(role) and all(name in str(error.value) for name in hub.names(role))


@pytest.mark.parametrize("role", LOADERS)
def test_a_missing_file(role, tmp_path):
    with pytest.raises(WeightsError) as error:
        LOADERS[role](tmp_path / "gone.safetensors")
    assert is_one_sentence(str(error.value)) and "gone.safetensors" in str(error.value)


def test_a_file_is_read_once_until_it_changes(tmp_path):
    path = tmp_path / "own.safetensors"
    save_model(make_autoencoder(seed=1), path)
    first = load_autoencoder(path)
    assert load_autoencoder(str(path)) is first
    save_model(make_autoencoder(seed=2), path)
    second = load_autoencoder(path)
    assert not torch.equal(first.mask_token, second.mask_token)


def test_a_weights_file_of_another_role(tmp_path):
    path = tmp_path / "own.safetensors"
    save_model(make_autoencoder(), path)
    with pytest.raises(WeightsError) as error:
        load_classifier(path)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("frames", [1, 16])
def test_the_segment_prior_needs_no_weights(frames):
    pixels, segments = torch.rand(1, 3, frames, 64, 64), two_halves(frames)
    scores, gates = load_scorer("prior")(pixels, segments)
    grid = (1 if frames == 1 else 8, 4, 4)
    expected = torch.zeros(grid)
    expected[..., :2] = PRIOR_WEIGHT * 0.75
    torch.testing.assert_close(scores, expected.reshape(1, -1))
    assert gates.shape == (*scores.shape, len(EXPERTS))


@pytest.mark.parametrize("reads", ["features", "embeddings"])
@pytest.mark.parametrize("frames", [1, 16])
def test_a_scorer_reads_the_trunk_of_its_kind(reads, frames):
    photo, clip = make_classifier(seed=1), make_classifier(seed=2)
    network = make_scorer(reads=reads)
    scorer = Scorer("test", network, photo, clip)
    pixels, segments = torch.rand(1, 3, frames, 64, 64), two_halves(frames)
    trunk = photo if frames == 1 else clip
    assert scorer.trunk(pixels) is trunk
    scores, gates = scorer(pixels, segments)
    count = 16 if frames == 1 else 128
    assert scores.shape == (1, count) and gates.shape == (1, count, len(EXPERTS)) and scores.std() > 0
    with torch.inference_mode():
        tokens = trunk.features(pixels) if reads == "features" else trunk.encoder.embed(pixels)
        torch.testing.assert_close(scorer(pixels, segments, tokens).scores, scores)
    still = frames == 1
    assert (gates[..., list(EXPERTS).index("motion")] == 0).all().item() is still


# From here on: the weights that ship.


@pytest.mark.parametrize("role, name", [key for key, weights in hub.WEIGHTS.items() if weights.file])
def test_shipped_weights_load(role, name):
    entry = hub.find(role, name)
    assert entry.path.stat().st_size < 10e6 and entry.licence == "Apache-2.0" and entry.revision
    model = LOADERS[role](name)
    network = model.network if role == "scorer" else model
    assert all(p.isfinite().all() for p in network.parameters())
    assert LOADERS[role](name) == model  # kept in memory


def test_public_interface_of_the_shipped_models(astronaut):
    pixels = open_media(astronaut).view().pixels(224)
    model, classifier, scorer = load_autoencoder("embedded"), load_classifier("embedded-image"), load_scorer("embedded")
    assert model.grid(1) == (1, 14, 14) and model.grid(16) == (8, 14, 14)
    assert len(classifier.labels) == len(set(classifier.labels)) == classifier.logits(pixels).shape[1] >= 2
    assert load_classifier("embedded-clip").labels == classifier.labels
    segments = two_halves(1, 224)
    scores, gates = scorer(pixels, segments)
    assert scores.shape == (1, 196) and scores.isfinite().all() and gates.shape == (1, 196, 4)
    frames = (pixels[0].permute(1, 2, 3, 0) * 255).round().byte().numpy()
    coverage = describe(segments, frames, model.grid(1))[:, DESCRIPTORS.index("coverage")]
    assert (scores[0] - 2 * coverage).std() > 0.05  # it has learned something beyond its prior


@torch.inference_mode()
def test_the_shipped_autoencoder_beats_the_closed_forms_on_photos_never_seen():
    model, noise, errors = load_autoencoder("embedded"), generator(0), []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        pixels = open_media(getattr(skimage.data, name)()).view().pixels(224).to(model.mask_token.device)
        grid = model.encoder.grid(pixels)
        visible = sample_visible(torch.zeros(4, grid.tokens), 0.25, noise, "random")
        pixels, visible = pixels.expand(4, -1, -1, -1, -1), visible.to(pixels.device)
        harmonic = harmonic_fill(pixels, visible, grid, 1, 16)
        guesses = model.reconstruct(pixels, visible), visible_mean_fill(pixels, visible, grid), harmonic
        # Visible tokens count as zero, for all alike.
        errors.append([token_mse(pixels, guess, grid).scatter(1, visible, 0.0).mean() for guess in guesses])
    network, trivial, harmonic = torch.tensor(errors).mean(0)
    assert network < 0.55 * trivial and network < 0.92 * harmonic, (network, trivial, harmonic)
