"""Our SAM beside segment-anything's SamAutomaticMaskGenerator: time and peak memory, each in a process of its own.

``python -m focusmae.segments.sam_benchmark [--points 16] [--model vit_b] [--weights FILE] [--clip] [--json FILE]``.

Both see the same 512-pixel photograph (1024 on a GPU), weights, thresholds and points a side. Without a file of trained
weights they are random, and set so that a comparable share of candidates survives in both: the head of the predicted
IoU is shifted and scaled until 40 % of the answers to an 8 x 8 grid lie above the threshold, and mask logits are scaled
until half of these are stable. What is compared is then work, not masks. Rows: segment-anything as it is, the same
with this project's process settings (``focusmae/device.py``), ours, ours without leaving out any point, and ours in the
quickest number format that the processor has units for, where there is one besides float32.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import torch

from focusmae import device as devices
from focusmae.media import View, open_media
from focusmae.precision import quickest, wanted
from focusmae.segments.sam import SamSegmenter
from focusmae.segments.sam_everything import grid
from focusmae.segments.sam_masks import Rules, stability
from focusmae.segments.sam_model import SamModel
from focusmae.segments.sam_weights import read_sam

WHO = {
    "segment-anything": "SamAutomaticMaskGenerator as it is",
    "segment-anything tuned": "the same with our process settings",
    "ours": "ours",
    "ours, every point": "ours, asking at every point",
    "ours, fast": "ours, FOCUSMAE_PRECISION=fast",
}
RULES = Rules(0.88, 0.95)
PASS, STEADY = 0.4, 0.5  # shares of random masks that are let through by predicted IoU, and of these by stability
SIZES = ("vit_b", "vit_l", "vit_h")  # names of segment-anything's registry


def compare(points: int, size: str, weights: Path | None, clip: bool) -> dict:
    """Runs every row in a process of its own; seconds, processor seconds, peak megabytes, ratios to the first."""
    with tempfile.TemporaryDirectory() as folder:
        if weights is None:
            weights = Path(folder) / "random.pth"
            _child("prepare", size, str(weights))
        rows = {}
        for who in WHO:
            if who == "ours, fast" and quickest(devices.setup()) in ("float32", wanted(devices.setup())):
                continue  # there is no quicker one than that of the other rows
            on_clip = clip and who in ("ours", "ours, fast")
            rows[who] = _child("run", who, str(weights), size, str(points), str(int(on_clip)))
            print(_line(WHO[who], rows[who], rows["segment-anything"]), flush=True)
    return {"points_per_side": points, "model": size, "threads": torch.get_num_threads(), "rows": rows}


def _child(*arguments: str) -> dict:
    """What ``answer`` says in a new process, so that nobody's peak memory is anybody else's."""
    command = [sys.executable, "-m", "focusmae.segments.sam_benchmark", *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def answer(*arguments: str) -> dict:
    """One row, or nothing when weights are made: what a child process is for."""
    match arguments:
        case ["prepare", size, path]:
            prepare(size, Path(path))
            return {}
        case ["run", who, path, size, points, clip]:
            if who.startswith("segment-anything"):
                return _theirs(Path(path), size, int(points), who.endswith("tuned"))
            every, precision = who == "ours, every point", "fast" if who == "ours, fast" else None
            return _ours(Path(path), int(points), every, clip == "1", precision)
    raise SystemExit(f"no such part of the benchmark: {' '.join(arguments)}")


def _line(what: str, row: dict, peer: dict) -> str:
    ratio, memory = peer["seconds"] / row["seconds"], row["peak_mb"] / peer["peak_mb"]
    more = "".join(f", clip of 16 {row['clip_seconds']:.2f} s" for _ in range("clip_seconds" in row))
    return (
        f"{what:40} {row['seconds']:8.2f} s (processor {row['processor_seconds']:.2f}), {ratio:.1f} times as fast, "
        f"peak {row['peak_mb']:.0f} MB = {memory:.2f}, {row['prompts']} prompts, {row['masks']} masks{more}"
    )


def _view() -> View:
    side = 1024 if torch.cuda.is_available() else 512
    picture = skimage.data.astronaut().repeat(side // 512, 0).repeat(side // 512, 1)
    return open_media(picture).views(size=side)[0]


def _measure(work) -> dict:
    """Seconds, processor seconds and peak megabytes of ``work`` and all before it; the second run on a GPU."""
    gpu = torch.cuda.is_available()
    if gpu:
        work()  # its first run chooses kernels
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    began, spent = time.perf_counter(), time.process_time()
    answer = work()
    if gpu:
        torch.cuda.synchronize()
    row = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - spent}
    if gpu:
        return {**row, "peak_mb": torch.cuda.max_memory_allocated() / 2**20, **answer}
    import resource  # not on every system

    return {**row, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **answer}


def _theirs(weights: Path, size: str, points: int, tuned: bool) -> dict:
    from segment_anything import SamAutomaticMaskGenerator, sam_model_registry

    if tuned:
        devices.setup()
    where = "cuda" if torch.cuda.is_available() else "cpu"
    sam = sam_model_registry[size]()
    sam.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    generator = SamAutomaticMaskGenerator(
        sam.eval().to(where),
        points_per_side=points,
        pred_iou_thresh=RULES.pred_iou,
        stability_score_thresh=RULES.stability,
    )
    frame = _view().frames[0]
    return _measure(lambda: {"masks": len(generator.generate(frame)), "prompts": points**2})


def _ours(weights: Path, points: int, every: bool, clip: bool, precision: str | None) -> dict:
    model = SamModel(read_sam(weights), devices.setup(), precision)
    segmenter = SamSegmenter(model, "sam", {}, points, rules=RULES)
    cost, view = segmenter.model.cost, _view()

    def work() -> dict:
        before = cost.prompts
        segmenter.forget()
        found = len(segmenter.reference_masks(view, points, RULES)) if every else segmenter(view).count
        return {"masks": found, "prompts": cost.prompts - before}

    row = _measure(work)
    if clip:
        frames = np.stack([np.roll(view.frames[0], 4 * t, 1)[:256, :256] for t in range(16)])
        moving = View(frames, (0, 0, 256, 256), tuple(map(float, range(16))))
        row["clip_seconds"] = _measure(lambda: {"masks": segmenter(moving).count})["seconds"]
    return row


def prepare(size: str, path: Path) -> None:
    """Random weights of a released size into ``path``, with predicted IoU and logits as the module's text says."""
    from segment_anything import sam_model_registry

    devices.setup()
    torch.manual_seed(0)
    theirs = sam_model_registry[size]()
    torch.save(theirs.state_dict(), path)
    model = SamModel(read_sam(path), precision="float32")
    shared = model.share(next(model.encode(_view().frames)))
    at = torch.from_numpy(grid(8).reshape(-1, 1, 2)).float()
    logits, iou = (torch.cat(parts).flatten(0, 1) for parts in zip(*model.ask(shared, at), strict=True))
    head = theirs.mask_decoder.iou_prediction_head.layers[-1]
    with torch.no_grad():
        scale = 0.03 / float(iou.std())
        head.weight *= scale
        head.bias.mul_(scale).add_(RULES.pred_iou - scale * float(iou.quantile(1 - PASS)))
        passed = logits[iou > iou.quantile(1 - PASS)]
        # A mask is stable if few of its logits, scaled, lie between -1 and 1.
        scales = torch.logspace(0, 6, 61)
        steady = [float((stability(passed * s, 1.0) >= RULES.stability).float().mean()) for s in scales]
        times = next((float(s) for s, share in zip(scales, steady, strict=True) if share >= STEADY), float(scales[-1]))
        for network in theirs.mask_decoder.output_hypernetworks_mlps:
            network.layers[-1].weight *= times
            network.layers[-1].bias *= times
    torch.save(theirs.state_dict(), path)


def main(arguments: list[str]) -> None:
    """The whole comparison, or as a child process one part of it, whose answer is the last line printed."""
    if arguments[:1] in (["prepare"], ["run"]):
        print(json.dumps(answer(*arguments)))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=16, help="points along each side of the grid")
    parser.add_argument("--model", choices=SIZES, default="vit_b")
    parser.add_argument("--weights", type=Path, help="an official .pth of that model; by default random ones are made")
    parser.add_argument("--clip", action="store_true", help="also our time for a clip of 16 frames")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    given = parser.parse_args(arguments)
    report = compare(given.points, given.model, given.weights, given.clip)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
