"""The page without a browser: its words, its messages, its public surface, and the API through gradio_client."""

import base64
import io
import json
import string
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from gradio_client import Client, handle_file
from PIL import Image

from focusmae.errors import MediaError
from focusmae.ui import picker, run, viewer
from focusmae.ui.page import build, launch_options, queue
from focusmae.ui.text import CHINESE, ENGLISH

FACE = np.ascontiguousarray(skimage.data.chelsea()[:240, 100:340])
SETTINGS = {"keep": 25, "seed": 0, "left": "random", "right": "select", "models": "auto", "segmenter": "auto"}


@pytest.fixture(scope="module")
def client():
    page = queue(build())
    _, address, _ = page.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield Client(address, verbose=False)
    page.close()


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(FACE).save(path)
    return path


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_say_the_same():
    assert ENGLISH.keys() == CHINESE.keys()
    for key in ENGLISH:
        assert fields(ENGLISH[key]) == fields(CHINESE[key]), key


def test_the_public_surface_is_these_three_endpoints():
    surface = {
        name: [parameter["parameter_name"] for parameter in endpoint["parameters"]]
        for name, endpoint in build().get_api_info()["named_endpoints"].items()
    }
    assert surface == {
        "/compare": [
            "file", "keep", "seed", "seeds", "strategies", "models", "segmenter", "text", "clips", "crops",
        ],
        "/segments": ["file", "segmenter"],
        "/models": [],
    }  # fmt: skip


def test_launch_keeps_nothing_and_asks_nobody():
    options = launch_options()
    assert options["run_history"] is False and options["enable_monitoring"] is False and options["ssr_mode"] is False
    assert options["max_file_size"] == viewer.LIMITS.upload_bytes
    assert not options["theme"]._stylesheets  # no font of another host
    for text in (options["head"], viewer.script()):
        assert "http://" not in text and "https://" not in text


def test_photo_sprites_lose_nothing():
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(viewer.sprite(frames, True).partition(",")[2]))))
    assert sheet.shape == (32, 32, 3)
    for i, (y, x) in enumerate([(0, 0), (0, 16), (16, 0)]):
        assert np.array_equal(sheet[y : y + 16, x : x + 16], frames[i])


def test_outlines_stand_where_segments_meet():
    labels = np.ones((2, 64, 64), np.int32)
    labels[:, :, 32:] = 2
    alpha = viewer.overlay(labels, 64)[..., 3]
    assert np.flatnonzero(alpha[0, 10]).tolist() == [30, 31, 32, 33]
    assert not viewer.overlay(np.ones((1, 64, 64), np.int32), 32).any()


def test_a_run_tells_its_steps_and_ends_with_a_result():
    messages = list(run.run("chelsea", **SETTINGS))
    assert [m["kind"] for m in messages] == ["progress"] * (len(messages) - 1) + ["result"]
    assert {"reading", "masks", "reconstruction", "prediction"} <= {m["step"] for m in messages[:-1]}
    last = json.loads(json.dumps(messages[-1]))
    n = np.prod(last["grid"])
    assert n == 196 and len(last["scores"]) == len(last["chance"]) == len(last["token_segment"]) == n
    assert [arm["name"] for arm in last["arms"]] == ["random", "select"]
    for arm in last["arms"]:
        assert len(arm["visible"]) == 49 and not np.asarray(arm["error"])[arm["visible"]].any()
    assert sum(last["chance"]) == pytest.approx(49, abs=0.1)
    assert {row["key"] for row in last["verdict"]} == {"p_class", "agreement", "heldout_mse", "picture_mse"}


def test_the_better_arm_is_named_whichever_it_is():
    class Arm:
        def __init__(self, **metrics):
            self.metrics = metrics

    class Found:
        arms = {
            "random": Arm(p_class=0.5, agreement=1.0, heldout_mse=0.02, picture_mse=0.01),
            "select": Arm(p_class=0.4, agreement=1.0, heldout_mse=0.01, picture_mse=0.02),
        }

    assert {row["key"]: row["better"] for row in viewer._verdict(Found)} == {
        "p_class": 0, "agreement": None, "heldout_mse": 1, "picture_mse": 0,
    }  # fmt: skip


