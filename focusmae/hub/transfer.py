"""From the Hub to this machine's cache: questions and downloads through huggingface_hub's client, resumably.

The client brings addresses, tokens, proxies and its errors; receiving the bytes is done here, because since version 2
the client throws away what has arrived when a download breaks. Plain HTTP for every file, also for those that the Hub
keeps in Xet: a range of bytes can be asked for again, and stopped at any byte.
"""

import contextlib
import hashlib
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from huggingface_hub import constants, get_hf_file_metadata, get_session
from huggingface_hub.errors import FileMetadataError, RepositoryNotFoundError
from huggingface_hub.utils import WeakFileLock, build_hf_headers

from focusmae.errors import WeightsError
from focusmae.hub import cache, sentences
from focusmae.hub.registry import Weights
from focusmae.hub.sentences import HTTPError

PAUSES = (0.5, 1.0, 2.0)  # seconds before an attempt is repeated; new bytes in between start the count again
STEP = 0.2  # seconds between two reports of progress, at most
LIBRARY = "focusmae"  # what the Hub is told about who asks

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Remote:
    """A file as the Hub announces it; ``etag`` is the SHA-256 for large files, a git hash for small ones."""

    name: str
    url: str
    etag: str
    size: int | None
    commit: str


class _Broken(Exception):
    """An attempt that may be repeated; its argument, a WeightsError, is for when there is none left."""


def download(weights: Weights, progress: Progress) -> None:
    """Fetch everything that belongs to ``weights`` into the cache; what is there already is not fetched again.

    The revision's name ("main") points to the new commit only when every file is there, so that what was whole before
    stays whole whatever happens. Raises WeightsError, in one sentence.
    """
    try:
        revision, main = _choose(weights)
        files = [_companion(weights, revision, main.commit, name) for name in (*weights.files[1:], *weights.extras)]
        files = [*filter(None, files), main]
        report = _Report(progress, sum(file.size or 0 for file in files))
        for file in files:
            report.done[file.name] = _present(*_paths(weights, file))
        report(now=True)
        for file in files:
            blob = _receive(weights, file, report)
            report.done[file.name] = _length(blob)
            _link(blob, cache.snapshot(weights.repo, main.commit) / file.name)
        if revision != main.commit:
            _point(cache.place(weights.repo) / "refs" / revision, main.commit)
        report(now=True)
    except OSError as error:
        raise WeightsError(
            f"The Hub's cache cannot hold {weights.name} ({error.strerror or type(error).__name__}): make room there, "
            "or set HF_HOME to a folder that can be written."
        ) from error


def _choose(weights: Weights) -> tuple[str, Remote]:
    """The first of the weights file's names and revisions that the repository holds."""
    for revision in weights.revisions:
        for name in weights.weights_files:
            if remote := _ask(weights, revision, name):
                return revision, remote
    looked = " or ".join(weights.weights_files)
    raise WeightsError(f"{weights.repo} holds no {looked} at revision {' or '.join(weights.revisions)} on this Hub.")


def _companion(weights: Weights, revision: str, commit: str, name: str) -> Remote | None:
    """A file that goes with the weights, at the same commit; None, which is noted, for an extra that there is not."""
    remote = _ask(weights, revision, name)
    if remote is None and name in weights.extras:
        mark = cache.absent(weights.repo, commit, name)
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return None
    if remote is None:
        raise WeightsError(f"{weights.repo} holds no {name} at revision {revision}, which {weights.name} needs.")
    if remote.commit != commit:
        raise WeightsError(f"{weights.repo} changed while it was being asked: {sentences.again(weights)}.")
    return remote


def _ask(weights: Weights, revision: str, name: str) -> Remote | None:
    """What the Hub says of a file; None if the file or the revision does not exist."""
    url = f"{constants.ENDPOINT}/{weights.repo}/resolve/{quote(revision, safe='')}/{quote(name)}"
    for pause in (*PAUSES, None):
        try:
            told = get_hf_file_metadata(
                url, timeout=constants.HF_HUB_ETAG_TIMEOUT, library_name=LIBRARY, endpoint=constants.ENDPOINT
            )
            break
        except Exception as error:  # the client also lets through what it stumbles over in a strange answer
            status = sentences.status_of(error)
            if status == 404 and not isinstance(error, RepositoryNotFoundError):
                return None
            if pause is None or not _passing(status):
                raise sentences.explained(error, weights, name, revision) from error
            time.sleep(pause)
    if not all(text and cache.SAFE.fullmatch(text) for text in (told.etag, told.commit_hash)):
        raise sentences.explained(FileMetadataError(), weights, name, revision)
    return Remote(name, url, told.etag, told.size, told.commit_hash)


def _receive(weights: Weights, file: Remote, report: "_Report") -> Path:
    """The file in the cache, under its etag, verified. One process at a time; the others wait and then find it."""
    blob, partial = _paths(weights, file)
    lock = Path(constants.HF_HUB_CACHE) / ".locks" / cache.place(weights.repo).name / f"{file.etag}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(WeakFileLock(lock, timeout=STEP))
                break
            except TimeoutError:
                report(file, _present(blob, partial), now=True)
        if blob.is_file() and file.size in (None, blob.stat().st_size):
            return blob
        _complete(weights, file, partial, report)
        _verify(weights, file, partial)
        partial.replace(blob)
        if cache.SHA256.fullmatch(file.etag):
            cache.remember(weights.repo, blob)
    return blob


