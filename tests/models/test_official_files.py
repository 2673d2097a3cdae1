"""The authors' own .pth files, MAE's, VideoMAE's and FocusMAE's: ours compute what the plain reference computes."""

import argparse
import warnings

import numpy as np
import pytest
import torch

from focusmae.errors import WeightsError
from focusmae.models.load import load_autoencoder, load_classifier
from focusmae.models.official import heads_of, official_model
from focusmae.models.positions import mae_table, videomae_table
from focusmae.models.tensors import Tensors
from tests.models import reference
from tests.tiny import hidden_of, is_one_sentence, random_pixels, random_visible

CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture
def save(tmp_path):
    def write(tensors: dict, name: str = "checkpoint.pth", **beside):
        path = tmp_path / name
        torch.save({"model": tensors, **beside}, path)
        return path

    return write


def quietly(load, path):
    """Loads where a remark is to be expected."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load(path)


# width, decoder width, patch, pixels per side, visible tokens
MAE = [(64, 32, 16, 64, 4), (128, 64, 16, 64, 1), (64, 96, 14, 56, 16), (64, 32, 14, 224, 64)]


@pytest.mark.parametrize("width, decoder, patch, side, keep", MAE)
@torch.inference_mode()
def test_mae_reconstruction(save, width, decoder, patch, side, keep):
    tokens = (side // patch) ** 2
    w = reference.mae_weights(width, 2, decoder, patch, tokens, seed=keep)
    model = load_autoencoder(save(w, "mae_visualize_vit_tiny.pth"))
    pixels, visible = random_pixels(2, 1, side), random_visible(2, tokens, keep)
    wanted = reference.mae_patches(w, pixels[:, :, 0], visible, width // 64, decoder // 32)
    assert wanted.std() > 0.1
    torch.testing.assert_close(model.patches(pixels, visible), wanted, **CLOSE)
    assert model.grid(1) == (1, side // patch, side // patch) and model.side == side
    assert not model.norm_targets and model.notes == ()
    picture = model.reconstruct(pixels, visible)
    assert picture.shape == pixels.shape
    top, left = picture[:, :, 0, :patch, :patch], wanted[:, 0].view(2, patch, patch, 3).permute(0, 3, 1, 2)
    shown = left * reference.STD.view(3, 1, 1) + reference.MEAN.view(3, 1, 1)
    torch.testing.assert_close(top, shown.clamp(0, 1), **CLOSE)


VIDEOMAE = [(64, 64, 16, 32, 5), (128, 128, 16, 48, 60), (64, 128, 14, 56, 30), (64, 64, 16, 224, 157)]


@pytest.mark.parametrize("width, decoder, patch, side, keep", VIDEOMAE)
@torch.inference_mode()
def test_videomae_reconstruction(save, width, decoder, patch, side, keep):
    w = reference.videomae_weights(width, 2, decoder, patch, seed=keep)
    model = load_autoencoder(save(w))
    tokens, batch = 8 * (side // patch) ** 2, 2 if side < 224 else 1
    pixels, visible = random_pixels(batch, 16, side), random_visible(batch, tokens, keep)
    hidden = hidden_of(visible, tokens)
    wanted = reference.videomae_patches(w, pixels, visible, hidden, width // 64, decoder // 64)
    found = model.patches(pixels, visible)
    assert found.shape == (len(pixels), tokens, 6 * patch * patch) and wanted.std() > 0.1
    torch.testing.assert_close(reference.rows(found, hidden), wanted, **CLOSE)
    assert model.norm_targets and model.config.encoder.frames == 16


@pytest.mark.parametrize("width, patch, side", [(64, 16, 64), (128, 16, 96), (64, 14, 224)])
@torch.inference_mode()
def test_mae_classifier(save, width, patch, side):
    tokens = (side // patch) ** 2
    w = reference.mae_weights(width, 2, patch=patch, tokens=tokens, classes=1000)
    model = load_classifier(save(w, "mae_finetuned_vit_tiny.pth"))
    pixels, visible = random_pixels(2, 1, side), random_visible(2, tokens, 6)
    wanted = reference.mae_logits(w, pixels[:, :, 0], width // 64)
    torch.testing.assert_close(model.logits(pixels), wanted, **CLOSE)
    torch.testing.assert_close(model.logits(pixels, torch.arange(tokens).expand(2, -1)), wanted, **CLOSE)
    few = reference.mae_logits(w, pixels[:, :, 0], width // 64, visible)
    torch.testing.assert_close(model.logits(pixels, visible), few, **CLOSE)
    assert not torch.allclose(few, wanted, atol=1e-3)
    assert model.labels[:2] == ["tench, Tinca tinca", "goldfish, Carassius auratus"] and len(set(model.labels)) == 1000


@torch.inference_mode()
def test_mae_classifier_with_class_token(save):
    w = reference.mae_weights(classes=5)
    for kind in ("weight", "bias"):
        w[f"norm.{kind}"] = w.pop(f"fc_norm.{kind}")
    model = quietly(load_classifier, save(w))
    assert any("class token" in note for note in model.notes)
    pixels, visible = random_pixels(2, 1, 64), random_visible(2, 16, 3)
    for chosen in (None, visible):
        wanted = reference.mae_logits(w, pixels[:, :, 0], 1, chosen)
        torch.testing.assert_close(model.logits(pixels, chosen), wanted, **CLOSE)
    assert model.labels == [f"class {n}" for n in range(5)]
    with pytest.raises(Exception, match="more than their patch tokens"):
        model.head_logits(model.features(pixels))


@pytest.mark.parametrize("width, patch, side", [(64, 16, 32), (128, 16, 48), (64, 14, 28)])
@torch.inference_mode()
def test_videomae_classifier(save, width, patch, side):
    w = reference.videomae_weights(width, 2, patch=patch, classes=7)
    model = quietly(load_classifier, save(w))
    tokens = 8 * (side // patch) ** 2
    pixels, visible = random_pixels(2, 16, side), random_visible(2, tokens, 9)
    for chosen in (None, visible):
        wanted = reference.videomae_logits(w, pixels, width // 64, chosen)
        torch.testing.assert_close(model.logits(pixels, chosen), wanted, **CLOSE)
    assert model.labels == [f"class {n}" for n in range(7)] and "numbered" in model.notes[0]


@torch.inference_mode()
def test_prefixes_of_parallel_and_compiled_models_and_what_trainings_save_beside(save):
    w = reference.videomae_weights()
    pixels, visible = random_pixels(1, 16, 32), random_visible(1, 32, 8)
    wanted = load_autoencoder(save(w)).patches(pixels, visible)
    scalar = np.float64(0.1) * np.float64(1)
    beside = {"optimizer": {"param_groups": [{"lr": scalar}]}, "args": argparse.Namespace(lr=scalar, model="x")}
    for number, prefix in enumerate(("module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.")):
        path = save({prefix + key: value for key, value in w.items()}, f"{number}.pth", epoch=800, **beside)
        assert torch.equal(load_autoencoder(path).patches(pixels, visible), wanted)
    torch.save({"module": w}, path)  # as DeepSpeed nests it
    assert torch.equal(load_autoencoder(path).patches(pixels, visible), wanted)
    torch.save(w, path, _use_new_zipfile_serialization=False)  # torch's older format, not nested at all
    assert torch.equal(load_autoencoder(path).patches(pixels, visible), wanted)


@torch.inference_mode()
def test_biases_that_are_left_out_are_zero_and_branch_factors_are_applied(save):
    pixels, visible = random_pixels(1, 16, 32), random_visible(1, 32, 8)
    w = {key: value for key, value in reference.videomae_weights(128).items() if not key.endswith(("q_bias", "v_bias"))}
    noise = torch.Generator().manual_seed(5)
    w |= {f"encoder.blocks.{n}.gamma_{k}": torch.rand(128, generator=noise) for n in (0, 1) for k in (1, 2)}
    found = load_autoencoder(save(w)).patches(pixels, visible)
    hidden = hidden_of(visible, 32)
    wanted = reference.videomae_patches(w, pixels, visible, hidden, 2, 1)
    torch.testing.assert_close(reference.rows(found, hidden), wanted, **CLOSE)


@torch.inference_mode()
def test_a_learned_table_of_videomae_is_used(save):
    w = reference.videomae_weights(classes=3) | {"pos_embed": torch.randn(1, 8 * 4, 64) * 0.3}
    model = quietly(load_classifier, save(w))
    assert model.side == 32
    pixels = random_pixels(1, 16, 32)
    torch.testing.assert_close(model.logits(pixels), reference.videomae_logits(w, pixels, 1), **CLOSE)


@torch.inference_mode()
def test_focusmae_has_twelve_heads_of_384_channels_and_keeps_a_sampler(save):
    w = reference.videomae_weights(384, 1, 384)
    w["encoder.pos_embed_probs"] = torch.zeros(1, 1568, 384)
    w["encoder.get_token_probs.1.weight"] = torch.zeros(1, 384)
    path = save(w)
    with pytest.warns(UserWarning) as said:
        model = load_autoencoder(path)
    assert [str(one.message) for one in said] == list(model.notes) and all(map(is_one_sentence, model.notes))
    assert "sampl" in model.notes[0] and "12 heads" in model.notes[1]
    pixels, visible = random_pixels(1, 16, 32), random_visible(1, 32, 8)
    hidden = hidden_of(visible, 32)
    wanted = reference.videomae_patches(w, pixels, visible, hidden, 12, 6)
    torch.testing.assert_close(reference.rows(model.patches(pixels, visible), hidden), wanted, **CLOSE)


@pytest.mark.parametrize(
    "decoder, said, heads",
    [(192, None, 6), (384, None, 12), (384, "pretrain_videomae_small_patch16_224", 6), (192, "vit_base_patch16", 12)],
)
def test_heads_of_384_channels(save, decoder, said, heads):
    beside = {"args": argparse.Namespace(model=said)} if said else {}
    model = quietly(load_autoencoder, save(reference.videomae_weights(384, 1, decoder), **beside))
    assert model.config.encoder.heads == heads and model.config.decoder_heads == decoder // 64
    assert any(f"{heads} heads" in note for note in model.notes)


@pytest.mark.parametrize("classes, heads", [(2, 12), (174, 6)])
def test_heads_of_384_channels_in_a_classifier(save, classes, heads):
    model = quietly(load_classifier, save(reference.videomae_weights(384, 1, classes=classes)))
    assert model.config.heads == heads


def test_heads_of_the_published_sizes():
    assert [heads_of(width, 64) for width in (384, 768, 1024, 1280, 640)] == [6, 12, 16, 16, 8]
    assert heads_of(512, 32) == 16


@pytest.mark.parametrize(
    "name, arguments, per_patch, remarks",
    [
        ("mae_visualize_vit_large_ganloss.pth", None, False, 0),
        ("mae_pretrain_vit_base_full.pth", None, True, 0),
        ("mine.pth", None, False, 1),
        ("mine.pth", {"norm_pix_loss": True}, True, 0),
        ("mae_visualize_mine.pth", {"norm_pix_loss": True}, True, 0),
    ],
)
def test_what_maes_decoder_predicts(save, name, arguments, per_patch, remarks):
    beside = {"args": argparse.Namespace(**arguments)} if arguments else {}
    model = quietly(load_autoencoder, save(reference.mae_weights(), name, **beside))
    assert model.norm_targets == per_patch and len(model.notes) == remarks and all(map(is_one_sentence, model.notes))


def test_what_videomaes_decoder_predicts(save):
    w = reference.videomae_weights()
    assert load_autoencoder(save(w, "a.pth")).norm_targets
    raw = load_autoencoder(save(w, "b.pth", args=argparse.Namespace(normlize_target=False)))
    assert not raw.norm_targets and raw.config.target == "unit"


def test_the_file_tells_which_position_table_it_was_made_with(save):
    photo, clip = reference.mae_weights(), reference.videomae_weights()
    photo["pos_embed"][:, 1:] = mae_table(64, load_autoencoder(save(photo, "mae_visualize.pth")).grid(1))
    grid = load_autoencoder(save(photo, "mae_visualize.pth")).grid(1)
    assert torch.equal(load_autoencoder(save(photo, "mae_visualize.pth")).encoder.positions(grid), mae_table(64, grid))
    model = load_autoencoder(save(clip))
    assert torch.equal(model.encoder.positions(model.grid(16)), videomae_table(64, model.grid(16)))


def refused(load, path) -> str:
    with pytest.raises(WeightsError) as error:
        quietly(load, path)
    text = str(error.value)
    assert is_one_sentence(text) and path.name in text and str(path.parent) not in text
    return text


def test_an_encoder_alone_reconstructs_nothing(save):
    w = {key: value for key, value in reference.mae_weights().items() if "decoder" not in key and key != "mask_token"}
    path = save(w, "mae_pretrain_vit_base.pth")
    assert "no decoder" in refused(load_autoencoder, path)
    assert "no classification head" in refused(load_classifier, path)


@pytest.mark.parametrize("weights", [reference.mae_weights, reference.videomae_weights])
def test_the_other_role(save, weights):
    assert "no decoder" in refused(load_autoencoder, save(weights(classes=3), "a.pth"))
    assert "no classification head" in refused(load_classifier, save(weights(), "b.pth"))


@pytest.mark.parametrize("role, classes", [("autoencoder", 0), ("classifier", 3)])
@pytest.mark.parametrize("weights", [reference.mae_weights, reference.videomae_weights])
def test_every_tensor_is_needed_in_its_shape_and_no_other(weights, role, classes):
    w = weights(depth=1, classes=classes)

    def refused(tensors: dict) -> str:
        with pytest.raises(WeightsError) as error:
            official_model(Tensors(tensors, {}, {}), None, "mae_visualize.pth", role)
        assert is_one_sentence(str(error.value)) and "mae_visualize.pth" in str(error.value)
        return str(error.value)

    for number, key in enumerate(w):
        refused({k: v for k, v in w.items() if k != key})
        if number % 7 == 0:
            refused(w | {key: torch.zeros(*w[key].shape[:-1], w[key].shape[-1] + 1)})
    assert "surplus wings" in refused(w | {"wings": torch.zeros(2)})
    norm = next(key for key in w if key.endswith("norm1.bias"))
    assert "floating-point" in refused(w | {norm: torch.zeros(64, dtype=torch.int8)})


def test_no_rule_for_the_heads(save):
    assert "heads" in refused(load_autoencoder, save(reference.mae_weights(width=72)))


def test_weights_of_something_else(save):
    assert "known here" in refused(load_autoencoder, save(torch.nn.Linear(3, 3).state_dict()))
