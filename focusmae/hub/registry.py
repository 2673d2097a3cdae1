"""What weights exist: a table of name -> where from, which revision, what licence; and names of timm, on demand."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from focusmae.errors import SettingsError, WeightsError

SHIPPED = Path(__file__).resolve().parents[2] / "assets" / "weights"
SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")  # what a local file of weights may be called
TIMM = "timm:"
EITHER = "model.safetensors|pytorch_model.bin"
OURS, OPEN, CLOSED = "Apache-2.0", "Apache-2.0", "CC-BY-NC-4.0"


@dataclass(frozen=True)
class Weights:
    """One entry: a file that ships in assets/weights, or one of a repository on the Hugging Face Hub.

    Attributes:
        role: "autoencoder", "classifier", "scorer" or "segmenter".
        revision: a commit of the repository (40 hexadecimal digits), or "main" where none is known; for shipped files
            the training run. A Hub that does not have that commit, as a mirror may, is asked for "main" instead; what
            was resolved stands in :class:`Found`.
        file: name in assets/weights; None for the Hub's.
        repo: "owner/name" on the Hub; None for shipped files.
        files: the Hub's files that are needed. The first is the weights, where alternatives are separated by "|" and
            the first that the repository holds is taken (see ``weights_files``).
        extras: files that are fetched as well where the repository holds them.
        format: whose keys and configuration these are: "own", "vit-mae", "videomae", "videomae-classifier", "timm",
            "sam" or "groupvit".
        size: bytes of the weights file; 0 where it is not known before the Hub is asked.
        sha256: file name -> hash, where it is known at ``revision``.
        noncommercial: the licence forbids commercial use.
    """

    role: str
    name: str
    revision: str
    licence: str
    summary: str
    file: str | None = None
    repo: str | None = None
    files: tuple[str, ...] = ()
    format: str = "own"
    size: int = 0
    sha256: Mapping[str, str] = field(default_factory=dict, hash=False)
    noncommercial: bool = False
    extras: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """A shipped file's place. Those of the Hub have one only once they were fetched (see ``hub.fetch``)."""
        if self.file is None:
            raise WeightsError(f"{self.name} does not ship with the project, it is fetched from the Hub.")
        return SHIPPED / self.file

    @property
    def weights_files(self) -> tuple[str, ...]:
        """The names that the weights file may have on the Hub, best first."""
        return tuple(self.files[0].split("|")) if self.files else ()

    @property
    def revisions(self) -> tuple[str, ...]:
        """The revisions to ask for, in this order."""
        return (self.revision,) if self.revision == "main" else (self.revision, "main")


def _shipped(role: str, name: str, file: str, summary: str) -> Weights:
    path = SHIPPED / file
    size = path.stat().st_size if path.is_file() else 0
    return Weights(role, name, "shipped-5", OURS, summary, file=file, size=size)


def _hub(role, name, repo, form, size, licence, summary, revision="main", weights=EITHER, sha256=None, extras=()):
    return Weights(
        role, name, revision, licence, summary, repo=repo, files=(weights, "config.json"), format=form, size=size,
        sha256=sha256 or {}, noncommercial=licence != OPEN, extras=extras,
    )  # fmt: skip


