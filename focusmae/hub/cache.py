"""What of the Hub is on this machine already: the Hub client's own cache, read without asking any network.

The layout is huggingface_hub's (models--owner--name/{blobs,refs,snapshots}), shared with every program that uses it:
what one has fetched is here for the others. https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import contextlib
import functools
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants

from focusmae.errors import WeightsError
from focusmae.hub.registry import Weights

COMMIT = re.compile(r"[0-9a-f]{40}")
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")  # what a Hub may say that becomes the name of a file here
SHA1 = COMMIT
SHA256 = re.compile(r"[0-9a-f]{64}")
CHECKED = ".focusmae"  # beside the client's own folders: size and time of every file whose hash was found right


@dataclass(frozen=True)
class Found:
    """Weights that lie on this machine.

    Attributes:
        path: the weights file.
        folder: where config.json and the extras lie.
        config: what config.json says; None where there is none, as for shipped files.
        revision: the commit that they are of; the registry's "shipped-N" for ours, "local" for a visitor's own file.
        sha256: the weights file's hash, 64 hexadecimal digits.
    """

    path: Path
    folder: Path
    config: dict | None
    revision: str
    sha256: str


def place(repo: str) -> Path:
    """The folder of a repository in the cache, which need not exist."""
    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def snapshot(repo: str, commit: str) -> Path:
    """The folder that shows a repository's files as they are at a commit."""
    return place(repo) / "snapshots" / commit


def lookup(weights: Weights) -> tuple[Path, str] | None:
    """The weights file in the cache and its commit, where everything that belongs to it is whole; else None."""
    for revision in weights.revisions:
        commit = _commit(weights.repo, revision)
        if commit is None:
            continue
        folder = snapshot(weights.repo, commit)
        path = next((folder / name for name in weights.weights_files if is_whole(weights.repo, folder / name)), None)
        needed = all((folder / name).is_file() for name in weights.files[1:])
        if path and needed and all(_settled(weights.repo, commit, name) for name in weights.extras):
            return path, commit
    return None


def here(weights: Weights | Path) -> bool:
    """Whether these weights can be loaded without a network: shipped, whole in the cache, or a visitor's own file."""
    if isinstance(weights, Path):
        return weights.exists()
    return weights.path.is_file() if weights.file else lookup(weights) is not None


def absent(repo: str, commit: str, name: str) -> Path:
    """The mark, also the client's own, that says that a repository does not hold a file at a commit."""
    return place(repo) / ".no_exist" / commit / name


def _settled(repo: str, commit: str, name: str) -> bool:
    return (snapshot(repo, commit) / name).is_file() or absent(repo, commit, name).is_file()


def _commit(repo: str, revision: str) -> str | None:
    if COMMIT.fullmatch(revision):
        return revision
    try:
        commit = (place(repo) / "refs" / revision).read_text().strip()
    except OSError:
        return None
    return commit if SAFE.fullmatch(commit) else None


def is_whole(repo: str, path: Path) -> bool:
    """Whether a file exists, as long as it was when its hash was found right, or as its own header says."""
    try:
        blob = path.resolve()
        status = blob.stat()
    except OSError:
        return False
    seen = _text(_mark(repo, blob))
    return seen.split()[0] == str(status.st_size) if seen else _is_whole(blob, path.suffix, status.st_size)


@functools.lru_cache(maxsize=128)
def _is_whole(blob: Path, suffix: str, size: int) -> bool:
    """False for an empty file, and for safetensors that are shorter than the table at their beginning demands."""
    if suffix != ".safetensors" or not size:
        return size > 0
    with blob.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > constants.SAFETENSORS_MAX_HEADER_LENGTH:
            return True  # not safetensors at all: for whoever reads it to say
        try:
            table = json.loads(file.read(length))
            return size >= 8 + length + max(entry["data_offsets"][1] for key, entry in table.items() if key[0] != "_")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return size >= 8 + length


def read(weights: Weights, path: Path, commit: str) -> Found:
    """A file that :func:`lookup` found, with its configuration, hash verified. Raises WeightsError."""
    try:
        config = _config(path.parent)
    except ValueError as error:
        _remove(path.parent / "config.json")
        raise WeightsError(
            f"The config.json of {weights.name} was damaged and is removed: fetch it again with "
            f"`python -m focusmae download {weights.name}`."
        ) from error
    return Found(path, path.parent, config, commit, checked(weights, path, commit))


def read_config(folder: Path, name: str) -> dict | None:
    """A visitor's config.json as a dictionary; None if the folder has none. Raises WeightsError if it is damaged."""
    try:
        return _config(folder)
    except (OSError, ValueError) as error:
        raise WeightsError(f"The config.json beside {name} is damaged, so what it belongs to is not known.") from error


def _config(folder: Path) -> dict | None:
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    if not isinstance(config, dict):
        raise ValueError("no settings in it")
    return config


def checked(weights: Weights, path: Path, commit: str) -> str:
    """The SHA-256 of a weights file in the cache, which must be the one that the Hub and the table promise.

    The Hub's cache names every large file for its SHA-256. It is computed once after a file came or changed, and
    then taken from its name: reading 2.6 GB twice would double the time that loading takes.
    """
    blob = path.resolve()
    announced = blob.name if SHA256.fullmatch(blob.name) else None
    known = weights.sha256.get(path.name) if commit == weights.revision else None
    found = announced if announced and _text(_mark(weights.repo, blob)) == _seen(blob) else sha256(blob)
    wanted = next((value for value in (known, announced) if value and value != found), None)
    if wanted:
        _remove(path)
        raise other_content(weights, path.name, found, wanted)
    remember(weights.repo, blob)
    return found


def other_content(weights: Weights, name: str, found: str, wanted: str) -> WeightsError:
    """The error for a file whose hash is not the promised one, once it is removed."""
    return WeightsError(
        f"{name} of {weights.name} has other content than was announced (its hash begins with {found[:12]} instead "
        f"of {wanted[:12]}) and was removed: fetch it again with `python -m focusmae download {weights.name}`."
    )


def _remove(path: Path) -> None:
    """Take a file out of the cache, with the blob that it points to."""
    for wrong in (path.resolve(), path):
        with contextlib.suppress(OSError):
            wrong.unlink()


def remember(repo: str, blob: Path) -> None:
    """Note that a blob's hash was found right, so that it is not computed again until the file changes."""
    with contextlib.suppress(OSError):  # a cache that cannot be written is only slower
        mark = _mark(repo, blob)
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(_seen(blob))


def _mark(repo: str, blob: Path) -> Path:
    return place(repo) / CHECKED / blob.name


def _seen(blob: Path) -> str:
    status = blob.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return None


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
