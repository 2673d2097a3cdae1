"""Training of the MoE scorer, and of its shallow variant: distillation of what tokens are worth (training/worth.py)."""

import hashlib
from pathlib import Path

import torch
from torch import nn

from focusmae import device
from focusmae.errors import SettingsError
from focusmae.masking import generator, sample_visible
from focusmae.models.checkpoints import load_model, parameters, save_model
from focusmae.models.classifier import TokenClassifier
from focusmae.models.load import load_autoencoder, load_classifier
from focusmae.models.scorer import MoEScorer, ScorerConfig, balance_losses, prior_scores
from focusmae.segments.base import Segmenter
from focusmae.segments.superpixels import SCALES, Superpixels
from focusmae.training.data import CLIP_GRID, PHOTO_GRID, Reader, read_items, step_generator
from focusmae.training.drawn import AdaMAE, Policy
from focusmae.training.loop import Schedule, fit, hash_of, make_accelerator
from focusmae.training.segmented import CutPhotos, HumanMaps
from focusmae.training.worth import (
    activation_targets,
    centred,
    choose,
    collect,
    load_rows,
    score_rows,
    targets,
)

READS = ("features", "embeddings")
WAYS = ("attribution", "activation", "policy", "adamae")
BALANCE = 0.1
KEEP, DRAWS = 0.1, 4
TEMPERATURES = (0.1, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 2.0, 4.0)


class Task(nn.Module):
    """Mean squared error between what the experts add to the prior and its target, plus their balance."""

    def __init__(self, model: MoEScorer, rows: dict[str, dict], seed: int, batch: int):
        super().__init__()
        self.model, self.rows, self.seed, self.batch = model, rows, seed, batch

    def forward(self, step: int, _batch) -> tuple[torch.Tensor, dict]:
        kind, rows, chosen = choose(self.rows, step, self.batch, step_generator(self.seed, step))
        scores, gates = score_rows(self.model, rows, chosen)
        scores = scores - prior_scores(rows["descriptors"][chosen].to(scores))
        error = (centred(scores) - rows["target"][chosen].to(scores.device)).square().mean()
        balance, entropy = balance_losses(gates)
        return error + BALANCE * balance, {f"{kind}_error": error.detach(), "balance": balance.detach(),
                                           "gate_entropy": entropy.detach()}  # fmt: skip


def train(
    data: list[Path],
    out: Path,
    photo_classifier: Path | str = "embedded-image",
    clip_classifier: Path | str = "embedded-clip",
    reads: str = "features",
    by: str = "attribution",
    start: Path | None = None,
    photos: int = 2400,
    clip_every: int = 10,
    steps: int = 800,
    batch: int = 32,
    rate: float = 1e-3,
    seed: int = 0,
    maps: tuple[Path, ...] = (),
) -> dict:
    """Collect the worth of ``photos`` labelled photos, then train; ``reads`` "embeddings" gives the shallow variant.

    by: "attribution" and "activation" learn what tokens are worth (training/worth.py); "policy" and "adamae" learn from
    the scorer's own draws (training/drawn.py). start: scorer weights to begin from. maps: folders of photos with
    label maps that people drew (training/segmented.py), all of which are added. Writes
    out/scorer[-shallow][-BY].safetensors with the temperature tuned on the validation part for the mean probability of
    the true class at 10 % kept, and returns the held-out figures.
    """
    if reads not in READS:
        raise SettingsError(f"A scorer cannot read {reads!r}; choose from {', '.join(READS)}.")
    if by not in WAYS:
        raise SettingsError(f"A scorer cannot be trained by {by!r}; choose from {', '.join(WAYS)}.")
    accelerator = make_accelerator()
    models = load_classifier(photo_classifier), load_classifier(clip_classifier)
    about = {"data": ", ".join(d.name for d in (*data, *maps)), "steps": str(steps), "photos": str(photos)}
    drawn = [folder.name for folder in maps]
    collected = _fingerprint(models, about["data"], photos, clip_every, seed, SCALES, *drawn)
    store = out / f"collected-{collected}"
    rows, held_out = _rows(data, store, models, photos, clip_every, seed, accelerator, by, maps)
    torch.manual_seed(seed)
    model = _begin(_config(models[0].config.width, reads), start).to(device.setup())
    if accelerator.is_main_process:
        counts = ", ".join(f"{len(found.get('worth', []))} {kind}s" for kind, found in rows.items())
        print(f"{counts}, {parameters(model) / 1e3:.0f} k weights", flush=True)
    name = ("scorer" if reads == "features" else "scorer-shallow") + ("" if by == "attribution" else f"-{by}")
    figures = fit(
        _task(by, model, rows, models, seed, batch),
        Schedule(steps=steps, rate=rate, warmup=50, weight_decay=0.05, betas=(0.9, 0.98)),
        out / name,
        lambda first: iter(range(first, steps)),
        lambda: evaluate(model, models[0], held_out),
        accelerator=accelerator,
        identity={**about, "seed": seed, "batch": batch, "classifiers": collected, "by": by,
                  "start": hash_of(start)},
    )
    model.temperature.fill_(tune_temperature(model, models[0], held_out))
    figures = {**figures, **evaluate(model, models[0], held_out), "temperature": float(model.temperature)}
    if accelerator.is_main_process:
        save_model(model, out / f"{name}.safetensors", **about)
        print("  " + ", ".join(f"{k} {v:.4f}" for k, v in figures.items()), flush=True)
    return figures


