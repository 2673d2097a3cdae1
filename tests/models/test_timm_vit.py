"""timm's ViT classifiers, written to disk by timm: ours answer what timm answers, and from any subset of tokens."""

import json

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from focusmae.errors import SettingsError, WeightsError
from focusmae.models.imagenet import class_names
from focusmae.models.load import load_autoencoder, load_classifier
from tests.tiny import is_one_sentence, random_pixels, random_visible, randomise

CLOSE = {"rtol": 0, "atol": 1e-4}
TINY = {"embed_dim": 48, "depth": 2, "num_heads": 3}
# Class token; mean; attention pooling; registers, layer scale; no class token; norm in front, other activation; none
# but a table without rows for the class token; mean of normalised tokens; parallel branches; 384 px; patch 14 and 32.
KINDS = {
    "test_vit": {},
    "test_vit2": {},
    "test_vit3": {},
    "test_vit4": {},
    "vit_tiny_patch16_224": TINY,
    "vit_base_patch16_384": TINY,
    "vit_base_patch32_224": TINY,
    "vit_base_patch14_reg4_dinov2": TINY | {"img_size": 112},
    "vit_base_patch16_gap_224": TINY,
    "vit_base_patch16_clip_quickgelu_224": TINY,
    "vit_base_patch16_siglip_224": TINY,
    "vit_base_patch16_siglip_gap_224": TINY,
    "deit3_small_patch16_224": TINY,
    "eva_large_patch14_196": TINY,
    "vit_base_patch16_rpn_224": TINY,
    "vit_huge_patch14_xp_224": TINY,
    "vit_pwee_patch16_reg1_gap_256": {"depth": 2},
}


def write(folder, name: str = "test_vit", classes: int = 7, about: dict | None = None, **shape):
    torch.manual_seed(0)
    model = randomise(timm.create_model(name, num_classes=classes, **shape).eval(), strength=0.05)
    timm.models.save_for_hf(model, folder, model_config=about, model_args=shape, safe_serialization=True)
    return model


