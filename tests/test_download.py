"""``python -m focusmae download``: what it prints, its exit status, and that it goes on after it was killed."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from focusmae import download, hub
from focusmae.__main__ import main
from tests.hub_server import HubServer
from tests.tiny import is_one_sentence

ROOT = Path(__file__).resolve().parent.parent
MAE, SAM, FILE = "facebook/vit-mae-base", "facebook/sam-vit-base", "model.safetensors"
CONTENT = bytes(range(256)) * 4000
FILES = {FILE: CONTENT, "config.json": b"{}"}


@pytest.fixture
def server():
    with HubServer({MAE: FILES, SAM: FILES}) as server:
        yield server


def run(capsys, *arguments) -> tuple[int, list[str], list[str]]:
    status = main(["download", *arguments])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def test_the_list(capsys, server):
    hub.fetch(hub.find("autoencoder", "mae-base"))
    asked = len(server.requests)
    status, out, err = run(capsys, "--list")
    assert (status, err) == (0, []) and len(server.requests) == asked
    rows = {line.split()[0]: line for line in out if not line.startswith(("name", "*", "timm"))}
    assert set(rows) == {name for _, name in hub.WEIGHTS}
    assert [name for name, row in rows.items() if " here " in row] == ["mae-base"]
    assert "448 MB" in rows["mae-base"] and "CC-BY-NC-4.0 *" in rows["mae-base"] and MAE in rows["mae-base"]
    assert "*" not in rows["vit-base"] and "Apache-2.0" in rows["vit-base"] and "shipped" in rows["shallow"]
    assert "* non-commercial use only" in out


def test_one_name(capsys, server):
    status, out, err = run(capsys, "mae-base")
    assert (status, err) == (0, [])  # no bar where nobody looks
    told, place = out
    assert told.startswith("mae-base (autoencoder): fetched, 1.02 MB") and server.commit(MAE) in told
    assert "CC-BY-NC-4.0 (non-commercial use only)" in told and Path(place.strip()).read_bytes() == CONTENT
    asked = len(server.requests)
    status, out, err = run(capsys, "mae-base", "mae-base")
    assert (status, err, len(out), len(server.requests)) == (0, [], 2, asked) and "was here already" in out[0]


def test_a_name_that_fails_does_not_stop_the_others(capsys, server):
    status, out, err = run(capsys, "mae-large", "sam-vit-base", "vit-base")
    assert status == 2 and len(err) == 2
    assert err[0].startswith("mae-large: ") and err[1].startswith("vit-base: ")
    assert all(is_one_sentence(line.partition(": ")[2]) for line in err)
    assert out[0].startswith("3 to fetch, 2.04 GB") and out[1].startswith("sam-vit-base (segmenter): fetched")
    assert "licence Apache-2.0" in out[1] and "non-commercial" not in out[1] and len(out) == 3


def test_all(capsys):
    repos = [w.repo for w in hub.WEIGHTS.values() if w.repo]
    with HubServer({repo: FILES for repo in repos}):
        status, out, err = run(capsys, "--all")
        assert (status, err) == (0, []) and len(out) == 1 + 2 * len(repos)
        assert all(hub.here(w) for w in hub.WEIGHTS.values())
        status, out, err = run(capsys, "--all")
        assert (status, err) == (0, []) and sum("was here already" in line for line in out) == len(repos)


@pytest.mark.parametrize(
    "arguments", [[], ["mae-bse"], ["sam-vit-base", "mae-bse"], ["timm:resnet50"], ["--everything"]]
)
def test_bad_input(capsys, server, arguments):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, []) and len(err) == 1 and server.requests == []


def test_names_that_ship(capsys, server):
    status, out, err = run(capsys, "embedded")
    assert (status, err) == (0, []) and server.requests == []
    assert [line.partition(":")[0] for line in out[::2]] == ["embedded (autoencoder)", "embedded (scorer)"]
    assert all("ships with the project" in line and "shipped-5" in line for line in out[::2])


def test_the_bar(capsys, server, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(download, "PERIOD", 0)
    monkeypatch.setenv("COLUMNS", "60")
    status = main(["download", "sam-vit-base"])
    _, err = capsys.readouterr()
    drawn = [line.removesuffix("\x1b[K") for line in err.rstrip("\n").split("\r")[1:]]
    assert status == 0 and len(drawn) > 5 and err.endswith("\n") and max(map(len, drawn)) < 60
    filled = [line.count("#") for line in drawn]
    assert filled == sorted(filled) and filled[-1] == download.WIDTH and drawn[-1].endswith("1.0 of 1.0 MB")


def test_what_the_bar_says():
    bar = download._Bar("name")
    bar.begun = (100.0, 20_000_000)  # an earlier run had fetched 20 MB
    assert bar.line(60_000_000, 240_000_000, 102.0) == (
        "name [######..................] 60.0 of 240.0 MB, 20.0 MB/s, 9 s left"
    )
    assert bar.line(20_000_000, 2_420_000_000, 110.0).endswith("20.0 of 2420.0 MB")
    assert bar.line(40_000_000, 2_440_000_000, 110.0).endswith("2.0 MB/s, 20 min 0 s left")


def test_stopped_from_the_keyboard(capsys, server, monkeypatch):
    def press(weights, progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "fetch", press)
    status, out, err = run(capsys, "mae-base")
    assert status == 130 and out == [] and "goes on from there" in err[0]


def test_killed_and_run_again(server):
    command = [sys.executable, "-m", "focusmae", "download", "mae-base"]
    server.fault("slow", after=10_000, seconds=0.02, file=FILE)
    process = subprocess.Popen(
        command, env=server.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    blobs = hub.cache.place(MAE) / "blobs"
    end = time.monotonic() + 60
    while time.monotonic() < end and sum(p.stat().st_size for p in blobs.glob("*.incomplete")) < 100_000:
        time.sleep(0.02)
    process.kill()
    process.wait()
    (left,) = blobs.glob("*.incomplete")
    kept = left.stat().st_size
    assert 100_000 <= kept < len(CONTENT) and not hub.here(hub.find("autoencoder", "mae-base"))
    server.mend()
    done = subprocess.run(command, env=server.environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "") and re.match(r"mae-base \(autoencoder\): fetched", done.stdout)
    assert [r.start for r in server.downloads(FILE)] == [0, kept]
    assert hub.fetch(hub.find("autoencoder", "mae-base")).path.read_bytes() == CONTENT
