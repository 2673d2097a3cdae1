"""The whole way on a photo and a clip, with the weights that ship: shape, fairness, repetition, evidence, files."""

import dataclasses
import hashlib
import json

import av
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from focusmae import comparison as pipeline
from focusmae import hub
from focusmae.arms import PAIRED
from focusmae.comparison import STEPS, Comparison, Progress, Settings, compare, compare_steps
from focusmae.errors import MediaError, SettingsError, WeightsError
from focusmae.masking import STRATEGIES, Grid, generator, heldout_tokens, sample_visible
from focusmae.media import open_media
from focusmae.models.load import Scorer, load_classifier
from focusmae.models.scorer import Scores
from focusmae.prepared import Cache, foreign_segments
from focusmae.segments.descriptors import token_segments
from tests.hub_server import HubServer
from tests.tiny import is_one_sentence

PHOTO, CLIP = Grid(1, 14, 14), Grid(8, 14, 14)


@pytest.fixture(scope="module")
def cache():
    """Segments and scores of the shared photo and clip are made once for this file."""
    return Cache()


@pytest.fixture(scope="module")
def photo(photo_file, cache) -> Comparison:
    return compare(photo_file, cache=cache)


@pytest.fixture(scope="module")
def clip(clip_file, cache) -> Comparison:
    return compare(
        clip_file, keep=0.1, strategies=("random", "tube", "select", "hide", "shuffled", "prior"), cache=cache
    )


@pytest.fixture(params=["photo", "clip"])
def result(request) -> Comparison:
    return request.getfixturevalue(request.param)


def pixels_seen(arm, grid: Grid, shape) -> np.ndarray:
    """Where an arm's tokens lie: bool (T, H, W), by plain arithmetic."""
    seen, (frames, height, width) = np.zeros(shape, bool), shape
    for token in arm.visible:
        t, place = divmod(int(token), grid.h * grid.w)
        y, x = divmod(place, grid.w)
        long, high, wide = frames // grid.t, height // grid.h, width // grid.w
        seen[long * t : long * (t + 1), high * y : high * (y + 1), wide * x : wide * (x + 1)] = True
    return seen


def same(a: Comparison, b: Comparison) -> None:
    """Equal choices, and equal pictures up to the rounding of another batch."""
    for one, other in zip(a.arms.values(), b.arms.values(), strict=True):
        same_arms(one, other)
    np.testing.assert_array_equal(a.heldout, b.heldout)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-5)


def same_arms(one, other) -> None:
    np.testing.assert_array_equal(one.visible, other.visible)
    np.testing.assert_allclose(one.picture, other.picture, atol=1e-4)
    np.testing.assert_allclose(one.pasted, other.pasted, atol=1e-4)
    np.testing.assert_allclose(one.token_error, other.token_error, atol=1e-4)
    assert [row["label"] for row in one.prediction[:1]] == [row["label"] for row in other.prediction[:1]]
    assert one.metrics == pytest.approx(other.metrics, rel=1e-3, abs=1e-4)


# What a result holds


def test_result_json_has_what_was_promised(result):
    summary = json.loads(json.dumps(result.summary(), allow_nan=False))
    kind, frames, fps = ("image", 1, 0) if result.grid.t == 1 else ("clip", 40, 20)
    width, height = (512, 512) if kind == "image" else (320, 240)
    promised = {"kind": kind, "width": width, "height": height, "frames": frames, "fps": fps}
    assert {key: summary["input"][key] for key in promised} == promised
    settings = dataclasses.asdict(result.settings)
    assert summary["settings"] == {key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()}
    assert [row["role"] for row in summary["weights"]] == ["autoencoder", "classifier", "scorer"]
    for row in summary["weights"]:
        assert set(row) == {"role", "name", "revision", "sha256", "licence"}
        content = hub.find(row["role"], row["name"]).path.read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
    assert summary["segments"] == {"source": "superpixels", "count": result.segments.count}
    assert 1 < result.segments.count <= 64
    assert list(summary["strategies"]) == list(result.settings.strategies)
    for name, arm in summary["strategies"].items():
        assert arm["tokens"] == result.grid.tokens and arm["visible"] == result.arms[name].visible.tolist()
        assert set(arm["metrics"]) == {*PAIRED, "psnr", "ssim"}
    assert summary["paired"] == {} and isinstance(summary["warnings"], list)
    assert list(summary["timings"]) == list(STEPS) and all(seconds >= 0 for seconds in summary["timings"].values())


