"""The page in Chromium: ``python app.py`` as a visitor meets it, and a way to visit it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from focusmae.media import write_png
from tests.browser.driving import SLOW

ROOT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync "
    "--no-first-run"
)
expect.set_options(timeout=SLOW / 3)


@pytest.fixture(scope="session")
def address():
    """Where ``python app.py`` answers."""
    with serving("app.py") as url:
        yield url


@contextmanager
def serving(*arguments: str):
    """``python ARGUMENTS`` in the project's folder, from when its page answers on; gives the address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1"},
    )
    url = f"http://127.0.0.1:{port}/"
    for _ in range(1200):
        assert server.poll() is None, f"{arguments} ended"
        try:
            urllib.request.urlopen(url, timeout=5).close()
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield url
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield chromium
        chromium.close()


@pytest.fixture
def visit(address, browser):
    """visit(query, width, height, **context) -> the page, once it shows something. No other host may be asked."""
    contexts, foreign, broken = [], [], []

    def open_page(query="", width=1440, height=1000, **options) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda r: r.url.startswith((address, "data:", "blob:")) or foreign.append(r.url))
        page.on("pageerror", lambda error: broken.append(error.stack or str(error)))
        page.goto(address + query)
        page.wait_for_selector(".fm[data-run='1']", timeout=SLOW)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not foreign and not broken


@pytest.fixture(scope="session")
def cat_file(tmp_path_factory):
    """A photograph that no example shows: a part of the cat."""
    import skimage.data

    path = tmp_path_factory.mktemp("upload") / "half a cat.png"
    write_png(path, skimage.data.chelsea()[:, :300])
    assert Image.open(path).size == (300, 300)
    return path
