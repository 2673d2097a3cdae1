"""How long each step takes on this machine, beside a named peer measured in the same run: read the ratios.

``python -m focusmae benchmark [--quick] [--json FILE]``. Medians; a new input is a picture never seen before, so that
nothing comes from the cache unless the row says so.
"""

import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict
from pathlib import Path

import numpy as np
import skimage.data
import skimage.segmentation
import torch

from focusmae import device
from focusmae.comparison import compare
from focusmae.masking import generator, sample_visible
from focusmae.media import View, open_media
from focusmae.models.load import load_autoencoder, load_classifier
from focusmae.models.speed import model_rows
from focusmae.prepared import Cache
from focusmae.segments.base import load_segmenter
from focusmae.timing import Row, median

MEMORY_INPUTS = 50


def run(json_path: Path | None, quick: bool = False) -> dict:
    """Measure everything, print the table, and return (and write) it as a dict."""
    device.setup()
    repeats = 3 if quick else 7
    about = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": device.describe(),
        "torch": torch.__version__,
        "matmul_gflops": round(_gflops(), 1),
    }
    print(", ".join(f"{key} {value}" for key, value in about.items()), flush=True)
    rows = [*_photo_rows(repeats), *_clip_rows(max(2, repeats // 2)), *_model_rows(repeats)]
    memory = _memory(10 if quick else MEMORY_INPUTS)  # before the large models come
    rows += [*model_rows(repeats, large_file=not quick), _start_row()]
    print(f"\n{'':44} {'seconds':>9}  {'peer':44} {'seconds':>9} {'ratio':>7} {'PSNR, dB':>9}")
    for row in rows:
        peer = "" if row.peer_seconds is None else f"{row.peer_seconds:9.3f} {row.ratio:7.2f}"
        psnr = "" if row.psnr is None else f"{row.psnr:9.1f}"
        print(f"{row.what:44} {row.seconds:9.3f}  {row.peer:44} {peer:17} {psnr}".rstrip())
    print("\nresident memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in memory.items()))
    report = {"machine": about, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows], "memory_mb": memory}
    if json_path:
        json_path.write_text(json.dumps(report, indent=1) + "\n")
    return report


def photo(number: int, side: int = 512) -> np.ndarray:
    """A photograph that differs with ``number``: a crop of one that scikit-image brings, uint8 (side, side, 3)."""
    source = getattr(skimage.data, ("astronaut", "chelsea", "coffee", "rocket")[number % 4])()
    rng = np.random.default_rng(number)
    size = min(source.shape[:2]) - 40
    top, left = (int(rng.integers(0, extent - size + 1)) for extent in source.shape[:2])
    crop = torch.from_numpy(source[top : top + size, left : left + size].copy()).permute(2, 0, 1)[None].float()
    crop = torch.nn.functional.interpolate(crop, size=(side, side), mode="bilinear", antialias=True)
    return crop[0].permute(1, 2, 0).byte().numpy()


def clip(number: int, side: int = 256, frames: int = 48) -> np.ndarray:
    """A slow pan over a photograph, uint8 (frames, side, side, 3)."""
    source = photo(number, side + 2 * frames)
    return np.stack([source[k : k + side, 2 * k : 2 * k + side] for k in range(frames)])


def _photo_rows(repeats: int) -> list[Row]:
    cache, same = Cache(), photo(1000)
    first = median(lambda n: compare(photo(n), cache=cache), repeats)
    making = median(lambda n: photo(n), repeats)
    compare(same, cache=cache)
    again = median(lambda n: compare(same, seed=n, cache=cache), repeats)
    other = median(lambda n: compare(same, keep=0.1 + 0.05 * n, cache=cache), repeats)
    new = first - making
    view = open_media(same).view()
    regions = median(lambda n: load_segmenter("superpixels")(view), repeats)
    slic = median(lambda n: skimage.segmentation.slic(view.frames[0], n_segments=300), repeats)
    return [
        Row("photo, new input", new),
        Row("photo, another seed", again, "photo, new input", new),
        Row("photo, another keep ratio", other, "photo, new input", new),
        Row("superpixels of a 512-px photo", regions, "skimage.segmentation.slic, 300 segments", slic),
    ]


def _clip_rows(repeats: int) -> list[Row]:
    cache, clips = Cache(), [clip(n) for n in range(repeats + 1)]
    new = median(lambda n: compare(clips[n], cache=cache), repeats)
    again = median(lambda n: compare(clips[0], seed=n, cache=cache), repeats)
    view = open_media(clips[0]).view()
    regions = median(lambda n: load_segmenter("superpixels")(view), repeats)
    slic = median(lambda n: skimage.segmentation.slic(view.frames, n_segments=300, channel_axis=-1), repeats)
    return [
        Row("clip, new input", new),
        Row("clip, another seed", again, "clip, new input", new),
        Row("superpixels of a clip, 16 x 256 px", regions, "skimage.segmentation.slic in 3-D, 300", slic),
    ]


@torch.inference_mode()
def _model_rows(repeats: int) -> list[Row]:
    rows, autoencoder = [], load_autoencoder("embedded")
    for kind, media in (("image", photo(0)), ("clip", clip(0))):
        view: View = open_media(media).view()
        pixels, classifier = view.pixels(224), load_classifier(f"embedded-{kind}")
        tokens = autoencoder.encoder.grid(pixels).tokens
        masks = sample_visible(torch.zeros(2, tokens), 0.25 if kind == "image" else 0.1, generator(0))
        both = pixels.expand(2, -1, -1, -1, -1)
        batch = median(lambda n, b=both, m=masks: autoencoder.reconstruct(b, m), repeats)
        calls = median(lambda n, p=pixels, m=masks: [autoencoder.reconstruct(p, row[None]) for row in m], repeats)
        few = sample_visible(torch.zeros(1, tokens), 0.1, generator(0))
        tenth = median(lambda n, c=classifier, p=pixels, f=few: c.logits(p, f), repeats)
        everything = median(lambda n, c=classifier, p=pixels: c.logits(p), repeats)
        rows.append(Row(f"{kind}: both arms reconstructed as one batch", batch, "the same as two calls", calls))
        rows.append(Row(f"{kind}: class from 10 % of the tokens", tenth, "class from all tokens", everything))
    return rows


def _start_row() -> Row:
    """From starting ``app.py`` to its first answer, beside importing gradio and torch alone."""
    root = Path(__file__).resolve().parent.parent
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    began = time.perf_counter()
    app = subprocess.Popen([sys.executable, "app.py"], cwd=root, env=environment, **quiet)
    try:
        while not _answers(port) and app.poll() is None and time.perf_counter() - began < 60:
            time.sleep(0.05)
        seconds = time.perf_counter() - began
    finally:
        app.terminate()
        app.wait()
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import gradio, torch"], env=environment, check=True, **quiet)
    return Row("app.py until the page answers", seconds, "import gradio, torch", time.perf_counter() - began)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _memory(inputs: int) -> dict[str, float]:
    """Resident memory of this process as it compares different inputs, photos and clips in turn, and its peak."""
    import resource

    sizes = {}
    for number in range(inputs):
        compare(clip(number) if number % 5 == 4 else photo(2000 + number))
        if number + 1 in (5, inputs // 2, inputs):
            sizes[f"after {number + 1}"] = _resident()
    sizes["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return sizes


def _resident() -> float:
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if status.exists() else float("nan")


def _gflops() -> float:
    a = torch.rand(1024, 1024)
    return 2 * 1024**3 / median(lambda n: a @ a, 7) / 1e9


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    names = [row.split(":")[1].strip() for row in info.read_text().splitlines() if row.startswith("model name")] if (
        info.exists()
    ) else []
    return names[0] if names else platform.processor() or platform.machine()