def test_known_errors_are_shown_and_unknown_ones_are_not(monkeypatch):
    with pytest.warns(UserWarning, match="only once"):
        *_, told = run.run("chelsea", **{**SETTINGS, "right": "random"})
    assert told["kind"] == "error" and told["text"].endswith(".")

    def broken(*_):
        raise RuntimeError("secret")
        yield

    monkeypatch.setattr("focusmae.comparison.compare_steps", broken)
    *_, told = run.run("chelsea", **SETTINGS)
    assert told == {"kind": "error", "text": None}


def test_only_uploads_and_examples_are_opened(tmp_path):
    outside = tmp_path / "cat.png"
    outside.write_bytes(b"x")
    for path in (str(outside), "/etc/passwd", "../../etc/passwd"):
        with pytest.raises(MediaError, match="no uploaded file"):
            picker.open_source(path)
    assert sum(key in picker.PHOTOS for key in picker.example_keys()) >= 4
    assert picker.FIRST in picker.example_keys() and picker.open_source(picker.FIRST).is_file()
    assert sum(key.endswith(".mp4") for key in picker.example_keys()) >= 2


def test_api_compares_a_photo(client, photo):
    summary, pictures = client.predict(file=handle_file(photo), keep=0.5, seed=3, api_name="/compare")
    assert summary["input"]["kind"] == "image" and summary["settings"]["seed"] == 3
    assert {name: len(arm["visible"]) for name, arm in summary["strategies"].items()} == {"random": 98, "select": 98}
    masks = [path for path in pictures if path.endswith("random-mask.png")]
    assert len(masks) == 1 and Image.open(masks[0]).size == (224, 224)


def test_api_compares_a_clip(client):
    clip = next(picker.SHIPPED.glob("*.mp4"))
    summary, pictures = client.predict(file=handle_file(clip), strategies="tube, select", keep=0.1, api_name="/compare")
    assert summary["input"]["kind"] == "clip" and list(summary["strategies"]) == ["tube", "select"]
    assert all(path.endswith(".mp4") for path in pictures)


def test_api_segments_and_models(client, photo):
    found, overlay = client.predict(file=handle_file(photo), api_name="/segments")
    assert found["count"] == len(found["segments"]) > 1
    assert sum(row["area"] for row in found["segments"]) <= 1.001
    assert Image.open(overlay).width >= 224
    known = client.predict(api_name="/models")
    assert {"random", "select", "hide"} <= known["strategies"].keys() and "auto" in known["models"]


def test_api_answers_a_bad_file_with_one_sentence(client, tmp_path):
    bad = tmp_path / "notes.jpg"
    bad.write_text("this is no picture")
    for endpoint in ("/compare", "/segments"):
        with pytest.raises(Exception) as caught:
            client.predict(file=handle_file(bad), api_name=endpoint)
        text = str(caught.value)
        assert "\n" not in text and text.endswith(".") and str(tmp_path) not in text and "Traceback" not in text
    with pytest.raises(Exception, match="strategy"):
        client.predict(file=handle_file(bad), strategies="luck", api_name="/compare")


def test_closing_a_run_stops_the_work(monkeypatch):
    from focusmae.comparison import Progress

    ended = []

    def endless(*_):
        try:
            while True:
                yield Progress("segments", 0.1)
        finally:
            ended.append(True)

    monkeypatch.setattr("focusmae.comparison.compare_steps", endless)
    stream = run.run("chelsea", **SETTINGS)
    assert [next(stream)["step"] for _ in range(3)] == ["loading", "segments", "segments"]
    stream.close()
    assert ended


def test_the_page_does_not_wait_for_torch():
    import subprocess
    import sys

    code = "import sys, app; assert not {'torch', 'timm', 'skimage.segmentation'} & set(sys.modules), 'loaded early'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
