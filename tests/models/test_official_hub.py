"""The Hub's MAE and VideoMAE, written to disk by transformers in the true format: ours compute what it computes."""

import json
import shutil
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VideoMAEForVideoClassification,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTMAEModel,
)

from focusmae.errors import SettingsError, WeightsError
from focusmae.models.load import load_autoencoder, load_classifier
from tests.models.reference import MEAN, STD, rows
from tests.tiny import hidden_of, is_one_sentence, random_pixels, random_visible, randomise

CLOSE = {"rtol": 0, "atol": 1e-4}
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37, "image_size": 64,
    "decoder_hidden_size": 16, "decoder_num_hidden_layers": 2, "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 20,
}  # fmt: skip
WIDER = SMALL | {
    "hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 192, "image_size": 32, "decoder_hidden_size": 32,
}  # fmt: skip
HUGE = SMALL | {"hidden_size": 40, "num_attention_heads": 5, "patch_size": 14, "image_size": 224}  # huge's grid
SIZES = {"small": SMALL, "wider": WIDER, "patch 14": HUGE}
EVERY_SIZE = pytest.mark.parametrize("size", SIZES)


def videomae_size(size: str) -> dict:
    return SIZES[size] | ({"image_size": 56} if size == "patch 14" else {})


def write(model, folder):
    """Save as transformers does, every weight changed at random."""
    model = randomise(model.eval(), strength=0.1)
    model.save_pretrained(folder)
    return model


def normal(pixels: torch.Tensor) -> torch.Tensor:
    """(B, 3, T, H, W) in [0, 1] -> (B, T, 3, H, W) as transformers takes clips."""
    return ((pixels - MEAN.view(3, 1, 1, 1)) / STD.view(3, 1, 1, 1)).transpose(1, 2)


