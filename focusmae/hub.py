"""What weights exist: role, file, revision, licence. At present those that ship with the project."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from focusmae.errors import SettingsError, WeightsError

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "weights"
LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class Weights:
    """One file of weights. ``role`` is autoencoder, classifier or scorer; ``revision`` names the training run."""

    role: str
    name: str
    file: str
    revision: str
    licence: str
    summary: str

    @property
    def path(self) -> Path:
        return SHIPPED / self.file


_REVISION = "shipped-1"
WEIGHTS = {
    (w.role, w.name): w
    for w in (
        Weights(
            "autoencoder", "embedded", "autoencoder.safetensors", _REVISION, LICENCE,
            "one small network for photos and clips, raw pixels on top of harmonic interpolation",
        ),
        Weights(
            "classifier", "embedded-image", "classifier-image.safetensors", _REVISION, LICENCE,
            "ten photo classes, from any subset of tokens",
        ),
        Weights(
            "classifier", "embedded-clip", "classifier-clip.safetensors", _REVISION, LICENCE,
            "the same ten classes in clips, from any subset of tokens",
        ),
        Weights(
            "scorer", "embedded", "scorer.safetensors", _REVISION, LICENCE,
            "mixture of four experts on deep features and segments",
        ),
        Weights(
            "scorer", "shallow", "scorer-shallow.safetensors", _REVISION, LICENCE,
            "the same mixture on patch embeddings and segments, as the samplers of AdaMAE and FocusMAE do",
        ),
    )
}  # fmt: skip


def names(role: str) -> list[str]:
    """The names that exist for ``role``."""
    return [name for kind, name in WEIGHTS if kind == role]


def find(role: str, name_or_path: str | Path) -> Weights | Path:
    """The entry of that name, or the path if it is one; raises SettingsError that lists the names."""
    if (role, str(name_or_path)) in WEIGHTS:
        return WEIGHTS[role, str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix == ".safetensors" or path.exists():
        return path
    raise SettingsError(
        f"There is no {role} called {str(name_or_path)!r}; there are {', '.join(names(role))}, or a .safetensors file."
    )


def sha256(path: Path) -> str:
    """Hash of a file's content, 64 hexadecimal digits; kept until the file changes. Raises WeightsError if missing."""
    try:
        status = path.stat()
    except OSError as error:
        raise WeightsError(f"There is no weights file {path.name}; the shipped ones are in assets/weights.") from error
    return _sha256(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=32)
def _sha256(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
