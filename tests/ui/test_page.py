"""The page without a browser: its words, its messages, its public surface, and the API through gradio_client."""

import re
import string
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from gradio_client import Client, handle_file
from PIL import Image

from focusmae.errors import MediaError
from focusmae.ui import api, controls, header, picker, viewer
from focusmae.ui.page import build, launch_options, queue
from focusmae.ui.text import CHINESE, ENGLISH

FACE = np.ascontiguousarray(skimage.data.chelsea()[:240, 100:340])


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
            "autoencoder", "classifier", "focus",
        ],
        "/segments": ["file", "segmenter", "text"],
        "/models": [],
    }  # fmt: skip


def test_launch_keeps_nothing_and_asks_nobody():
    options = launch_options()
    assert options["run_history"] is False and options["enable_monitoring"] is False and options["ssr_mode"] is False
    assert options["max_file_size"] == viewer.LIMITS.upload_bytes
    assert not options["theme"]._stylesheets  # no font of another host
    for text in (options["head"], viewer.script(), viewer.script(controls.SCRIPTS), viewer.script(("header.js",))):
        assert "http://" not in text and "https://" not in text


def test_every_word_that_the_scripts_say_exists():
    said = set()
    for path in header.README.parent.glob("focusmae/ui/*.js"):
        said |= set(re.findall(r'\bsay\("(\w+)"[,)]', path.read_text("utf-8")))
    assert said and said <= ENGLISH.keys()


def test_tools_for_language_models_are_offered_where_they_can_be(monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(api, "find_spec", lambda name, there=there: object() if there and name == "mcp" else None)
        assert launch_options()["mcp_server"] is there


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
    ours = {row["name"]: row for row in known["weights"]["autoencoder"]}["embedded"]
    assert ours["here"] and ours["licence"] == "Apache-2.0" and not ours["noncommercial"]


def test_api_snippets_run_as_they_stand(client, monkeypatch):
    """What the page writes as the example of each parameter is accepted by the endpoint."""
    monkeypatch.chdir(header.README.parent)
    for name, endpoint in client.view_api(return_format="dict", print_info=False)["named_endpoints"].items():
        given = {row["parameter_name"]: row["example_input"] for row in endpoint["parameters"]}
        if "file" in given:
            given["file"] = handle_file(given["file"]["path"])
        assert client.predict(**given, api_name=name)


def test_api_takes_names_and_no_paths(client, photo):
    summary, _ = client.predict(file=handle_file(photo), autoencoder="embedded", focus="1:4", api_name="/compare")
    assert summary["settings"]["focus"] == [[1, 4.0]]
    for wrong in ({"autoencoder": str(photo)}, {"classifier": "../x.safetensors"}, {"focus": "1=2"}):
        with pytest.raises(Exception) as caught:
            client.predict(file=handle_file(photo), **wrong, api_name="/compare")
        assert str(caught.value).endswith(".") and "Traceback" not in str(caught.value)


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


def test_the_page_does_not_wait_for_torch():
    import subprocess
    import sys

    code = "import sys, app; assert not {'torch', 'timm', 'skimage.segmentation'} & set(sys.modules), 'loaded early'"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