def photo_patches(model: ViTMAEForPreTraining, pixels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    """Transformers' prediction from the tokens ``visible``: those with the smallest noise are kept."""
    tokens = model.vit.embeddings.patch_embeddings.num_patches
    model.config.mask_ratio = 1 - (visible.shape[1] + 0.5) / tokens
    noise = torch.ones(len(visible), tokens).scatter_(1, visible, 0.0)
    return model(normal(pixels)[:, 0], noise=noise).logits


def clip_patches(model: VideoMAEForPreTraining, pixels: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
    tokens = model.videomae.embeddings.num_patches
    masked = torch.ones(len(visible), tokens, dtype=torch.bool).scatter_(1, visible, False)
    return model(normal(pixels), bool_masked_pos=masked).logits


@EVERY_SIZE
@pytest.mark.parametrize("share", [0.05, 0.25, 0.9, 1.0])
@torch.inference_mode()
def test_mae_at_any_mask(tmp_path, size, share):
    config = ViTMAEConfig(**SIZES[size])
    theirs = write(ViTMAEForPreTraining(config), tmp_path)
    ours = load_autoencoder(tmp_path)
    side, tokens = config.image_size, (config.image_size // config.patch_size) ** 2
    pixels, visible = random_pixels(2, 1, side), random_visible(2, tokens, max(1, int(share * tokens)))
    wanted = photo_patches(theirs, pixels, visible)
    assert wanted.shape == (2, tokens, 3 * config.patch_size**2) and wanted.std() > 0.05
    torch.testing.assert_close(ours.patches(pixels, visible), wanted, **CLOSE)
    assert ours.grid(1) == (1, side // config.patch_size, side // config.patch_size) and ours.side == side
    assert ours.config.encoder.eps == 1e-12 and not ours.norm_targets


@EVERY_SIZE
@pytest.mark.parametrize("share", [0.1, 0.5])
@torch.inference_mode()
def test_videomae_at_any_mask(tmp_path, size, share):
    config = VideoMAEConfig(**videomae_size(size), use_mean_pooling=False)
    theirs = write(VideoMAEForPreTraining(config), tmp_path)
    ours = load_autoencoder(tmp_path)
    tokens = 8 * (config.image_size // config.patch_size) ** 2
    pixels, visible = random_pixels(2, 16, config.image_size), random_visible(2, tokens, int(share * tokens))
    wanted = clip_patches(theirs, pixels, visible)
    assert wanted.std() > 0.05
    found = ours.patches(pixels, visible)
    assert found.shape == (2, tokens, 6 * config.patch_size**2)
    torch.testing.assert_close(rows(found, hidden_of(visible, tokens)), wanted, **CLOSE)
    assert ours.norm_targets and ours.config.decoder_heads == config.decoder_num_attention_heads


@torch.inference_mode()
def test_videomae_on_the_true_grid(tmp_path):
    theirs = write(VideoMAEForPreTraining(VideoMAEConfig(**SMALL | {"image_size": 224})), tmp_path)
    ours = load_autoencoder(tmp_path)
    pixels, visible = random_pixels(1, 16, 224), random_visible(1, 1568, 157)
    found = rows(ours.patches(pixels, visible), hidden_of(visible, 1568))
    torch.testing.assert_close(found, clip_patches(theirs, pixels, visible), **CLOSE)
    assert ours.grid(16) == (8, 14, 14) and not ours.config.encoder.final_norm  # as mean pooling leaves it out


@EVERY_SIZE
@torch.inference_mode()
def test_videomae_classifier(tmp_path, size):
    labels = ["wave", "jump", "open a door"]
    about = {"id2label": dict(enumerate(labels)), "label2id": {label: n for n, label in enumerate(labels)}}
    config = VideoMAEConfig(**videomae_size(size), **about)
    theirs = write(VideoMAEForVideoClassification(config), tmp_path)
    ours = load_classifier(tmp_path)
    tokens = 8 * (config.image_size // config.patch_size) ** 2
    pixels, wanted = random_pixels(2, 16, config.image_size), None
    wanted = theirs(normal(pixels)).logits
    assert wanted.std() > 0.05 and ours.labels == labels
    torch.testing.assert_close(ours.logits(pixels), wanted, **CLOSE)
    torch.testing.assert_close(ours.logits(pixels, torch.arange(tokens).expand(2, -1)), wanted, **CLOSE)
    # From a subset, as transformers' own encoder is asked for it.
    visible = random_visible(2, tokens, 7)
    masked = torch.ones(2, tokens, dtype=torch.bool).scatter_(1, visible, False)
    few = theirs.videomae(normal(pixels), bool_masked_pos=masked).last_hidden_state.mean(1)
    torch.testing.assert_close(ours.logits(pixels, visible), theirs.classifier(theirs.fc_norm(few)), **CLOSE)


@torch.inference_mode()
def test_the_epsilon_of_the_layer_norms_is_the_checkpoints(tmp_path):
    """Tokens so faint that 1e-12 and 1e-6 are worlds apart."""
    pixels, visible = random_pixels(1, 1, 64), random_visible(1, 16, 8)
    for eps in (1e-12, 1e-6):
        model = ViTMAEForPreTraining(ViTMAEConfig(**SMALL, layer_norm_eps=eps)).eval()
        faint = ("patch_embeddings.projection", "position_embeddings", "cls_token", "o_proj", "fc2")
        for name, value in model.vit.named_parameters():
            value.mul_(1e-3 if any(part in name for part in faint) else 1)
        model.save_pretrained(tmp_path / str(eps))
        ours = load_autoencoder(tmp_path / str(eps))
        wanted = photo_patches(model, pixels, visible)
        torch.testing.assert_close(ours.patches(pixels, visible), wanted, **CLOSE)
        for part in ours.encoder.modules():
            if isinstance(part, torch.nn.LayerNorm):
                part.eps = 1e-6 if eps == 1e-12 else 1e-12
        assert not torch.allclose(ours.patches(pixels, visible), wanted, atol=1e-3)


@torch.inference_mode()
def test_the_last_norm_of_videomae_has_torchs_own_epsilon(tmp_path):
    config = VideoMAEConfig(**SMALL)
    pixels, visible = random_pixels(1, 16, 64), random_visible(1, 128, 60)
    model = VideoMAEForPreTraining(config).eval()
    for name, value in model.named_parameters():
        value.mul_(1e-3 if name in ("encoder_to_decoder.weight", "mask_token") or "decoder_layers" in name else 1)
    model.position_embeddings *= 1e-3
    model.save_pretrained(tmp_path)
    ours = load_autoencoder(tmp_path)
    del ours.decoder_positions
    ours.decoder_positions = lambda grid, like: model.position_embeddings[0]  # made faint above, as everything else
    wanted = clip_patches(model, pixels, visible)
    hidden = hidden_of(visible, 128)
    torch.testing.assert_close(rows(ours.patches(pixels, visible), hidden), wanted, **CLOSE)
    ours.decoder_norm.eps = 1e-12
    assert not torch.allclose(rows(ours.patches(pixels, visible), hidden), wanted, atol=1e-3)


@torch.inference_mode()
def test_files_as_they_are_on_the_hub_and_as_transformers_5_names_its_own_modules(tmp_path):
    """``.bin`` with the old names, the names of the modules themselves, and what transformers 5.23 writes between."""
    folders = [tmp_path / name for name in ("saved", "hub", "modules")]
    theirs = write(ViTMAEForPreTraining(ViTMAEConfig(**SMALL)), folders[0])
    for folder in folders[1:]:
        folder.mkdir()
        shutil.copy(folders[0] / "config.json", folder)
    saved = load_file(folders[0] / "model.safetensors")
    old = {key.replace("decoder_encoder.layer", "decoder_layers"): value for key, value in saved.items()}
    assert "vit.encoder.layer.0.attention.attention.query.weight" in old
    assert "decoder.decoder_layers.1.layernorm_before.bias" in old
    torch.save(old, folders[1] / "pytorch_model.bin")
    save_file({key: value.contiguous() for key, value in theirs.state_dict().items()}, folders[2] / "model.safetensors")
    pixels, visible = random_pixels(1, 1, 64), random_visible(1, 16, 4)
    wanted = photo_patches(theirs, pixels, visible)
    for place in (*folders, folders[1] / "pytorch_model.bin"):
        torch.testing.assert_close(load_autoencoder(place).patches(pixels, visible), wanted, **CLOSE)


@torch.inference_mode()
@pytest.mark.parametrize("biases", [True, False])
def test_attention_with_and_without_biases(tmp_path, biases):
    pixels, visible = random_pixels(1, 16, 64), random_visible(1, 128, 30)
    theirs = write(VideoMAEForPreTraining(VideoMAEConfig(**SMALL, qv_bias=biases)), tmp_path / "clips")
    found = load_autoencoder(tmp_path / "clips").patches(pixels, visible)
    torch.testing.assert_close(rows(found, hidden_of(visible, 128)), clip_patches(theirs, pixels, visible), **CLOSE)
    theirs = write(ViTMAEForPreTraining(ViTMAEConfig(**SMALL, qkv_bias=biases)), tmp_path / "photos")
    photo, few = pixels[:, :, :1], random_visible(1, 16, 5)
    found = load_autoencoder(tmp_path / "photos").patches(photo, few)
    torch.testing.assert_close(found, photo_patches(theirs, photo, few), **CLOSE)


@torch.inference_mode()
def test_half_precision_files_are_computed_in_float32(tmp_path):
    theirs = write(ViTMAEForPreTraining(ViTMAEConfig(**SMALL)), tmp_path).half()
    theirs.save_pretrained(tmp_path)
    ours = load_autoencoder(tmp_path)
    assert all(p.dtype == torch.float32 for p in ours.parameters())
    pixels, visible = random_pixels(1, 1, 64), random_visible(1, 16, 4)
    wanted = photo_patches(theirs.float(), pixels, visible)
    torch.testing.assert_close(ours.patches(pixels, visible), wanted, **CLOSE)


def test_the_small_videomaes_heads_are_corrected(tmp_path):
    wide = SMALL | {"hidden_size": 384, "num_attention_heads": 16, "num_hidden_layers": 1}
    write(VideoMAEForVideoClassification(VideoMAEConfig(**wide, num_labels=3)), tmp_path)
    with pytest.warns(UserWarning, match="16 heads") as said:
        model = load_classifier(tmp_path)
    assert model.config.heads == 6 and model.notes == (str(said[0].message),) and is_one_sentence(model.notes[0])


@torch.inference_mode()
def test_photos_and_clips_go_where_they_belong(tmp_path):
    write(ViTMAEForPreTraining(ViTMAEConfig(**SMALL)), tmp_path / "photos")
    write(VideoMAEForPreTraining(VideoMAEConfig(**SMALL)), tmp_path / "clips")
    write(VideoMAEForVideoClassification(VideoMAEConfig(**SMALL, num_labels=3)), tmp_path / "classes")
    photos, clips = load_autoencoder(tmp_path / "photos"), load_autoencoder(tmp_path / "clips")
    classes = load_classifier(tmp_path / "classes")
    photo, clip, few = random_pixels(1, 1), random_pixels(1, 16), random_visible(1, 16, 4)
    for work in (
        lambda: photos.reconstruct(clip, few), lambda: clips.reconstruct(photo, few), lambda: classes.logits(photo),
        lambda: photos.grid(16), lambda: clips.grid(1), lambda: classes.grid(1), lambda: photos.patches(clip, few),
        lambda: photos.reconstruct(random_pixels(1, 1, 96), few), lambda: clips.reconstruct(clip[:, :, :8], few),
    ):  # fmt: skip
        with pytest.raises(SettingsError) as error:
            work()
        assert is_one_sentence(str(error.value))


def refused(load, folder) -> str:
    with pytest.raises(WeightsError) as error, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        load(folder)
    text = str(error.value)
    assert is_one_sentence(text) and folder.name in text and str(folder.parent) not in text
    return text


def test_what_does_not_fit_is_refused(tmp_path):
    photos, clips, encoder, changed = (tmp_path / name for name in ("photos", "clips", "encoder", "changed"))
    write(ViTMAEForPreTraining(ViTMAEConfig(**SMALL)), photos)
    write(VideoMAEForVideoClassification(VideoMAEConfig(**SMALL, num_labels=3)), clips)
    ViTMAEModel(ViTMAEConfig(**SMALL)).save_pretrained(encoder)
    assert "no classification head" in refused(load_classifier, photos)
    assert "no decoder" in refused(load_autoencoder, clips)
    refused(load_autoencoder, encoder)
    said, tensors = json.loads((photos / "config.json").read_text()), load_file(photos / "model.safetensors")
    changed.mkdir()
    save_file(tensors, changed / "model.safetensors")
    for wrong in (
        {"num_attention_heads": 5}, {"num_attention_heads": None}, {"hidden_act": "relu"}, {"layer_norm_eps": "soft"},
        {"image_size": [64, 32]}, {"decoder_num_attention_heads": 0},
    ):  # fmt: skip
        (changed / "config.json").write_text(json.dumps(said | wrong))
        refused(load_autoencoder, changed)
    (changed / "config.json").write_text(json.dumps(said))
    load_autoencoder(changed)
    (changed / "config.json").unlink()
    with pytest.raises(WeightsError, match="config.json"):
        load_autoencoder(changed / "model.safetensors")
    (changed / "config.json").write_text(json.dumps(said))
    for key in ("vit.encoder.layer.1.attention.attention.key.bias", "vit.layernorm.weight", "decoder.mask_token"):
        save_file({k: v for k, v in tensors.items() if k != key}, changed / "model.safetensors")
        assert "lacks" in refused(load_autoencoder, changed)
    wings = {"vit.encoder.layer.1.attention.attention.wings.bias": torch.zeros(2)}
    save_file(tensors | wings, changed / "model.safetensors")
    assert "surplus" in refused(load_autoencoder, changed)