def test_predictions_are_the_five_likeliest_of_the_classes(result):
    for prediction in (result.full, *(arm.prediction for arm in result.arms.values())):
        assert len(prediction) == min(5, len(result.classes))
        values = [row["probability"] for row in prediction]
        assert values == sorted(values, reverse=True) and 0 <= min(values) and sum(values) <= 1 + 1e-5
        labels = [row["label"] for row in prediction]
        assert len(set(labels)) == len(labels) and set(labels) <= set(result.classes)


def test_arrays_have_their_shapes_and_ranges(result):
    n, frames = result.grid.tokens, 1 if result.grid.t == 1 else 16
    assert result.grid == (PHOTO if frames == 1 else CLIP) and result.experts == (
        "object",
        "detail",
        "motion",
        "context",
    )
    assert result.pixels.shape == (frames, 224, 224, 3) and result.view.frames.shape[0] == frames
    assert result.scores.shape == result.chance.shape == result.token_segment.shape == (n,)
    assert result.gates.shape == (n, 4) and np.allclose(result.gates.sum(1), 1, atol=1e-5)
    assert np.isfinite(result.scores).all() and result.scores.std() > 0.05
    assert (result.gates[:, 2] == 0).all() == (frames == 1)  # the motion expert
    np.testing.assert_array_equal(result.token_segment, token_segments(result.segments, result.grid).numpy())
    for arm in result.arms.values():
        assert arm.picture.shape == arm.pasted.shape == result.pixels.shape and arm.token_error.shape == (n,)
        assert arm.picture.dtype == np.float32 and 0 <= arm.picture.min() and arm.picture.max() <= 1


def test_chance_is_that_of_the_budget(result):
    count = len(result.arms["select"].visible)
    assert result.chance.sum() == pytest.approx(count, rel=1e-3)
    assert 0 <= result.chance.min() and result.chance.max() <= 1
    order = np.argsort(result.scores)
    assert (np.diff(result.chance[order]) >= -1e-6).all()


def test_pasted_is_the_picture_under_the_visible_tokens(result):
    for arm in result.arms.values():
        seen = pixels_seen(arm, result.grid, result.pixels.shape[:3])
        np.testing.assert_array_equal(arm.pasted[seen], result.pixels[seen])
        np.testing.assert_array_equal(arm.pasted[~seen], arm.picture[~seen])
        assert np.abs(arm.picture[~seen] - result.pixels[~seen]).mean() > 1e-4


def test_errors_and_metrics_are_what_they_say(result):
    t, h, w = result.grid
    for arm in result.arms.values():
        squares = ((arm.picture - result.pixels) ** 2).reshape(t, -1, h, 16, w, 16, 3).mean((1, 3, 5, 6)).ravel()
        expected = squares.copy()
        expected[arm.visible] = 0
        np.testing.assert_allclose(arm.token_error, expected, atol=1e-6)
        metrics, whole = arm.metrics, ((arm.pasted - result.pixels) ** 2).mean()
        assert metrics["heldout_mse"] == pytest.approx(squares[result.heldout].mean(), rel=1e-3)
        assert metrics["picture_mse"] == pytest.approx(whole, rel=1e-3)
        if result.grid.t == 1:
            assert metrics["psnr"] == pytest.approx(-10 * np.log10(whole), abs=0.01)
        top = result.full[0]["label"]
        said = {row["label"]: row["probability"] for row in arm.prediction}
        if top in said:
            assert metrics["p_class"] == pytest.approx(said[top], abs=1e-4)
        assert metrics["agreement"] == (arm.prediction[0]["label"] == top)
        assert metrics["kl"] >= 0 and -1 <= metrics["ssim"] <= 1


def test_no_arm_sees_the_held_out_tokens(result):
    heldout = heldout_tokens(result.grid, 19 / 196, 0)
    np.testing.assert_array_equal(result.heldout, heldout)
    for arm in result.arms.values():
        assert not set(arm.visible.tolist()) & set(heldout.tolist())
        assert len(set(arm.visible.tolist())) == len(arm.visible) and (np.diff(arm.visible) > 0).all()


def test_random_and_select_are_what_masking_draws(result):
    heldout, keep = torch.from_numpy(result.heldout), result.settings.keep
    for name, scores in (
        ("random", torch.zeros(1, result.grid.tokens)),
        ("select", torch.from_numpy(result.scores)[None]),
    ):
        expected = sample_visible(scores, keep, generator(0), name, result.grid, heldout)
        np.testing.assert_array_equal(result.arms[name].visible, expected[0].numpy())


def test_tubes_stay_tubes(clip):
    columns, counts = np.unique(clip.arms["tube"].visible % 196, return_counts=True)
    assert (counts == 8).sum() == len(columns) - 1 == 19 and counts.sum() == 156


