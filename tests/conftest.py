"""A skipped test is a failure: what is not run proves nothing. And the photo and the clip that many tests share."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import skimage.data  # noqa: E402
import torch  # noqa: E402

from focusmae import device  # noqa: E402
from focusmae.media import write_mp4, write_png  # noqa: E402

_skipped: list[str] = []


def pytest_configure(config):
    device.setup()


def pytest_runtest_logreport(report):
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session, exitstatus):
    if _skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    for name in _skipped:
        terminalreporter.write_line(f"skipped, which counts as failed: {name}", red=True)


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """scikit-image's photograph, uint8 (512, 512, 3)."""
    return skimage.data.astronaut()


@pytest.fixture(scope="session")
def photo_file(astronaut, tmp_path_factory):
    path = tmp_path_factory.mktemp("media") / "astronaut.png"
    write_png(path, astronaut)
    return path


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory):
    """A glide over the cat with a disc that crosses it, 40 frames of 320 x 240 at 20 a second."""
    cat, (y, x) = skimage.data.chelsea(), np.mgrid[:240, :320]
    frames = np.stack([cat[n // 2 : n // 2 + 240, 2 * n : 2 * n + 320] for n in range(40)])
    for number, frame in enumerate(frames):
        frame[(y - 120) ** 2 + (x - 40 - 6 * number) ** 2 < 30**2] = (230, 40, 30)
    path = tmp_path_factory.mktemp("media") / "glide.mp4"
    write_mp4(path, frames, fps=20)
    return path


@pytest.fixture
def one_thread():
    """Sums in one order: for what must be equal to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
