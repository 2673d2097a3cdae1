"""What people read: tables, figures, panels, and the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from focusmae.__main__ import main
from focusmae.evaluation.plots import write_plots
from focusmae.evaluation.tables import number, span, table, to_markdown
from focusmae.media import write_png
from tests.tiny import is_one_sentence


def test_the_tables_show_losses_as_readily_as_wins(run):
    report, folder = run
    text = (folder / "report.md").read_text()
    assert text == to_markdown(report)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in text.splitlines() if line.startswith("| ")}
    for arm in report["arms"].values():
        assert arm["title"] in rows or arm["title"] == "Tube"
    heading = text.index("### 10% kept: prediction")
    best, worst = (text.index(f"| {title} |", heading) for title in ("FocusMAE", "Inverse"))
    assert "(+" in text[best:].splitlines()[0] and "(−" in text[worst:].splitlines()[0]
    for words in ("p (Holm)", "All tokens", "gap closed", "judge: top-1", "hidden error ÷ linear", "Milliseconds"):
        assert words in text
    assert "nan" not in text.lower().replace("n and", "") and "None" not in text


def test_numbers():
    assert number(0.1234, "top1") == "12.3" and number(0.0123, "heldout_mse", True) == "+12.300"
    assert number(-0.5, "kl") == "−0.500" and number(-1e-9, "top1", True) == "+0.0" and number(None, "kl") == "–"
    assert span(None, None, "kl") == "" and span(-0.1, 0.2, "top1", True) == " [−10.0, +20.0]"
    assert table(["a"], []) == ""


def test_the_figures(run, tmp_path):
    report, folder = run
    for name in ("curves.png", "differences.png"):
        with Image.open(folder / name) as image:
            colours = image.convert("RGB").getcolors(2**20)
            assert image.width > 600 and {colour for _, colour in colours} >= {(255, 255, 255), (217, 112, 10)}
    few = {**report, "results": [line for line in report["results"] if line["keep"] in (0.1, 1.0)], "paired": []}
    assert write_plots(few, tmp_path) == []  # one keep ratio is no curve


def test_the_panels(run):
    for name in ("best.jpg", "worst.jpg"):
        with Image.open(run[1] / name) as image:
            assert image.size == (6 * 174 + 6, 20 + 9 * 194)
    best, worst = (np.asarray(Image.open(run[1] / f"{name}.jpg"), int) for name in ("best", "worst"))
    assert np.abs(best[20:214] - worst[-194:]).mean() < 3  # with nine inputs, one is the other upside down
    red_or_so = best[20:188, 6:174].max(-1) - best[20:188, 6:174].min(-1)
    assert red_or_so.max() > 100  # the square is in the first pane


@pytest.fixture(scope="module")
def photos(tmp_path_factory, astronaut):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "Golf_Ball").mkdir()
    write_png(folder / "Golf_Ball" / "a.png", np.ascontiguousarray(astronaut[:240, :260]))
    write_png(folder / "b.png", np.ascontiguousarray(astronaut[100:, 100:]))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


def test_from_the_command_line(photos, tmp_path, capsys):
    """With the weights that ship; a labelled and an unlabelled photo, and a broken file."""
    options = ("--strategies", "select,oracle", "--keep", "0.1", "--curve", "-", "--seeds", 2, "--picture-seeds", 1)
    status = main([str(a) for a in ("evaluate", photos, "--out", tmp_path / "report", *options)])
    out, err = capsys.readouterr()
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert (status, err) == (0, "") and "skipped broken.jpg" in out and "2 inputs" in out
    assert [line["name"] for line in report["inputs"]["skipped"]] == ["broken.jpg"]
    assert report["inputs"]["labelled"] == 1 and report["settings"]["strategies"] == ["select", "oracle"]
    n = {(line["strategy"], line["metric"]): line["n"] for line in report["results"]}
    assert n["select", "agreement"] == 2 and n["select", "top1"] == 1 == n["oracle", "top1"]
    assert {row["role"] for row in report["weights"]["image"]} == {
        "autoencoder", "classifier", "scorer embedded", "scorer shallow",
    }  # fmt: skip
    assert all(len(row["sha256"]) == 64 for row in report["weights"]["image"])


@pytest.mark.parametrize(
    "options, said",
    [
        (("--strategies", "random,best"), "best"),
        (("--keep", "half"), "half"),
        (("--keep", "0"), "keep"),
        (("--seeds", "0"), "Draws"),
        (("--part", "everything"), "everything"),
        (("--judge", "embedded-image"), "judge"),
        (("--judge", "nobody"), "nobody"),
        (("--scorers", "best"), "best"),
        (("--classifier", "embedded-audio"), "embedded-audio"),
    ],
)
def test_bad_options_are_answered_in_a_line(options, said, photos, tmp_path, capsys):
    status = main(["evaluate", str(photos), "--out", str(tmp_path / "report"), *options])
    err = capsys.readouterr().err
    assert status == 2 and said in err and is_one_sentence(err.strip())


def test_a_folder_that_is_not_there(tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "nowhere"), "--out", str(tmp_path / "report")]) == 2
    err = capsys.readouterr().err
    assert "nowhere" in err and is_one_sentence(err.strip())
    (tmp_path / "taken").write_text("a file")
    write_png(tmp_path / "a.png", np.zeros((32, 32, 3), np.uint8))
    assert main(["evaluate", str(tmp_path / "a.png"), "--out", str(tmp_path / "taken")]) == 2
    assert "taken" in capsys.readouterr().err
