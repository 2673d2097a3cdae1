import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPTokenizer
from transformers.models.groupvit.modeling_groupvit import get_grouping_from_attentions

from focusmae import hub
from focusmae.errors import FocusMAEError
from focusmae.segments import groupvit, groupvit_load
from focusmae.segments.groupvit import ANYTHING, PixelForm
from focusmae.segments.groupvit_load import load_groupvit
from focusmae.segments.phrases import MOST_PHRASES, prompt
from tests.segments.groupvit_tiny import write_checkpoint
from tests.tiny import is_one_sentence

TEXT = "a dog; the grass, boat"  # with these random weights: dog and boat are found, grass is not


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """A checkpoint's folder and transformers' network that wrote it."""
    folder = tmp_path_factory.mktemp("groupvit") / "tiny"
    return folder, write_checkpoint(folder)


@pytest.fixture
def segmenter(peer):
    groupvit_load._resident.clear()
    return load_groupvit(peer[0])


@pytest.fixture
def view(astronaut):
    return SimpleNamespace(frames=astronaut[None])


@pytest.fixture(scope="module")
def clip(astronaut):
    """A pan of 16 frames."""
    return SimpleNamespace(frames=np.stack([astronaut[::4, 3 * t : 3 * t + 384 : 3] for t in range(16)]))


def counted(module):
    """A list that grows with every forward pass of ``module``."""
    calls = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@torch.inference_mode()
def of_transformers(peer, frames, phrases):
    """transformers' own output for the same pictures and prompts."""
    folder, network = peer
    side = network.config.vision_config.image_size
    processor = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    pixels = processor(images=[Image.fromarray(frame) for frame in frames], return_tensors="pt")["pixel_values"]
    words = CLIPTokenizer.from_pretrained(folder)([prompt(phrase) for phrase in phrases], padding=True)
    words = {key: torch.tensor(value) for key, value in words.items()}
    return pixels, network(pixel_values=pixels, output_segmentation=True, **words)


@pytest.mark.parametrize("side", [48, 224, 226, 301, 512])
def test_pictures_are_prepared_as_transformers_prepares_them(peer, astronaut, side):
    photo = np.ascontiguousarray(astronaut[:side, :side])
    expected, _ = of_transformers(peer, [photo], ["dog"])
    assert torch.equal(PixelForm(48)(photo[None]), expected)


