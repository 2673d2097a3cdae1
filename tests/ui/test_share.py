"""Copied code: what it says, and that it says the settings."""

import json
import shlex

import pytest

from focusmae.__main__ import main
from focusmae.settings import Settings
from focusmae.ui.share import as_command, as_python

MANY = Settings(
    keep=0.1, seed=4, strategies=("tube", "prior"), segmenter="superpixels", crops=3, start=0.5, seconds=1.5,
    focus=((3, 2.5), (5, -1.0)),
)  # fmt: skip


@pytest.mark.parametrize("settings", [Settings(), MANY])
@pytest.mark.parametrize("source", ["golf_ball.mp4", "/uploads/0123/it's mine.mp4"])
def test_python_asks_for_these_settings(settings, source, monkeypatch):
    asked = {}

    class Nothing:
        def save(self, folder):
            asked["folder"] = folder

    def compare(path, **given):
        asked.update(path=path, settings=Settings(**given))
        return Nothing()

    monkeypatch.setattr("focusmae.comparison.compare", compare)
    exec(as_python(source, "it's mine.mp4" if "/" in source else "", settings), {})
    path = "it's mine.mp4" if "/" in source else "assets/examples/golf_ball.mp4"
    assert asked == {"path": path, "settings": settings, "folder": "out/"}


@pytest.mark.parametrize("settings", [Settings(), MANY])
def test_the_command_asks_for_these_settings(settings, tmp_path, monkeypatch, capsys):
    command = as_command("parachute.jpg", "", settings)
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "focusmae", "compare"]
    assert main([*words[3:-1], str(tmp_path)]) == 0
    capsys.readouterr()
    written = json.loads((tmp_path / "result.json").read_text())["settings"]
    assert written == json.loads(json.dumps(settings.__dict__))


def test_a_bundled_photograph_is_written_to_a_file_first():
    assert "skimage.data.chelsea()" in as_python("chelsea", "", Settings())
    first, rest = as_command("chelsea", "", Settings()).split(" && ")
    assert "chelsea.png" in first and "compare chelsea.png" in rest