# MAE's and VideoMAE's weights are CC-BY-NC 4.0 by their authors' repositories (the cards of facebook/vit-mae-* on the
# Hub say otherwise; the stricter one is taken). Revisions and hashes are those that public lock files agree upon.
WEIGHTS = {
    (w.role, w.name): w
    for w in (
        _shipped(
            "autoencoder", "embedded", "autoencoder.safetensors",
            "one small network for photos and clips: interpolation, transformer, U-Net",
        ),
        _hub(
            "autoencoder", "mae-base", "facebook/vit-mae-base", "vit-mae", 447_670_680, CLOSED,
            "MAE ViT-B/16, photos", "25b184bea5538bf5c4c852c79d221195fdd2778d",
            sha256={"model.safetensors": "479dcef4bd5df06259399027b789f21e9d9a1b79f37155a64176d55bc26fdae8"},
        ),
        _hub(
            "autoencoder", "mae-large", "facebook/vit-mae-large", "vit-mae", 1_318_371_301, CLOSED,
            "MAE ViT-L/16, photos", "142cb8c25e1b1bc1769997a919aa1b5a2345a6b8",
            sha256={"pytorch_model.bin": "28a019bd1842a7bdea1cfa9bb390047ad3fab82032cea2045873ca0399ca5a84"},
        ),
        _hub(
            "autoencoder", "mae-huge", "facebook/vit-mae-huge", "vit-mae", 2_630_000_000, CLOSED,
            "MAE ViT-H/14, photos",
        ),
        _hub(
            "autoencoder", "videomae-base", "MCG-NJU/videomae-base", "videomae", 376_873_760, CLOSED,
            "VideoMAE ViT-B/16, clips, trained on Kinetics-400", "dc740ceda42fce44faed2ea03c6d447db72f6af9",
            sha256={"model.safetensors": "bc053ca2840a038b1068269a4eec06ca569689e9a1ed9376a5b2b8a111be5290"},
        ),
        _hub(
            "autoencoder", "videomae-large", "MCG-NJU/videomae-large", "videomae", 1_372_166_773, CLOSED,
            "VideoMAE ViT-L/16, clips, trained on Kinetics-400", "12da269a02d3e1fbbb7011e610e591fea8061dca",
        ),
        _hub(
            "autoencoder", "videomae-base-ssv2", "MCG-NJU/videomae-base-ssv2", "videomae", 377_000_000, CLOSED,
            "VideoMAE ViT-B/16, clips, trained on Something-Something V2",
        ),
        _shipped(
            "classifier", "embedded-image", "classifier-image.safetensors",
            "ten photo classes, from any subset of tokens",
        ),
        _shipped(
            "classifier", "embedded-clip", "classifier-clip.safetensors",
            "the same ten classes in clips, from any subset of tokens",
        ),
        _hub(
            "classifier", "vit-base", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k", "timm", 346_284_714, OPEN,
            "ViT-B/16, photos, the 1000 classes of ImageNet; not derived from MAE",
            "063c6c38a5d8510b2e57df480445e94b231dad2c",
            sha256={"model.safetensors": "32aa17d6e17b43500f531d5f6dc9bc93e56ed8841b8a75682e1bb295d722405b"},
        ),
        _hub(
            "classifier", "videomae-base-kinetics", "MCG-NJU/videomae-base-finetuned-kinetics", "videomae-classifier",
            346_000_000, CLOSED, "VideoMAE ViT-B/16, clips, the 400 actions of Kinetics",
            "488eb9a0565f257b32866000305c8178965eb9f6",
        ),
        _hub(
            "classifier", "videomae-large-kinetics", "MCG-NJU/videomae-large-finetuned-kinetics",
            "videomae-classifier", 1_217_000_000, CLOSED, "VideoMAE ViT-L/16, clips, the 400 actions of Kinetics",
            "0f6adcd5f6902900aa0281f9daacfe52bb3c4ad4",
        ),
        _hub(
            "classifier", "videomae-base-ssv2-finetuned", "MCG-NJU/videomae-base-finetuned-ssv2",
            "videomae-classifier", 346_000_000, CLOSED,
            "VideoMAE ViT-B/16, clips, the 174 actions of Something-Something V2",
        ),
        _shipped(
            "scorer", "embedded", "scorer.safetensors",
            "mixture of four experts on deep features and segments",
        ),
        _shipped(
            "scorer", "shallow", "scorer-shallow.safetensors",
            "the same mixture on patch embeddings and segments, as the samplers of AdaMAE and FocusMAE do",
        ),
        _hub(
            "segmenter", "sam-vit-base", "facebook/sam-vit-base", "sam", 375_000_000, OPEN,
            "Segment Anything, ViT-B", "70c1a07f894ebb5b307fd9eaaee97b9dfc16068f", weights="model.safetensors",
        ),
        _hub(
            "segmenter", "sam-vit-large", "facebook/sam-vit-large", "sam", 1_250_000_000, OPEN,
            "Segment Anything, ViT-L", "6851e0441005b0fb96f2cc4dfac472f3d1b14af1", weights="model.safetensors",
        ),
        _hub(
            "segmenter", "sam-vit-huge", "facebook/sam-vit-huge", "sam", 2_560_000_000, OPEN,
            "Segment Anything, ViT-H", "87aecf0df4ce6b30cd7de76e87673c49644bdf67", weights="model.safetensors",
        ),
        _hub(
            "segmenter", "groupvit", "nvidia/groupvit-gcc-redcaps", "groupvit", 223_000_000,
            "Nvidia Source Code License", "GroupViT, groups by text", weights="model.safetensors",
            extras=(
                "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
                "vocab.json", "merges.txt",
            ),
        ),
    )
}  # fmt: skip


