"""The twenty best and the twenty worst inputs for FocusMAE, to be looked at: numbers alone do not show why."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from focusmae.arms import to_frames
from focusmae.evaluation.contenders import Networks, Reader
from focusmae.evaluation.measure import noise_seed
from focusmae.evaluation.sources import Case, Sources
from focusmae.masking import generator, sample_visible
from focusmae.metrics import paste
from focusmae.render import mask_pane, spotlight_pane, to_bytes

SHOWN = 20
PANE, GAP, CAPTION = 168, 6, 20
HEADS = ("input", "importance", "random: visible", "random: restored", "FocusMAE: visible", "FocusMAE: restored")


def write_panels(rows: list[dict], numbers: dict[str, int], runner, folder: Path) -> list[Path]:
    """Write best.jpg and worst.jpg: inputs by the gain of select over random, the mean over the draws.

    rows: those that were measured.  numbers: an input's number by its SHA-256.  runner: reads inputs and networks.
    Returns the paths; none where one of the two arms is missing.
    """
    ordered = gains(rows, runner.plan.keeps)
    if not ordered:
        return []
    written, strips = [], {}
    for name, some in (("best", ordered[:SHOWN]), ("worst", ordered[::-1][:SHOWN])):
        for gain, row in some:
            number = numbers[row["sha256"]]
            if number not in strips:  # few inputs may be on both pages
                strips[number] = _strip(row, gain, runner, number)
        page = [strips[numbers[row["sha256"]]] for _, row in some]
        written.append(folder / f"{name}.jpg")
        Image.fromarray(np.concatenate([_heads(page[0].shape[1]), *page])).save(written[-1], quality=90)
    return written


def gains(rows: list[dict], keeps: tuple[float, ...]) -> list[tuple[float, dict]]:
    """(select minus random at the smallest keep ratio, row) of all rows that have both, the highest first."""
    found, keep = [], f"{min(keeps):g}"
    for row in rows:
        arms = row.get("draws", {}).get(keep, {})
        if "select" in arms and "random" in arms:
            metric = next(name for name in ("p_true", "p_class") if name in arms["random"])
            found.append((arms["select"][metric] - arms["random"][metric], row))
    return sorted(found, key=lambda pair: (-pair[0], pair[1]["name"]))


@torch.no_grad()
def _strip(row: dict, gain: float, runner, number: int) -> np.ndarray:
    """One input as a row of panes over a caption: uint8 (H, W, 3)."""
    case, networks, keep = runner.case(number, with_foreign=False), runner.networks(row["kind"]), min(runner.plan.keeps)
    panes = _panes(case, networks, keep, runner.plan.seed)
    strip = np.full((PANE + CAPTION + GAP, len(panes) * (PANE + GAP) + GAP, 3), 255, np.uint8)
    for place, pane in enumerate(panes):
        left = GAP + place * (PANE + GAP)
        small = Image.fromarray(pane).resize((PANE, PANE), Image.Resampling.LANCZOS)
        strip[:PANE, left : left + PANE] = np.array(small)
    return _written(strip, [(GAP, PANE + CAPTION // 2, _caption(row, gain, keep))])


def _panes(case: Case, networks: Networks, keep: float, seed: int) -> list[np.ndarray]:
    """The panes of HEADS, from the first draw that was measured; the middle frame of a clip."""
    grid = networks.autoencoder.encoder.grid(case.pixels)
    sources = Sources(case, networks, Reader(networks.classifier, case.pixels), None)
    scores, frames = sources.scores("scores", grid), to_frames(case.pixels.float().cpu())
    middle = len(frames) // 2
    # As in the measurement, where draws share one noise table, of which this is the first row.
    noise = generator(noise_seed(case.sha256, seed))
    state = noise.get_state()
    panes = [to_bytes(frames), spotlight_pane(frames, scores[0].numpy(), grid)]
    for strategy in ("random", "select"):
        noise.set_state(state)
        visible = sample_visible(scores, keep, noise, strategy, grid)
        picture = networks.autoencoder.reconstruct(case.pixels, visible.to(case.pixels.device)).float().cpu()
        pasted = paste(case.pixels.float().cpu(), picture, visible, grid)
        panes += [mask_pane(frames, visible[0].numpy(), grid), to_bytes(to_frames(pasted))]
    return [pane[middle] for pane in panes]


def _caption(row: dict, gain: float, keep: float) -> str:
    arms = row["draws"][f"{keep:g}"]
    metric = "p_true" if "p_true" in arms["random"] else "p_class"
    truth = f"{row['label'] or 'no label'}, full view says {row['said']} {row['full']['p_class']:.2f}"
    chance, ours = (arms[name][metric] for name in ("random", "select"))
    words = f"p({row['label'] or row['said']}) random {chance:.2f}, FocusMAE {ours:.2f} ({gain:+.2f})"
    return f"{row['name'][-60:]}   {truth}   {words}"


def _heads(width: int) -> np.ndarray:
    places = [(GAP + place * (PANE + GAP), CAPTION // 2, head) for place, head in enumerate(HEADS)]
    return _written(np.full((CAPTION, width, 3), 255, np.uint8), places)


def _written(picture: np.ndarray, words: list[tuple[int, int, str]]) -> np.ndarray:
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y, text in words:
        draw.text((x, y), text, fill="#1d1f23", font=ImageFont.load_default(12), anchor="lm")
    return np.array(image)
