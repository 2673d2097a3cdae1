"""What each token is worth to a frozen classifier: the targets from which the scorer learns. There are two.

Monte-Carlo attribution (as RISE; Petsiuk et al., BMVC 2018): over many random subsets of the tokens, a token's worth is
the mean log-probability of the true class with it visible minus that with it hidden. Noisy for one photo, unbiased over
many. A photo's worth also serves clips made from it by pan and zoom: it moves with the picture.

Activation (Zhou et al., CVPR 2016, with the gradient as in Selvaraju et al., ICCV 2017): what each token adds, to first
order, to the log-probability of the true class when all tokens are visible. Without noise, but of the full view alone.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from focusmae.masking import Grid, sample_visible
from focusmae.models.classifier import TokenClassifier
from focusmae.models.load import segment_inputs
from focusmae.models.scorer import MoEScorer
from focusmae.segments.base import SegmentMap
from focusmae.training.data import CLIP_GRID, FRAMES, PHOTO_GRID, box_grid, crop, random_boxes, step_generator
from focusmae.training.segmented import MOST_SEGMENTS, Examples

MASKS, KEEP = 24, 0.15
CHUNK = 64
CLIP_EVERY_STEP = 6


@torch.inference_mode()
def token_worth(model: TokenClassifier, pixels: torch.Tensor, label: int, draws: torch.Generator) -> torch.Tensor:
    """Worth (N,) of the tokens of one photo (1, 3, 1, 224, 224) for class ``label``, in nats of log-probability."""
    tokens = PHOTO_GRID.tokens
    visible = sample_visible(torch.zeros(MASKS, tokens), KEEP, draws, "random", grid=PHOTO_GRID)
    device = pixels.device
    value = model.logits(pixels.expand(MASKS, -1, -1, -1, -1), visible.to(device)).log_softmax(-1)[:, label].cpu()
    seen = torch.zeros(MASKS, tokens).scatter_(1, visible, 1.0)
    with_it, without = seen.sum(0), (1 - seen).sum(0)
    worth = (seen * value[:, None]).sum(0) / with_it.clamp_min(1) - ((1 - seen) * value[:, None]).sum(0) / without
    return torch.where(with_it > 0, worth, worth.new_zeros(()))


def collect(
    folder: Path, examples: Examples, photo: TokenClassifier, clip: TokenClassifier, clip_every: int, seed: int,
    report=print,
) -> list[Path]:  # fmt: skip
    """Write what the scorer is trained on into ``folder``, in chunks; chunks that are there already are kept.

    One photo in ``clip_every`` also becomes a clip (0: none). Where a photo has no label, what the classifier says of
    the whole of it stands for one. Returns the chunk files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for start in range(0, len(examples), CHUNK):
        path = folder / f"{start:06d}.safetensors"
        files.append(path)
        if path.exists():
            continue
        rows: dict[str, list[torch.Tensor]] = {}
        for number in range(start, min(start + CHUNK, len(examples))):
            draws = step_generator(seed, 11, number)
            picture, label, segments = examples.example(number, draws)
            for name, value in _photo(picture, label, photo, segments, draws).items():
                rows.setdefault(f"photo.{name}", []).append(value)
            if clip_every and number % clip_every == 0:
                names = ("label", "worth", "labels", "quality")
                label, worth, labels, quality = (rows[f"photo.{name}"][-1] for name in names)
                for name, value in _clip(picture, int(label), worth, labels, quality, clip, draws).items():
                    rows.setdefault(f"clip.{name}", []).append(value)
        save_file({name: torch.stack(values) for name, values in rows.items()}, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        report(f"  collected {min(start + CHUNK, len(examples))} of {len(examples)}")
    return files


def load_rows(files: list[Path], kind: str) -> dict[str, torch.Tensor]:
    """All rows of ``kind`` ("photo" or "clip") as tensors by name; {} where there are none."""
    parts = [load_file(file) for file in files]
    keys = sorted({key for part in parts for key in part if key.startswith(f"{kind}.")})
    return {key.split(".", 1)[1]: torch.cat([part[key] for part in parts if key in part]) for key in keys}


def choose(rows: dict[str, dict], step: int, batch: int, draws: torch.Generator) -> tuple[str, dict, torch.Tensor]:
    """(kind, its rows, which of them) of a step: one in six learns from clips, of which fewer fit into a batch."""
    kind = "clip" if step % CLIP_EVERY_STEP == CLIP_EVERY_STEP - 1 and rows["clip"] else "photo"
    size = batch if kind == "photo" else max(2, batch // 8)
    return kind, rows[kind], torch.randint(len(rows[kind]["label"]), (size,), generator=draws)


def score_rows(model: MoEScorer, rows: dict, chosen) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and gates of collected rows."""
    where = model.temperature.device
    parts = rows[model.config.reads][chosen], rows["descriptors"][chosen], rows["owners"][chosen]
    tokens, descriptors, owners = (part.to(where) for part in parts)
    return model(tokens.float(), descriptors.float(), owners.long())


def targets(rows: dict[str, torch.Tensor], grid: Grid) -> torch.Tensor:
    """What the experts are to add to the prior: smoothed worth (M, N), centred, in units of its deviation.

    Worth from a few masks is mostly noise, which smoothing over neighbouring tokens takes away.
    """
    worth = centred(smoothed(rows["worth"], grid))
    return worth / worth.std().clamp_min(1e-6)


def activation_targets(rows: dict[str, torch.Tensor], model: TokenClassifier) -> torch.Tensor:
    """The same from the activation of the true class (M, N), which has no noise to be smoothed away.

    In units of each input's own deviation: the slope of log p is steepest where the classifier is wrong, and nobody can
    foresee the true class there.
    """
    parts = torch.arange(len(rows["label"])).split(CHUNK)
    found = centred(torch.cat([activation(model, rows["features"][part], rows["label"][part]) for part in parts]))
    return found / found.std(1, keepdim=True).clamp_min(1e-6)


@torch.enable_grad()
def activation(model: TokenClassifier, features: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """What the tokens' features (B, N, D) after the last block add to log p(label (B,)), to first order: (B, N)."""
    where = model.head.weight.device
    features = features.to(where).float().requires_grad_(True)
    said = model.head_logits(features).log_softmax(-1).gather(1, label.to(where).long()[:, None])
    (slope,) = torch.autograd.grad(said.sum(), features)
    return ((features.detach() * slope).sum(-1) * features.shape[1]).cpu()


def smoothed(values: torch.Tensor, grid: Grid, width: float = 1.0) -> torch.Tensor:
    """Values (M, N) under a Gaussian of ``width`` tokens in the plane; a constant stays as it is."""
    offsets = torch.arange(-3, 4)
    kernel = torch.exp(-(offsets**2) / (2 * width**2))
    kernel = (kernel[:, None] * kernel[None] / kernel.sum() ** 2)[None, None]
    planes = values.reshape(-1, 1, grid.h, grid.w)
    return F.conv2d(F.pad(planes, (3, 3, 3, 3), mode="replicate"), kernel).reshape(values.shape)


def centred(values: torch.Tensor) -> torch.Tensor:
    """Values (M, N) less each input's mean."""
    values = values.float()
    return values - values.mean(1, keepdim=True)


@torch.inference_mode()
def _photo(picture, label: int, model: TokenClassifier, segments: SegmentMap, draws: torch.Generator) -> dict:
    pixels = (picture.float() / 255)[None, :, None]
    if label < 0:
        label = int(model.logits(pixels.to(model.head.weight.device)).argmax())
    worth = token_worth(model, pixels, label, draws)
    labels = torch.from_numpy(segments.labels[0]).to(torch.int16)
    quality = torch.zeros(MOST_SEGMENTS)
    quality[: segments.count] = torch.from_numpy(segments.quality)[:MOST_SEGMENTS]
    about = {"worth": worth, "label": torch.tensor(label), "labels": labels, "quality": quality, "picture": picture}
    return {**_inputs(pixels, segments, model, PHOTO_GRID), **about}


@torch.inference_mode()
def _clip(picture, label: int, worth, labels, quality, model: TokenClassifier, draws: torch.Generator) -> dict:
    """A glide over the photo; segments and worth glide with it (so no segmenter runs, and ids persist)."""
    ends = random_boxes(2, draws, 0.45)
    boxes = torch.lerp(ends[0], torch.lerp(ends[0], ends[1], 0.5), torch.linspace(0, 1, FRAMES).unsqueeze(1))
    frames = crop(picture[None].expand(FRAMES, -1, -1, -1), boxes)
    maps = torch.stack([labels.float(), F.interpolate(worth.view(1, 1, 14, 14), size=labels.shape)[0, 0]])
    place = box_grid(boxes)
    moved = F.grid_sample(maps.expand(FRAMES, -1, -1, -1), place, mode="nearest", align_corners=False)
    moved_labels = moved[:, 0].round().int().numpy()
    segments = SegmentMap(moved_labels, quality.numpy()[: int(labels.max())], "moved")
    pixels = frames.transpose(0, 1)[None]
    per_token = F.avg_pool3d(moved[None, None, :, 1], (2, 16, 16)).flatten()
    return {**_inputs(pixels, segments, model, CLIP_GRID), "worth": per_token, "label": torch.tensor(label)}


def _inputs(pixels: torch.Tensor, segments: SegmentMap, model: TokenClassifier, grid: Grid) -> dict:
    where = model.head.weight.device
    descriptors, owners = segment_inputs(pixels, segments, grid)
    return {
        "features": model.features(pixels.to(where))[0].half().cpu(),
        "embeddings": model.encoder.embed(pixels.to(where))[0].half().cpu(),
        "descriptors": descriptors.half(),
        "owners": owners.to(torch.int16),
    }