# Settings


@pytest.mark.parametrize(
    "keep, count", [(0.001, 1), (0.05, 9), (0.1, 19), (0.29, 56), (0.5, 98), (0.75, 147), (0.95, 186)]
)
def test_budget(photo_file, cache, keep, count):
    result = compare(photo_file, keep=keep, cache=cache)
    assert all(len(arm.visible) == count == max(1, int(196 * keep)) for arm in result.arms.values())
    assert len(result.heldout) == min(19, 196 - count)
    assert not set(result.heldout) & set(result.arms["random"].visible)


def test_everything_visible(photo_file, cache):
    result = compare(photo_file, keep=1.0, cache=cache)
    assert len(result.heldout) == 0 and any("held-out" in text for text in result.warnings)
    for arm in result.arms.values():
        assert arm.visible.tolist() == list(range(196)) and "heldout_mse" not in arm.metrics
        assert arm.metrics["agreement"] == 1 and arm.metrics["kl"] < 1e-4 and arm.metrics["picture_mse"] == 0
        assert arm.prediction[0]["probability"] == pytest.approx(result.full[0]["probability"], abs=1e-4)
    json.dumps(result.summary(), allow_nan=False)


def test_every_strategy_runs(photo_file, cache):
    result = compare(photo_file, keep=0.2, strategies=tuple(STRATEGIES), cache=cache)
    assert list(result.arms) == list(STRATEGIES)
    draws = {name: tuple(arm.visible) for name, arm in result.arms.items()}
    assert all(len(draw) == 39 for draw in draws.values())
    assert len(set(draws.values())) >= len(STRATEGIES) - 1  # on a photo a tube is a random draw
    assert draws["tube"] == draws["random"]
    for arm in result.arms.values():
        assert not set(arm.visible) & set(result.heldout) and np.isfinite(list(arm.metrics.values())).all()


def test_equal_seeds_repeat_and_others_do_not(photo_file, photo):
    same(compare(photo_file, cache=Cache()), photo)
    other = compare(photo_file, seed=1, cache=Cache())
    for name in photo.arms:
        assert other.arms[name].visible.tolist() != photo.arms[name].visible.tolist()
    assert other.heldout.tolist() != photo.heldout.tolist()


def test_an_arm_does_not_depend_on_its_company(clip_file, clip, cache):
    alone = compare(clip_file, keep=0.1, strategies=("hide",), cache=cache)
    same_arms(alone.arms["hide"], clip.arms["hide"])


def test_without_scores_focus_is_chance(photo_file, monkeypatch):
    """Scores of zero everywhere: select and random are the same in every field."""
    original = Scorer.__call__

    def undecided(self, *args):
        scores, gates = original(self, *args)
        return Scores(torch.zeros_like(scores), gates)

    monkeypatch.setattr(Scorer, "__call__", undecided)
    for seed in range(3):
        result = compare(photo_file, seed=seed, cache=Cache())
        same_arms(result.arms["random"], result.arms["select"])
    np.testing.assert_allclose(result.chance, 49 / 196, rtol=1e-4)


@pytest.mark.parametrize("form", ["text", "bytes", "array", "Pillow", "Media"])
def test_every_way_to_hand_over_a_photo(form, photo_file, astronaut, photo):
    source = {
        "text": lambda: str(photo_file),
        "bytes": photo_file.read_bytes,
        "array": lambda: astronaut,
        "Pillow": lambda: Image.fromarray(astronaut),
        "Media": lambda: open_media(photo_file),
    }[form]()
    same(compare(source), photo)


def test_strategies_in_any_order_share_the_noise(photo_file, photo, cache):
    result = compare(photo_file, strategies=["select", "random"], cache=cache)
    assert list(result.arms) == ["select", "random"]
    for name, arm in result.arms.items():
        np.testing.assert_array_equal(arm.visible, photo.arms[name].visible)