def answer(model, pixels: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(model.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    return model((pixels[:, :, 0] - mean) / std)


@pytest.mark.parametrize("name", KINDS)
@torch.inference_mode()
def test_the_same_answer(tmp_path, name):
    theirs = write(tmp_path, name, **KINDS[name])
    ours = load_classifier(tmp_path)
    side, (h, w) = theirs.patch_embed.img_size[0], theirs.patch_embed.grid_size
    assert ours.side == side and ours.grid(1) == (1, h, w)
    pixels = random_pixels(2, 1, side)
    wanted = answer(theirs, pixels)
    assert wanted.shape == (2, 7) and wanted.std() > 0.01
    torch.testing.assert_close(ours.logits(pixels), wanted, **CLOSE)
    torch.testing.assert_close(ours.logits(pixels, torch.arange(h * w).expand(2, -1)), wanted, **CLOSE)


def leave_out(model, visible: torch.Tensor):
    """Make timm's own model drop tokens, in its own place for that: between positions and blocks."""

    class Drop(torch.nn.Module):
        def forward(self, x):
            prefix = model.num_prefix_tokens
            index = (visible + prefix).unsqueeze(-1).expand(-1, -1, x.shape[-1])
            return torch.cat([x[:, :prefix], x.gather(1, index)], 1)

    model.patch_drop = Drop()
    return model


@pytest.mark.parametrize("name", ["test_vit", "test_vit3", "vit_base_patch14_reg4_dinov2", "vit_base_patch16_gap_224"])
@torch.inference_mode()
def test_the_same_answer_from_a_subset(tmp_path, name):
    theirs = write(tmp_path, name, **KINDS[name])
    ours = load_classifier(tmp_path)
    pixels, visible = random_pixels(2, 1, ours.side), random_visible(2, ours.grid(1).tokens, 9)
    full, wanted = answer(theirs, pixels), answer(leave_out(theirs, visible), pixels)
    assert not torch.allclose(wanted, full, atol=1e-3)
    torch.testing.assert_close(ours.logits(pixels, visible), wanted, **CLOSE)
    assert ours.features(pixels, visible).shape == (2, 9, theirs.embed_dim)
    with pytest.raises(SettingsError):
        ours.head_logits(ours.features(pixels, visible))


@torch.inference_mode()
def test_gates_and_prompts(tmp_path):
    write(tmp_path)
    model, pixels = load_classifier(tmp_path), random_pixels(1, 1, 160)
    ones = torch.ones(1, 100)
    assert torch.equal(model.logits(pixels, gate=ones), model.logits(pixels))
    assert not torch.allclose(model.logits(pixels, gate=ones / 2), model.logits(pixels), atol=1e-4)
    assert model.logits(pixels, prompt=torch.arange(5)[None]).shape == (1, 7)


@pytest.mark.parametrize("classes", [1000, 21843])
def test_labels_of_imagenet(tmp_path, classes):
    write(tmp_path, classes=classes)
    labels = load_classifier(tmp_path).labels
    assert len(labels) == classes and labels == class_names(classes)


def test_imagenets_names_are_distinct():
    names = class_names(1000)
    assert names[:2] == ["tench, Tinca tinca", "goldfish, Carassius auratus"] and len(set(names)) == 1000
    assert names[134].startswith("crane:") and names[517].startswith("crane:") and class_names(3) is None


def test_labels_that_the_configuration_names(tmp_path):
    write(tmp_path / "a", classes=3, about={"label_names": ["n1", "n2", "n3"], "label_descriptions": {"n2": "an owl"}})
    assert load_classifier(tmp_path / "a").labels == ["n1", "an owl", "n3"]
    write(tmp_path / "b", classes=3)
    assert load_classifier(tmp_path / "b").labels == ["class 0", "class 1", "class 2"]


def test_the_pixels_are_normalised_as_the_checkpoint_was_trained(tmp_path):
    write(tmp_path)
    assert load_classifier(tmp_path).encoder.mean.flatten().tolist() == [0.5] * 3
    config = json.loads((tmp_path / "config.json").read_text())
    config["pretrained_cfg"]["mean"] = [0.1, 0.2, 0.3]
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_classifier(tmp_path).encoder.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


def refused(load, folder) -> str:
    with pytest.raises(WeightsError) as error:
        load(folder)
    text = str(error.value)
    assert is_one_sentence(text) and folder.name in text and str(folder.parent) not in text
    return text


def test_what_is_no_plain_vit_or_does_not_fit(tmp_path, monkeypatch):
    write(tmp_path)
    assert "no decoder" in refused(load_autoencoder, tmp_path)
    config, tensors = json.loads((tmp_path / "config.json").read_text()), load_file(tmp_path / "model.safetensors")
    for wrong in (
        {"architecture": "no_such_vit"}, {"architecture": "resnet18"}, {"architecture": "vit_tiny_patch16_224"},
        {"architecture": "deit_tiny_distilled_patch16_224"}, {"architecture": "vit_tiny_r_s16_p8_224"},
        {"model_args": {"wings": 2}}, {"model_args": {"img_size": [160, 80]}},
    ):  # fmt: skip
        (tmp_path / "config.json").write_text(json.dumps(config | wrong))
        refused(load_classifier, tmp_path)
    # A description cannot make timm open or fetch anything.
    safe = config["model_args"] | {"checkpoint_path": "/nowhere/evil.pth", "pretrained": True}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_args": safe}))
    load_classifier(tmp_path)
    for changed in (
        {k: v for k, v in tensors.items() if k != "blocks.1.norm1.weight"}, tensors | {"wings": torch.zeros(2)},
        tensors | {"pos_embed": torch.zeros(1, 197, 64)}, {k: v for k, v in tensors.items() if "head" not in k},
    ):  # fmt: skip
        save_file(changed, tmp_path / "model.safetensors")
        refused(load_classifier, tmp_path)
