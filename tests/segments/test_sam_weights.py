"""Files of SAM weights: both forms, read strictly, and refused in one sentence."""

import os

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from segment_anything import sam_model_registry

from focusmae import hub
from focusmae.errors import SettingsError, WeightsError
from focusmae.segments import sam
from focusmae.segments.base import load_segmenter
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_weights import SIZES, _build, key_table, read_sam, size_of
from tests.segments.sam_peers import SIDE, random_sam
from tests.tiny import is_one_sentence


@pytest.fixture(scope="module")
def state():
    return random_sam().state_dict()


@pytest.fixture(scope="module")
def official(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sam_vit_t_000000.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def peer():
    """transformers' own SAM, small, with weights that are nowhere zero."""
    from transformers import SamConfig, SamModel

    config = SamConfig(
        vision_config={
            "hidden_size": 48, "output_channels": 32, "num_hidden_layers": 2, "num_attention_heads": 3,
            "image_size": SIDE, "patch_size": 16, "window_size": 3, "global_attn_indexes": [1], "mlp_dim": 192,
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 8},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 8, "iou_head_hidden_dim": 24},
    )  # fmt: skip
    torch.manual_seed(0)
    model = SamModel(config).eval().requires_grad_(False)
    for weight in model.parameters():
        weight += 0.1 * torch.randn_like(weight)
    return model


def test_the_table_pairs_every_key_of_the_released_model_once():
    with torch.device("meta"):
        theirs = sam_model_registry["vit_b"]().state_dict()
    table = key_table(blocks=12, layers=2, masks=4)
    assert sorted(table.values()) == sorted(theirs) and len(set(table.values())) == len(table)


def test_the_table_names_every_weight_of_transformers(peer):
    table = key_table(blocks=2, layers=2, masks=4)
    assert set(table) | {"shared_image_embedding.positional_embedding"} == set(peer.state_dict())


