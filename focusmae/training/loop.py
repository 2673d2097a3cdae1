"""The one training loop: cosine schedule, clipping, progress, a checkpoint a minute, exact resume, a log.

Runs on a CPU, a GPU, or under ``accelerate launch`` on many. A task is a module whose forward(step) returns
(loss, figures); everything random in it comes from ``step_generator(seed, step, ...)``, so that a resumed run goes on
exactly as an unbroken one would.
"""

import datetime
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch import nn

from focusmae import hub
from focusmae.errors import SettingsError

CHECKPOINT_SECONDS = 45
REPORT_SECONDS = 15
PATIENCE = datetime.timedelta(days=2)  # for which the quick processes wait for the slow ones


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up, cosine to a hundredth of the peak rate."""

    steps: int
    rate: float
    warmup: int = 100
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = 1.0
    evaluate_every: int = 500

    def factor(self, step: int) -> float:
        """Share of the peak rate at ``step``."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def make_accelerator() -> Accelerator:
    """One process per device, or as many as ``torchrun`` starts on CPUs; bfloat16 on GPUs, float32 on CPUs."""
    gpu = torch.cuda.is_available()
    patience = InitProcessGroupKwargs(timeout=PATIENCE)
    # Without being told, accelerate takes each process on a CPU for the only one.
    return Accelerator(mixed_precision="bf16" if gpu else "no", cpu=not gpu, kwargs_handlers=[patience])


def hash_of(start: Path | None) -> str:
    """The file that a run begins from, as its identity names it: hexadecimal SHA-256, or "nothing"."""
    return hub.sha256(start) if start else "nothing"


def parameter_groups(model: nn.Module, decay: float, faster: dict[str, float] | None = None) -> list[dict]:
    """Weight decay on matrices alone; names that start with a key of ``faster`` get that multiple of the rate."""
    groups: dict[tuple[float, float], list] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            multiple = next((m for start, m in (faster or {}).items() if name.startswith(start)), 1.0)
            groups.setdefault((decay if parameter.ndim > 1 else 0.0, multiple), []).append(parameter)
    return [{"params": p, "weight_decay": d, "multiple": m} for (d, m), p in groups.items()]


def fit(
    task: nn.Module,
    schedule: Schedule,
    folder: Path,
    feed: Callable[[int], object],
    evaluate: Callable[[], dict[str, float]],
    faster: dict[str, float] | None = None,
    accelerator: Accelerator | None = None,
    identity: dict | None = None,
) -> dict[str, float]:
    """Train ``task`` for ``schedule.steps`` and return the last held-out figures.

    feed(first_step) gives an iterator over batches from that step on; task(step, batch) -> (loss, figures); evaluate()
    -> figures on the validation part. ``folder`` receives state.pt (to resume from), log.jsonl and log.png.
    ``identity`` (seed, batch, data, ...) must be that of the run that is resumed; raises SettingsError otherwise.
    """
    accelerator = accelerator or make_accelerator()
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(
        parameter_groups(task, schedule.weight_decay, faster), lr=schedule.rate, betas=schedule.betas
    )
    identity = {**asdict(schedule), **(identity or {})}
    first = _resume(folder, task, optimizer, identity)
    network, optimizer = accelerator.prepare(task, optimizer)
    figures: dict[str, float] = {}
    saved = reported = time.monotonic()
    seen, stream = 0, feed(first)
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate * schedule.factor(step) * group["multiple"]
        batch = next(stream)
        with accelerator.autocast():
            loss, figures_now = network(step, batch)
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(network.parameters(), schedule.clip)
        optimizer.step()
        seen += 1
        now, last = time.monotonic(), step + 1 == schedule.steps
        if accelerator.is_main_process and (now - reported > REPORT_SECONDS or last):
            told = {name: float(value.detach()) for name, value in {"loss": loss, **figures_now}.items()}
            _report(folder, step + 1, schedule.steps, seen / (now - reported), told)
            seen, reported = 0, now
        if (step + 1) % schedule.evaluate_every == 0 or last:
            task.eval()
            with torch.no_grad():
                figures = evaluate()
            task.train()
            if accelerator.is_main_process and figures:
                _log(folder, {"step": step + 1, "held_out": figures})
                print("  held out: " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()), flush=True)
            reported = time.monotonic()
        if accelerator.is_main_process and (now - saved > CHECKPOINT_SECONDS or last):
            _save(folder, task, optimizer, identity, step + 1)
            saved = time.monotonic()
    if first >= schedule.steps:
        with torch.no_grad():
            figures = evaluate()
    if accelerator.is_main_process:
        _plot(folder)
    return figures


def _save(folder: Path, task: nn.Module, optimizer, identity: dict, step: int) -> None:
    state = {"task": task.state_dict(), "optimizer": optimizer.state_dict(), "identity": json.dumps(identity)}
    torch.save({"step": step, **state}, folder / "state.part")
    (folder / "state.part").replace(folder / "state.pt")


def _resume(folder: Path, task: nn.Module, optimizer, identity: dict) -> int:
    path = folder / "state.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    before, now = json.loads(state["identity"]), json.loads(json.dumps(identity))
    if different := sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key)):
        raise SettingsError(
            f"{folder.name} holds a run with another {different[0]}; choose another --out, or repeat its settings."
        )
    task.load_state_dict(state["task"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"going on from step {state['step']}", flush=True)
    return state["step"]


def _report(folder: Path, step: int, steps: int, rate: float, figures: dict[str, float]) -> None:
    left = (steps - step) / max(rate, 1e-9)
    text = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
    print(f"[{step:>6}/{steps}] {rate:5.2f} steps/s, {left / 60:5.1f} min left, {text}", flush=True)
    _log(folder, {"step": step, "steps_per_second": rate, **figures})


def _log(folder: Path, row: dict) -> None:
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")


def _plot(folder: Path) -> None:
    """The loss over the run as a PNG (Pillow is enough for one curve)."""
    from PIL import Image, ImageDraw

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    points = [(row["step"], row["loss"]) for row in rows if "loss" in row]
    if len(points) < 2:
        return
    image = Image.new("RGB", (640, 320), "white")
    draw = ImageDraw.Draw(image)
    (x0, x1), (y0, y1) = (points[0][0], points[-1][0]), (min(p[1] for p in points), max(p[1] for p in points))
    place = [
        (40 + 580 * (x - x0) / max(1, x1 - x0), 290 - 270 * (y - y0) / max(1e-9, y1 - y0)) for x, y in points
    ]
    draw.line(place, fill="#d9700a", width=2)
    draw.text((44, 4), f"loss {points[0][1]:.4f} -> {points[-1][1]:.4f} over {x1} steps", fill="black")
    image.save(folder / "log.png")