@pytest.mark.parametrize(
    "settings",
    [
        {"keep": 0},
        {"keep": -0.1},
        {"keep": 1.01},
        {"keep": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
        {"seeds": 0},
        {"seeds": 1000},
        {"strategies": ()},
        {"strategies": ("random", "random")},
        {"strategies": ("random", "best")},
        {"models": "largest"},
        {"segmenter": "sam-vit-gigantic"},
        {"clips": 0},
        {"clips": 11},
        {"crops": 2},
        {"kep": 0.5},
    ],
    ids=str,
)
def test_bad_settings_in_one_sentence(settings, photo_file, cache):
    with pytest.raises(SettingsError) as error:
        compare(photo_file, cache=cache, **settings)
    assert is_one_sentence(str(error.value))


def test_a_wrong_name_is_answered_with_the_right_ones(photo_file):
    for setting, names in (
        ("strategies", STRATEGIES),
        ("models", ("auto", "embedded")),
        ("segmenter", ["superpixels"]),
    ):
        with pytest.raises(SettingsError) as error:
            compare(photo_file, **{setting: ("nonsense",) if setting == "strategies" else "nonsense"})
        assert "nonsense" in str(error.value) and all(name in str(error.value) for name in names)


def test_bad_media_in_one_sentence(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo at all")
    for path in (tmp_path / "gone.png", tmp_path / "text.jpg", tmp_path):
        with pytest.raises(MediaError) as error:
            compare(path)
        assert is_one_sentence(str(error.value))


# Warnings


def test_warnings(tmp_path, astronaut):
    small = compare(np.ascontiguousarray(astronaut[::6, ::6]), text="a helmet", cache=Cache())
    assert any("86 x 86" in text for text in small.warnings) and any("text" in text for text in small.warnings)
    short = compare(np.stack([astronaut[n : n + 256, :256] for n in range(3)]), keep=0.1, cache=Cache())
    assert short.grid == CLIP and any("3 frames" in text for text in short.warnings)
    plain = compare(np.full((256, 256, 3), 90, np.uint8), cache=Cache())
    assert any("no separate regions" in text for text in plain.warnings)
    for result in (small, short, plain):
        assert all(is_one_sentence(text) for text in result.warnings)
        json.dumps(result.summary(), allow_nan=False)


# Cache, steps, cancelling


def test_what_was_segmented_once_is_not_segmented_again(photo_file, photo, clip_file, cache, monkeypatch):
    def segmented(*_):
        raise AssertionError("segmented again")

    monkeypatch.setattr(pipeline, "segment_steps", segmented)
    same(compare(photo_file, cache=cache), photo)
    again = compare(photo_file.read_bytes(), keep=0.5, seed=4, strategies=("select", "lattice"), cache=cache)
    np.testing.assert_array_equal(again.scores, photo.scores)
    compare(photo_file, cache=cache, models="embedded")  # the same weights as auto, so the same scores
    for changed in ({"crops": 3}, {"text": "a dog"}):
        with pytest.raises(AssertionError, match="segmented again"):
            compare(photo_file, cache=cache, **changed)


def test_steps_come_in_order(photo_file):
    kept, told = Cache(), []
    result = compare(photo_file, cache=kept, progress=lambda step, fraction: told.append((step, fraction)))
    assert [step for step, _ in told] == list(STEPS) and list(result.timings) == list(STEPS)
    fractions = [fraction for _, fraction in told]
    assert fractions == sorted(fractions) and fractions[0] == 0 and fractions[-1] < 1
    again = [step.step for step in compare_steps(photo_file, Settings(seed=3), kept) if isinstance(step, Progress)]
    assert again == ["reading", "masks", "reconstruction", "prediction"]
    many = [step for step in compare_steps(photo_file, Settings(seeds=4), kept) if isinstance(step, Progress)]
    assert [step.fraction for step in many[-4:]] == pytest.approx([0.8875, 0.925, 0.9625, 1.0])


def test_closing_the_steps_cancels(photo_file, monkeypatch):
    done = []
    original = pipeline.segment_steps
    monkeypatch.setattr(pipeline, "segment_steps", lambda *args: done.append(1) or original(*args))
    kept = Cache()
    steps = compare_steps(photo_file, Settings(), kept)
    while next(steps).step != "segments":
        pass
    steps.close()
    assert done == [] and list(steps) == []
    compare(photo_file, cache=kept)
    assert done == [1]


def test_official_weights_that_nobody_has_are_said_in_one_sentence(photo_file):
    with HubServer({}), pytest.raises(WeightsError) as error:
        compare(photo_file, models="official")
    assert is_one_sentence(str(error.value)) and "vit-mae-base" in str(error.value)


# Evidence


def test_evidence_over_seeds(photo_file, cache):
    result = compare(photo_file, keep=0.1, seed=5, seeds=3, cache=cache)
    assert set(result.paired) == set(PAIRED)
    singles = [compare(photo_file, keep=0.1, seed=seed, cache=cache) for seed in (5, 6, 7)]
    for metric, row in result.paired.items():
        assert set(row) == {"mean_difference", "low", "high", "seeds"} and row["seeds"] == 3
        differences = [s.arms["select"].metrics[metric] - s.arms["random"].metrics[metric] for s in singles]
        assert row["mean_difference"] == pytest.approx(np.mean(differences), rel=1e-3, abs=1e-5)
        assert min(differences) - 1e-5 <= row["low"] <= row["high"] <= max(differences) + 1e-5
    same(result, singles[0])
    assert result.timings["evidence"] > 0 and result.summary()["paired"] == result.paired
    json.dumps(result.summary(), allow_nan=False)


def test_one_strategy_has_nothing_to_be_compared_with(photo_file, cache):
    assert compare(photo_file, seeds=2, strategies=("select",), cache=cache).paired == {}


# Several views


def test_crops_average_the_predictions():
    coffee = skimage.data.coffee()
    kept = Cache()
    result = compare(coffee, crops=3, strategies=("random",), cache=kept)
    assert len(result.views) == 3 and result.summary()["views"] == result.views
    views, classifier = open_media(coffee).views(1, 3), load_classifier("embedded-image")
    assert len({view.box for view in views}) == 3 and result.view.box == views[0].box
    with torch.inference_mode():
        said = torch.cat([classifier.logits(view.pixels(224).to(classifier.head.weight.device)) for view in views])
    mean = said.softmax(-1).mean(0).cpu()
    assert result.full[0]["label"] == classifier.labels[int(mean.argmax())].replace("_", " ")
    assert [row["probability"] for row in result.full] == pytest.approx(mean.topk(5).values.tolist(), abs=1e-4)
    alone = compare(coffee, strategies=("random",), cache=kept)
    assert alone.view.box == views[1].box  # the centre, not what the cache holds of the left
    assert alone.full[0]["probability"] != pytest.approx(result.full[0]["probability"], abs=1e-5)


def test_clips_and_crops_of_a_clip(clip_file):
    result = compare(clip_file, keep=0.1, clips=2, crops=3, cache=Cache())
    assert len(result.views) == 6 and result.grid == CLIP
    for arm in result.arms.values():
        assert len(arm.visible) == 156 and arm.picture.shape == (16, 224, 224, 3)
    json.dumps(result.summary(), allow_nan=False)


# The shuffled control


def test_foreign_segments_are_never_the_inputs_own(astronaut):
    for picture, other in ((astronaut, "coffee"), (skimage.data.coffee(), "chelsea")):
        view = open_media(picture).view()
        found = foreign_segments(view)
        assert other in found.source and found.labels.shape[0] == 1 and found.count > 1
    clip = open_media(np.stack([astronaut[:256, n : n + 256] for n in range(16)])).view()
    found = foreign_segments(clip)
    assert found.labels.shape[0] == 16 and (found.labels == found.labels[0]).all()


# Files


def test_saved_photo(photo, tmp_path):
    written = photo.save(tmp_path / "deep" / "out")
    assert sorted(written) == sorted((tmp_path / "deep" / "out").iterdir())
    assert json.loads(written[0].read_text()) == json.loads(json.dumps(photo.summary()))
    panes = {"input", "segments", "importance", "chance", "experts"}
    panes |= {
        f"{arm}-{pane}" for arm in ("random", "select") for pane in ("mask", "reconstruction", "decoder", "error")
    }
    assert {path.name for path in written} == {"result.json", *(f"{pane}.png" for pane in panes)}
    pictures = {path.stem: np.asarray(Image.open(path)) for path in written[1:]}
    for name, picture in pictures.items():
        assert picture.shape == ((512, 512, 3) if name == "segments" else (224, 224, 3)), name
        assert picture.std() > 1, name
    shown = (photo.pixels[0] * 255).round().astype(np.uint8)
    np.testing.assert_array_equal(pictures["input"], shown)
    for name, arm in photo.arms.items():
        seen = pixels_seen(arm, PHOTO, (1, 224, 224))[0]
        np.testing.assert_array_equal(pictures[f"{name}-mask"][seen], shown[seen])
        assert len(np.unique(pictures[f"{name}-mask"][~seen], axis=0)) == 1
        np.testing.assert_array_equal(pictures[f"{name}-reconstruction"][seen], shown[seen])


def test_saved_clip(clip, tmp_path):
    written = clip.save(tmp_path)
    assert len(written) == 1 + 5 + 4 * len(clip.arms)
    assert {path.suffix for path in written[1:]} == {".mp4"}
    for name in ("input", "segments", "tube-mask", "select-error"):
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(frames) == 16 and frames[0].shape[2] == 3
        if name == "input":
            assert np.abs(np.stack(frames) - clip.pixels * 255).mean() < 6


def test_a_folder_that_cannot_be_made(photo, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(SettingsError) as error:
        photo.save(tmp_path / "taken")
    assert is_one_sentence(str(error.value)) and "taken" in str(error.value)