def test_a_file_of_transformers_answers_as_transformers_does(peer, tmp_path):
    peer.save_pretrained(tmp_path)
    model = SamModel(read_sam(tmp_path / "model.safetensors"))
    frames = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
    pixels = (torch.from_numpy(frames).permute(0, 3, 1, 2) - model.sam.pixel_mean) / model.sam.pixel_std
    point = torch.tensor([[[0.3, 0.6]]])
    expected = peer(pixel_values=pixels, input_points=point[None] * SIDE, input_labels=torch.ones(1, 1, 1).long())
    embedding = next(model.encode(frames))
    torch.testing.assert_close(embedding, peer.get_image_embeddings(pixels)[0], atol=1e-4, rtol=1e-4)
    masks, iou = next(model.ask(model.share(embedding), point))
    assert expected.pred_masks.std() > 1e-3
    torch.testing.assert_close(masks, expected.pred_masks[0], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(iou, expected.iou_scores[0], atol=1e-4, rtol=1e-3)


def in_transformers_names(state):
    back = {ours: theirs for theirs, ours in key_table(blocks=2, layers=2, masks=4).items()}
    return {back[key]: value.clone() for key, value in state.items()}


def test_the_shared_positions_may_come_once_or_twice(state, tmp_path):
    tensors = in_transformers_names(state)
    own = "prompt_encoder.shared_embedding.positional_embedding"
    twice = {**tensors, "shared_image_embedding.positional_embedding": tensors[own].clone()}
    other = {key: value for key, value in twice.items() if key != own}
    for name, given in (("once", tensors), ("twice", twice), ("other", other)):
        path = tmp_path / f"{name}.safetensors"
        save_file(given, path)
        read = read_sam(path).state_dict()
        assert read.keys() == state.keys() and all(torch.equal(read[key], state[key]) for key in state)


def test_half_precision_is_read_as_float32(state, tmp_path):
    path = tmp_path / "half.pth"
    torch.save({key: value.half() for key, value in state.items()}, path)
    assert {value.dtype for value in read_sam(path).state_dict().values()} == {torch.float32}


class Mischief:
    def __reduce__(self):
        return os.getcwd, ()


@pytest.mark.parametrize(
    "what", ["a missing key", "one too many", "another shape", "encoder only", "nothing", "code", "text", "a number"]
)
@pytest.mark.parametrize("form", ["official", "transformers"])
def test_what_is_not_a_whole_sam_is_refused_in_one_sentence(state, tmp_path, what, form):
    tensors = dict(state) if form == "official" else in_transformers_names(state)
    last = next(key for key in reversed(tensors) if "hypernetworks" in key)
    content = {
        "a missing key": {key: value for key, value in tensors.items() if key != last},
        "one too many": {**tensors, last.replace("hypernetworks", "hypernetwork"): torch.zeros(2)},
        "another shape": {**tensors, last: torch.zeros(7)},
        "encoder only": {key: value for key, value in tensors.items() if "encoder" in key and "prompt" not in key},
        "nothing": {},
        "code": {**tensors, "more": Mischief()},
        "text": None,
        "a number": {**tensors, "epoch": 3},
    }[what]
    path = tmp_path / ("sam.pth" if form == "official" or what in ("code", "a number") else "sam.safetensors")
    if content is None:
        path.write_text("no weights at all")
    elif path.suffix == ".pth":
        torch.save(content, path)
    else:
        save_file(content, path)
    with pytest.raises(WeightsError) as error:
        read_sam(path)
    assert is_one_sentence(str(error.value)) and path.name in str(error.value) and str(tmp_path) not in str(error.value)


def test_an_encoder_alone_is_called_that(state, tmp_path):
    path = tmp_path / "encoder.pth"
    torch.save({key: value for key, value in state.items() if key.startswith("image_encoder")}, path)
    with pytest.raises(WeightsError, match="only an image encoder"):
        read_sam(path)


@pytest.mark.parametrize(("size", "name"), zip(["vit_b", "vit_l", "vit_h"], SIZES.values(), strict=True))
def test_the_released_sizes_are_read_from_the_weights(size, name):
    with torch.device("meta"):
        theirs = sam_model_registry[size]()
        ours = _build(theirs.state_dict())
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    for block, other in zip(ours.image_encoder.blocks, theirs.image_encoder.blocks, strict=True):
        assert block.window_size == other.window_size
        assert block.attn.num_heads == other.attn.num_heads and block.attn.scale == other.attn.scale
    attention, other = ours.mask_decoder.transformer.layers[1], theirs.mask_decoder.transformer.layers[1]
    assert attention.self_attn.num_heads == other.self_attn.num_heads
    assert ours.image_encoder.img_size == 1024 and ours.prompt_encoder.image_embedding_size == (64, 64)
    assert size_of(ours) == name == {"b": "sam-vit-base", "l": "sam-vit-large", "h": "sam-vit-huge"}[size[-1]]
    assert size_of(random_sam()) is None


def test_a_path_is_loaded_hashed_and_kept(official):
    segmenter = load_segmenter("sam-vit-base", official)
    assert segmenter.weights == {
        "role": "segmenter",
        "name": "sam_vit_t_000000.pth",
        "revision": "local",
        "sha256": hub.sha256(official),
        "licence": "unknown",
    }
    assert load_segmenter("sam-vit-base", str(official)) is segmenter


def test_weights_by_name_come_from_the_hub(official, monkeypatch):
    asked = []

    def fetch(weights, progress=None):
        asked.append((weights, progress))
        return hub.Found(official, official.parent, None, "c0ffee", hub.sha256(official))

    monkeypatch.setattr(hub, "fetch", fetch)
    tell = print
    segmenter = load_segmenter("sam-vit-huge", progress=tell)
    assert asked == [(hub.find("segmenter", "sam-vit-huge"), tell)]
    about = segmenter.weights
    assert (about["name"], about["revision"], about["licence"]) == ("sam-vit-huge", "c0ffee", "Apache-2.0")


def test_weights_of_another_size_than_the_name_says_are_refused(official, monkeypatch, tmp_path):
    path = tmp_path / "sam_vit_h.pth"
    path.write_bytes(b"as large as that file would be")
    with torch.device("meta"):
        huge = sam_model_registry["vit_h"]()
    monkeypatch.setattr(sam, "read_sam", lambda path: huge)
    with pytest.raises(WeightsError, match="sam-vit-huge, not of sam-vit-base") as error:
        load_segmenter("sam-vit-base", path)
    assert is_one_sentence(str(error.value))


def test_a_file_that_is_not_there():
    with pytest.raises(WeightsError) as error:
        load_segmenter("sam-vit-base", "nowhere/sam_vit_b.pth")
    assert is_one_sentence(str(error.value)) and "sam_vit_b.pth" in str(error.value)


def test_points_a_side_have_a_range(official):
    model = load_segmenter("sam-vit-base", official).model
    for points in (65, -1):
        with pytest.raises(SettingsError) as error:
            sam.SamSegmenter(model, "sam-vit-base", {}, points_per_side=points)
        assert is_one_sentence(str(error.value))
