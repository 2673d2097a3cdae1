"""What the viewer is sent: pictures without loss, segments with their numbers, and which arm is better."""

import base64
import dataclasses
import io
import json
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from PIL import Image

from focusmae.comparison import compare
from focusmae.ui import viewer
from focusmae.ui.sprites import pack_labels, sprite


@pytest.fixture(scope="module")
def comparison():
    return compare(skimage.data.chelsea()[:240, 100:340], models="embedded")


def unpacked(labels, frames):
    kind = "u1" if labels["bytes"] == 1 else "<u2"
    values = np.frombuffer(zlib.decompress(base64.b64decode(labels["data"])), kind)
    return values.reshape(frames, labels["side"], labels["side"])


def opened(url):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))))


def test_photo_sprites_lose_nothing():
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    sheet = opened(sprite(frames, True))
    assert sheet.shape == (32, 32, 3)
    for i, (y, x) in enumerate([(0, 0), (0, 16), (16, 0)]):
        assert np.array_equal(sheet[y : y + 16, x : x + 16], frames[i])


@pytest.mark.parametrize("most", [255, 700])
def test_labels_come_out_as_they_went_in(most):
    labels = np.random.default_rng(0).integers(0, most + 1, (2, 24, 24), dtype=np.int32)
    labels[0, 0, 0] = most
    sent = pack_labels(labels, 24)
    assert sent["bytes"] == (1 if most < 256 else 2) and np.array_equal(unpacked(sent, 2), labels)
    halved = unpacked(pack_labels(np.kron(labels, np.ones((1, 2, 2), np.int32)), 24), 2)
    assert np.array_equal(halved, labels)


def test_segments_come_with_their_own_means(comparison):
    message = json.loads(json.dumps(viewer.result("run", comparison, 0.5)))
    assert len(message["segments"]) == message["segment_count"] == comparison.segments.count > 3
    assert np.array_equal(unpacked(message["labels"], 1), comparison.segments.labels)
    assert message["segment_source"] == comparison.segments.source and message["segment_seconds"] > 0
    side = comparison.segments.labels.shape[1]
    place = np.arange(side) * 14 // side
    token = place[:, None] * 14 + place
    per_token = np.bincount(token.ravel(), minlength=196)
    for row in message["segments"]:
        inside = token[comparison.segments.labels[0] == row["id"]]
        weight = np.bincount(inside, minlength=196) / per_token
        for key, values in (("score", comparison.scores), ("chance", comparison.chance)):
            assert row[key] == pytest.approx((weight @ values) / weight.sum(), abs=1e-3)
        assert row["area"] == pytest.approx(weight.sum() / 196, abs=1e-4)


def test_a_second_draw_sends_the_same_segments(comparison):
    other = dataclasses.replace(comparison, timings={})
    first, second = viewer.result("a", comparison, 0), viewer.result("b", other, 0)
    assert first["input"] is second["input"] and first["labels"] is second["labels"]
    assert second["segment_seconds"] == first["segment_seconds"]  # they were found once, in that time


def test_the_message_says_what_the_run_was_asked_for(comparison):
    plain = viewer.result("run", comparison, 0)
    assert plain["focus"] == [] and plain["clickable"] is False
    assert all(arm["normalised"] is False and arm["picture_true"] is None for arm in plain["arms"])
    settings = dataclasses.replace(comparison.settings, focus=((2, 3.0), (1, -3.0)))
    asked = dataclasses.replace(comparison, settings=settings)
    asked.clickable = True
    asked.arms = {name: dataclasses.replace(arm) for name, arm in comparison.arms.items()}
    arm = asked.arms["select"]
    arm.normalised, arm.picture_true = True, np.full_like(arm.picture, 0.25)
    message = json.loads(json.dumps(viewer.result("run", asked, 0)))
    assert message["focus"] == [[2, 3.0], [1, -3.0]] and message["clickable"] is True
    true = {arm["name"]: arm["picture_true"] for arm in message["arms"]}
    assert true["random"] is None and (opened(true["select"]) == 64).all()


def test_the_better_arm_is_named_whichever_it_is():
    def arm(**metrics):
        return SimpleNamespace(metrics=metrics)

    found = SimpleNamespace(
        arms={
            "random": arm(p_class=0.5, agreement=1.0, heldout_mse=0.02, picture_mse=0.01),
            "select": arm(p_class=0.4, agreement=1.0, heldout_mse=0.01, picture_mse=0.02),
        }
    )
    assert {row["key"]: row["better"] for row in viewer._verdict(found)} == {
        "p_class": 0, "agreement": None, "heldout_mse": 1, "picture_mse": 0,
    }  # fmt: skip