def test_segmentation_logits_are_those_of_transformers(peer, segmenter, astronaut):
    frames = np.stack([astronaut[:300, :300], astronaut[200:500, 100:400, ::-1]])
    phrases = ("dog", "green grass", "z")
    pixels, expected = of_transformers(peer, frames, phrases)
    grouping, embeddings = segmenter.forward(frames)
    fine = torch.nn.functional.interpolate(grouping, pixels.shape[-2:], mode="bilinear", align_corners=False)
    scale = peer[1].logit_scale.detach().exp()
    logits = torch.einsum("tgp,tghw->tphw", embeddings @ segmenter.embed(phrases).T, fine) * scale**2
    wanted = expected.segmentation_logits
    assert (logits - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert torch.allclose(segmenter.embed(phrases), expected.text_embeds, atol=1e-5)
    assert grouping.shape == (2, 4, 6, 6) and torch.allclose(grouping.sum(1), torch.ones(2, 6, 6), atol=1e-5)


@pytest.mark.parametrize("size", [256, 300])
def test_segments_are_the_hard_groups_of_transformers(peer, segmenter, astronaut, size):
    photo = np.ascontiguousarray(astronaut[:size, 100 : 100 + size])
    _, expected = of_transformers(peer, [photo], ["dog"])
    winner = get_grouping_from_attentions(expected.vision_model_output.attentions, (size, size))[0].argmax(0)
    segments = segmenter(SimpleNamespace(frames=photo[None]))
    assert segments.count == len(winner.unique()) > 1 and segments.labels.min() == 1
    pairs = set(zip(winner.ravel().tolist(), segments.labels.ravel().tolist(), strict=True))
    assert len(pairs) == segments.count
    assert segments.source == "groupvit" and segments.affinity is None


def test_affinity_is_the_chance_against_words_that_fit_everything(segmenter, view):
    groups = segmenter.groups(view)
    phrases = ("dog", "sky", "object")
    affinity, soft = segmenter.affinity(groups, phrases)
    scale = float(segmenter.network.logit_scale.detach().exp())
    for p, phrase in enumerate(phrases):
        rivals = [word for word in ANYTHING if word != phrase]
        for g, row in enumerate(groups.embeddings[0]):
            cosines = [float(row @ segmenter.embed((word,))[0]) for word in (phrase, *rivals)]
            r = min(1 / (1 + np.exp(scale * (other - cosines[0]))) for other in cosines[1:])
            assert float(affinity[0, g, p]) == pytest.approx(max(0, 2 * r - 1), abs=1e-4)
    mixed = (groups.grouping[0] * affinity[0, :, 1, None, None]).sum(0)
    assert np.allclose(soft[1, 0], mixed.numpy(), atol=1e-5) and soft.shape == (3, 1, 6, 6)


def test_a_text_gives_a_table_labels_and_the_best_affinity(segmenter, view):
    plain, read = segmenter(view), segmenter(view, TEXT)
    assert np.array_equal(plain.labels, read.labels) and read.match.phrases == ("a dog", "the grass", "boat")
    assert read.match.affinity.shape == (read.count, 3) and read.affinity.dtype == np.float32
    assert np.array_equal(read.affinity, read.match.affinity.max(1))
    assert read.match.found.tolist() == [True, False, True]
    assert np.array_equal(segmenter.match(view, plain, TEXT).match.affinity, read.match.affinity)
    # A segment of a photo is one group: its row is that group's.
    affinity, _ = segmenter.affinity(segmenter.groups(view), read.match.phrases)
    rows = {tuple(row) for row in affinity[0].numpy().round(4).tolist()}
    assert {tuple(row) for row in read.match.affinity.round(4).tolist()} <= rows
    best = int(read.affinity.argmax())
    assert read.match.labels[best] == "boat" and set(read.match.labels) <= {"a dog", "boat", None}
    assert [note for note in read.match.notes if "grass" in note] and all(map(is_one_sentence, read.match.notes))


@pytest.mark.parametrize("text", [None, "", "  ", " ;, \n.", "...!"])
def test_a_text_without_words_is_no_text(segmenter, view, text):
    plain = segmenter(view, text)
    assert plain.affinity is None and not hasattr(plain, "match")
    assert segmenter.match(view, plain, text) is plain


LISTED = ", ".join(f"thing{n}" for n in range(500))


@pytest.mark.parametrize("text", ["word " * 500, LISTED, "x" * 5000, "狗；草地", "\ud800 a"])
def test_any_text_behaves(segmenter, view, text):
    read = segmenter(view, text)
    assert 1 <= len(read.match.phrases) <= MOST_PHRASES
    assert np.isfinite(read.affinity).all() and read.match.soft.min() >= 0 and read.match.soft.max() <= 1
    assert all(map(is_one_sentence, read.match.notes))


def test_another_text_computes_neither_segments_nor_features_again(segmenter, view):
    looks, reads = counted(segmenter.network.vision_model), counted(segmenter.network.text_model)
    first = segmenter(view)
    segmenter(view, "a dog")
    assert (len(looks), len(reads)) == (1, 2)  # the phrase, and the words that fit everything
    again = segmenter(SimpleNamespace(frames=view.frames.copy()), "the dog; A DOG")
    assert (len(looks), len(reads)) == (1, 2) and np.array_equal(first.labels, again.labels)
    segmenter(view, "a dog; a cat")
    assert (len(looks), len(reads)) == (1, 3)
    segmenter.match(view, first, "a cat")
    assert (len(looks), len(reads)) == (1, 3)


def test_what_is_kept_is_bounded(segmenter, astronaut, monkeypatch):
    for n in range(groupvit.KEPT_VIEWS + 3):
        segmenter(SimpleNamespace(frames=astronaut[None, n : n + 48, :48]))
    assert len(segmenter._views) == groupvit.KEPT_VIEWS
    for n in range(0, groupvit.KEPT_PHRASES + 20, 10):
        segmenter.embed(tuple(f"thing {n + m}" for m in range(10)))
    assert len(segmenter._phrases) == groupvit.KEPT_PHRASES


def test_several_threads_get_the_same(segmenter, view):
    results = []
    threads = [threading.Thread(target=lambda: results.append(segmenter(view, TEXT).affinity)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(np.array_equal(row, results[0]) for row in results)


def test_ids_of_a_clip_stay_with_their_groups(segmenter, clip):
    still = SimpleNamespace(frames=clip.frames[:1].repeat(16, 0))
    segments = segmenter(still, TEXT)
    assert (segments.labels == segments.labels[0]).all() and segments.labels.shape == (16, 128, 128)
    alone = segmenter(SimpleNamespace(frames=clip.frames[:1]), TEXT)
    assert segments.count == alone.count
    assert np.allclose(segments.match.affinity, alone.match.affinity, atol=1e-4)
    moving = segmenter(clip, TEXT)
    assert moving.labels.min() == 1 and sorted(np.unique(moving.labels)) == list(range(1, moving.count + 1))
    assert moving.match.soft.shape == (3, 16, 6, 6) and moving.match.affinity.shape == (moving.count, 3)


@pytest.mark.parametrize("value", [0, 128])
def test_a_flat_picture_behaves(segmenter, value):
    segments = segmenter(SimpleNamespace(frames=np.full((1, 224, 224, 3), value, dtype=np.uint8)), "a dog")
    assert segments.count >= 1 and segments.labels.min() == 1 and np.isfinite(segments.quality).all()


def test_the_folder_the_file_and_the_registry_give_the_same(peer, segmenter, view):
    from focusmae.segments.base import load_segmenter

    assert load_groupvit(peer[0] / "model.safetensors") is segmenter
    assert load_segmenter("groupvit", str(peer[0])) is segmenter
    assert segmenter.weights["role"] == "segmenter" and len(segmenter.weights["sha256"]) == 64
    read = load_groupvit(peer[0]).match(view, segmenter(view), TEXT)
    assert read.match.phrases == ("a dog", "the grass", "boat")


def test_the_name_goes_through_the_hub(peer, monkeypatch, view):
    folder, asked = peer[0], []

    def fetch(weights, progress=None):
        asked.append(weights.name)
        progress(1, 2)
        file = folder / "model.safetensors"
        return SimpleNamespace(path=file, folder=folder, config=None, revision="abc", sha256=hub.sha256(file))

    monkeypatch.setattr(hub, "fetch", fetch)
    groupvit_load._resident.clear()
    steps = []
    first = load_groupvit(progress=lambda done, total: steps.append((done, total)))
    assert load_groupvit(progress=lambda *_: None) is first and asked == ["groupvit"] * 2 and steps == [(1, 2)]
    assert first.weights["revision"] == "abc" and "Nvidia" in first.weights["licence"]
    assert first(view).count > 1
    groupvit_load._resident.clear()


def test_pictures_follow_the_checkpoint(peer, tmp_path, astronaut):
    write_checkpoint(tmp_path / "other", side=32)
    form = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "resample": 2}
    (tmp_path / "other" / "preprocessor_config.json").write_text(json.dumps(form))
    own = load_groupvit(tmp_path / "other").pixels
    assert own == PixelForm(32, (0.5,) * 3, (0.25,) * 3, bicubic=False)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    expected = CLIPImageProcessor(**form, **size)(images=Image.fromarray(astronaut), return_tensors="pt")
    assert torch.equal(own(astronaut[None]), expected["pixel_values"])


def spoil(folder, how):
    """Damage a copy of the checkpoint in one way."""
    weights, config = folder / "model.safetensors", folder / "config.json"
    state, settings = load_file(weights), json.loads(config.read_text())
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "no tokenizer":
        (folder / "vocab.json").unlink()
    elif how in ("model.safetensors", "config.json"):
        (folder / how).unlink()
    elif how == "config":
        config.write_text(json.dumps({**settings, "vision_config": 7}))
    elif how == "kind":
        config.write_text(json.dumps({**settings, "model_type": "clip"}))
    elif how == "width":
        config.write_text(json.dumps({**settings, "projection_dim": 8}))
    elif how == "pickle":
        weights.rename(folder / "pytorch_model.bin")
    elif how == "lacks":
        save_file({key: value for key, value in state.items() if key != "logit_scale"}, weights)
    elif how == "too many":
        save_file({**state, "head.weight": torch.zeros(2)}, weights)
    elif how == "words":
        words = json.loads((folder / "vocab.json").read_text())
        (folder / "vocab.json").write_text(json.dumps({**words, "one too many": len(words)}))
    return weights


@pytest.mark.parametrize(
    "how, says",
    [
        ("cut", "damaged"), ("no tokenizer", "tokenizer"), ("model.safetensors", "model.safetensors"),
        ("config.json", "config.json"), ("config", "damaged"), ("kind", "clip"), ("width", "projection"),
        ("pickle", "pickle"), ("lacks", "logit_scale"), ("too many", "head.weight"), ("words", "tokenizer"),
    ],
)  # fmt: skip
def test_a_broken_checkpoint_is_refused_in_one_sentence(tmp_path, segmenter, how, says):
    folder = tmp_path / "broken"
    write_checkpoint(folder)
    spoil(folder, how)
    kept = dict(groupvit_load._resident)
    with pytest.raises(FocusMAEError, match=says) as error:
        load_groupvit(folder)
    assert is_one_sentence(str(error.value)) and str(tmp_path) not in str(error.value)
    assert groupvit_load._resident == kept  # the one in use stays in use


def test_a_file_of_an_older_transformers_loads(tmp_path, view, segmenter):
    write_checkpoint(tmp_path / "old")
    weights = tmp_path / "old" / "model.safetensors"
    state = load_file(weights)
    state["text_model.embeddings.position_ids"] = torch.arange(32)[None]
    save_file(state, weights)
    expected = segmenter(view, TEXT)
    assert np.array_equal(load_groupvit(tmp_path / "old")(view, TEXT).affinity, expected.affinity)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FocusMAEError, match="nowhere") as error:
        load_groupvit(tmp_path / "nowhere")
    assert is_one_sentence(str(error.value))