def _complete(weights: Weights, file: Remote, partial: Path, report: "_Report") -> None:
    """Receive until the file is as long as announced, going on where the last attempt, of any day, ended."""
    if file.size is None or _length(partial) > file.size:
        partial.unlink(missing_ok=True)
    partial.touch()
    if (file.size or 0) - _length(partial) > shutil.disk_usage(partial.parent).free:
        raise sentences.no_room(weights, file.name, file.size)
    tries, best = 0, _length(partial)
    while (start := _length(partial)) != file.size:
        try:
            _stream(weights, file, partial, start, report)
            if file.size is None:
                return
            if _length(partial) < file.size:
                raise _Broken(_broken_off(weights, file, partial))
        except (HTTPError, _Broken) as error:
            tries = 0 if _length(partial) > best else tries + 1  # a file that had to begin again has not come further
            best = max(best, _length(partial))
            if tries > len(PAUSES):
                raise (error.args[0] if isinstance(error, _Broken) else _broken_off(weights, file, partial)) from error
            _wait(PAUSES[tries - 1] if tries else 0, lambda: report(file, _length(partial), now=True))


def _stream(weights: Weights, file: Remote, partial: Path, start: int, report: "_Report") -> None:
    """One answer of the Hub, appended to what is there."""
    headers = build_hf_headers(library_name=LIBRARY) | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with get_session().stream(
        "GET", file.url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
    ) as answer:
        if answer.status_code == 416 or not _continues(answer, start):
            partial.unlink(missing_ok=True)
            raise _Broken(_broken_off(weights, file, partial))
        if answer.status_code >= 400:
            error = sentences.refused(answer.status_code, weights, file.name, file.commit)
            raise _Broken(error) if _passing(answer.status_code) else error
        start = start if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length")
        plain = answer.headers.get("Content-Encoding", "identity") == "identity"
        if file.size is not None and length is not None and plain and start + int(length) != file.size:
            raise sentences.wrong_length(weights, file.name, start + int(length), file.size)
        with partial.open("ab" if start else "wb") as out:
            for chunk in answer.iter_bytes():
                start += len(chunk)
                if file.size is not None and start > file.size:
                    break
                out.write(chunk)
                report(file, start)
    if file.size is not None and start > file.size:
        partial.unlink(missing_ok=True)
        raise sentences.wrong_length(weights, file.name, start, file.size)


def _continues(answer, start: int) -> bool:
    """Whether an answer of a part begins where it was asked to."""
    said = answer.headers.get("Content-Range", "").removeprefix("bytes ")
    return answer.status_code != 206 or said.partition("-")[0] == str(start)


def _verify(weights: Weights, file: Remote, partial: Path) -> None:
    """The hash must be the one announced, and the one in the table if this is the table's commit."""
    known = weights.sha256.get(file.name) if file.commit == weights.revision else None
    found = []
    if known or cache.SHA256.fullmatch(file.etag):
        found = [cache.sha256(partial)]
    elif cache.SHA1.fullmatch(file.etag):  # a small file's: git's hash, or, by some mirrors, the plain one
        content = partial.read_bytes()
        found = [hashlib.sha1(begin + content).hexdigest() for begin in (b"blob %d\0" % len(content), b"")]
    for wanted in (known, file.etag):
        if found and wanted and len(wanted) == len(found[0]) and wanted not in found:
            partial.unlink(missing_ok=True)
            raise cache.other_content(weights, file.name, found[0], wanted)


def _link(blob: Path, pointer: Path) -> None:
    """Show a blob under its name, as the client does: a relative link, or the file itself where there are no links."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    if pointer.exists() and pointer.resolve() == blob.resolve():
        return
    temporary = _beside(pointer)
    try:
        up = [".."] * len(pointer.parent.relative_to(blob.parent.parent).parts)
        temporary.symlink_to(Path(*up, "blobs", blob.name))
        temporary.replace(pointer)
    except OSError:
        blob.replace(pointer)


def _point(ref: Path, commit: str) -> None:
    ref.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(ref)
    temporary.write_text(commit)
    temporary.replace(ref)


def _beside(path: Path) -> Path:
    """A name that nobody else uses, from which a file moves into its place at once: several may fetch together."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")


class _Report:
    """Bytes of all files to the caller, now and then; ``done`` holds them by name, those of an earlier day included."""

    def __init__(self, progress: Progress, total: int):
        self.progress, self.total = progress, total
        self.done: dict[str, int] = {}
        self.last = (0, 0.0)

    def __call__(self, file: Remote | None = None, length: int = 0, now: bool = False) -> None:
        if file:
            self.done[file.name] = length
        done, clock = sum(self.done.values()), time.monotonic()
        if now or done - self.last[0] > self.total / 200 or clock - self.last[1] > STEP:
            self.last = (done, clock)
            self.progress(done, max(self.total, done))


def _paths(weights: Weights, file: Remote) -> tuple[Path, Path]:
    """Where a file lies in the cache when it is whole, and while it is not."""
    blob = cache.place(weights.repo) / "blobs" / file.etag
    return blob, blob.with_name(f"{file.etag}.incomplete")


def _present(blob: Path, partial: Path) -> int:
    return _length(blob) or _length(partial)


def _wait(seconds: float, alive: Callable[[], None]) -> None:
    """Sleep in short pieces, so that whoever wants to stop is heard."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        alive()
        time.sleep(min(left, STEP))


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _broken_off(weights: Weights, file: Remote, partial: Path) -> WeightsError:
    return sentences.broken_off(weights, file.name, _length(partial), file.size)


def _passing(status: int | None) -> bool:
    """Whether a trouble of the Hub's may have passed in a second."""
    return status is not None and (status == 429 or status >= 500)