def names(role: str) -> list[str]:
    """The names that exist for ``role``; a classifier may also be called ``timm:NAME``."""
    return [name for kind, name in WEIGHTS if kind == role]


def named(name: str) -> list[Weights]:
    """The entries of that name in any role. Raises SettingsError, which lists the names, if there is none."""
    found = [weights for (_, other), weights in WEIGHTS.items() if other == name]
    if not found and name.startswith(TIMM):
        found = [timm_weights(name.removeprefix(TIMM))]
    if not found:
        known = dict.fromkeys(other for _, other in WEIGHTS)
        raise SettingsError(f"There are no weights called {name!r}; there are {', '.join(known)}, or timm:NAME.")
    return found


def find(role: str, name_or_path: str | Path) -> Weights | Path:
    """The entry of that name, or the path of a file or of a folder with config.json and weights, as the Hub has them.

    Raises SettingsError, which lists the names. A file that is named as weights are is passed on even where it does
    not exist: whoever opens it says so.
    """
    name = str(name_or_path)
    if (role, name) in WEIGHTS:
        return WEIGHTS[role, name]
    if role == "classifier" and name.startswith(TIMM):
        return timm_weights(name.removeprefix(TIMM))
    path = Path(name_or_path)
    if path.suffix in SUFFIXES or path.is_file():
        return path
    if path.is_dir() and (path / "config.json").is_file() and folder_weights(path):
        return path
    if path.is_dir():
        raise SettingsError(f"The folder {path.name} holds no config.json and {EITHER.replace('|', ' or ')}.")
    more = " timm:NAME," if role == "classifier" else ""
    raise SettingsError(
        f"There is no {role} called {name!r}; there are {', '.join(names(role))},{more} or a file "
        f"({', '.join(SUFFIXES)})."
    )


def folder_weights(folder: Path) -> Path | None:
    """The weights file in a folder that looks like the Hub's; None if there is none."""
    return next((folder / name for name in EITHER.split("|") if (folder / name).is_file()), None)


@functools.lru_cache(maxsize=64)
def timm_weights(name: str) -> Weights:
    """The entry of a classifier of timm, from timm's own table. Raises SettingsError, in one sentence."""
    # Here and not above: importing timm takes seconds, and few ask for its models by name.
    import timm
    from timm.data import infer_imagenet_subset

    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:  # a model that exists, with weights that do not
        config = None
    if config is None:
        raise SettingsError(f"timm has no weights called {name!r}; timm.list_pretrained('vit*') lists what it has.")
    if not timm.models.is_model_in_modules(name, ["vision_transformer"]):
        raise SettingsError(f"timm's {name} is no plain vision transformer, whose tokens could be left out.")
    if not config.hf_hub_id:
        raise SettingsError(f"timm's {name} has no weights on the Hub; save them and give the file's path.")
    if infer_imagenet_subset(config) is None:
        raise SettingsError(f"timm's {name} does not name ImageNet's classes; choose one that was tuned on ImageNet.")
    licence = config.license or "unknown"
    return Weights(
        "classifier", TIMM + name, "main", _spelled(licence), f"timm's {config.architecture}, photos",
        repo=config.hf_hub_id, files=(config.hf_hub_filename or EITHER, "config.json"), format="timm",
        noncommercial="-nc" in licence or "noncommercial" in licence,
    )  # fmt: skip


def _spelled(licence: str) -> str:
    """timm's lower-case identifiers as SPDX spells them."""
    return {"apache-2.0": "Apache-2.0", "mit": "MIT"}.get(licence, licence.upper() if "cc-by" in licence else licence)