def _config(token_width: int, reads: str) -> ScorerConfig:
    """The shallow variant stays as the samplers of AdaMAE and FocusMAE are: it compares nothing."""
    return ScorerConfig(token_width=token_width, reads=reads, compares=reads == "features")


def _begin(config: ScorerConfig, start: Path | None) -> MoEScorer:
    if start is None:
        return MoEScorer(config)
    model = load_model(start, "scorer").train().requires_grad_(True)
    if model.config != config:
        raise SettingsError(f"{start.name} is a scorer of another shape; leave out --start, or give its own --reads.")
    model.temperature.fill_(1.0)
    return model


def _task(by: str, model: MoEScorer, rows: dict, models, seed: int, batch: int) -> nn.Module:
    if by in ("attribution", "activation"):
        return Task(model, rows, seed, batch)
    if by == "policy":
        return Policy(model, rows, dict(zip(("photo", "clip"), models, strict=True)), seed, batch)
    return AdaMAE(model, rows, load_autoencoder("embedded"), seed, batch)


def _rows(data, store: Path, models, photos: int, clip_every: int, seed: int, accelerator, by, maps):
    """(training rows by kind, held-out photo rows); collected by the main process, read by all."""
    scales = [Superpixels(stop) for stop in SCALES]
    wanted = {
        "train": (_cut(data, "train", models[0].labels, photos, scales, seed), clip_every),
        "val": (_cut(data, "val", models[0].labels, 300, scales[:1], seed), 0),
    }
    if maps:
        wanted["maps"] = HumanMaps(maps), clip_every
    for part, (examples, every) in wanted.items():
        if accelerator.is_main_process:
            collect(store / part, examples, *models, every, seed)
    accelerator.wait_for_everyone()
    found = {part: sorted((store / part).glob("*.safetensors")) for part in wanted}
    rows = {kind: load_rows(found["train"] + found.get("maps", []), kind) for kind in ("photo", "clip")}
    for kind, grid, judge in (("photo", PHOTO_GRID, models[0]), ("clip", CLIP_GRID, models[1])):
        if rows[kind]:
            made = activation_targets(rows[kind], judge) if by == "activation" else targets(rows[kind], grid)
            rows[kind]["target"] = made
    if by != "adamae":
        rows["photo"].pop("picture", None)  # 150 kB each
    return rows, load_rows(found["val"], "photo")


def _cut(data, part: str, labels: list[str], count: int, segmenters: list[Segmenter], seed: int) -> CutPhotos:
    items = [i for i in read_items(data, part) if i.label in labels and not i.is_clip]
    places = torch.randperm(len(items), generator=generator(seed))[:count].tolist()
    return CutPhotos(Reader(items, labels), places, segmenters)


def _fingerprint(models: tuple[TokenClassifier, TokenClassifier], *settings) -> str:
    """Short hash of the classifiers and of whatever else the collected rows depend on, so that no rows are mixed."""
    heads = [round(float(model.head.weight.detach().double().square().sum()), 6) for model in models]
    return hashlib.sha256(repr((heads, *settings)).encode()).hexdigest()[:8]


@torch.no_grad()
def evaluate(model: MoEScorer, classifier: TokenClassifier, rows: dict) -> dict[str, float]:
    """On held-out photos at 10 % kept: correlation with worth, top-1 and p(true) of three strategies, four draws."""
    scores = _scores(model, rows)
    a, b = centred(scores).flatten(), centred(rows["worth"]).flatten()
    figures = {"worth_correlation": float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-9))}
    prior = prior_scores(rows["descriptors"].float())
    for name, values in (("random", torch.zeros_like(scores)), ("prior", prior), ("select", scores)):
        figures[f"{name}_top1"], figures[f"{name}_p_true"] = _prediction(classifier, rows, values)
    return figures


@torch.no_grad()
def tune_temperature(model: MoEScorer, classifier: TokenClassifier, rows: dict) -> float:
    """The divisor of what the experts add that gives the highest mean p(true) on held-out photos at 10 % kept."""
    model.temperature.fill_(1.0)
    prior = prior_scores(rows["descriptors"].float())
    added = _scores(model, rows) - prior
    return max(TEMPERATURES, key=lambda t: _prediction(classifier, rows, prior + added / t)[1])


def _scores(model: MoEScorer, rows: dict) -> torch.Tensor:
    """Scores (M, N) of all rows, on the CPU."""
    parts = torch.arange(len(rows["worth"])).split(32)
    return torch.cat([score_rows(model, rows, part)[0].cpu() for part in parts])


@torch.inference_mode()
def _prediction(classifier: TokenClassifier, rows: dict, scores: torch.Tensor) -> tuple[float, float]:
    """(top-1, mean p(true)) of photos from the tokens drawn with ``scores`` (M, N) at 10 % kept, over ``DRAWS``."""
    draws = [sample_visible(scores, KEEP, generator(seed)) for seed in range(DRAWS)]
    where, right, probability = classifier.head.weight.device, 0, 0.0
    for part in torch.arange(len(scores)).split(32):
        pixels = (rows["picture"][part].float() / 255).unsqueeze(2).to(where)
        truth = rows["label"][part]
        for visible in draws:
            said = classifier.logits(pixels, visible[part].to(where)).softmax(-1).cpu()
            right += int((said.argmax(-1) == truth).sum())
            probability += said.gather(1, truth[:, None]).sum().item()
    return right / len(scores) / DRAWS, probability / len(scores) / DRAWS
