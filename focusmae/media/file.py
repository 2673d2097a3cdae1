"""Files as they arrive: a name fit for a sentence, bytes within the limits, and what their content is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from focusmae.errors import MediaError
from focusmae.media.limits import LIMITS


def call_it(name: str | Path) -> str:
    """A name fit for a sentence: no folders, nothing unprintable, not endless."""
    base = os.fsdecode(name).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    base = "".join(letter for letter in base if letter.isprintable()) or "upload"
    return base if len(base) <= 60 else f"{base[:40]}…{base[-16:]}"


def read_file(path: str | Path, name: str) -> bytes:
    """The file's bytes; its kind and size are checked before it is opened. Raises MediaError."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f'"{name}" is a folder: choose one photo or clip in it.')
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f'"{name}" is not an ordinary file: choose {LIMITS.formats()}.')
        check_bytes(status.st_size, name)
        with open(path, "rb") as file:
            data = file.read(LIMITS.upload_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MediaError(f'"{name}" does not exist: check the name and the folder.') from error
    except PermissionError as error:
        raise MediaError(f'"{name}" may not be read: allow reading it, or choose another file.') from error
    except (OSError, ValueError) as error:  # a name too long or with a null in it, a broken disk
        raise MediaError(f'"{name}" cannot be read from the disk: choose another file.') from error
    check_bytes(len(data), name)
    return data


def check_bytes(count: int, name: str) -> None:
    """Raises MediaError for an empty or too large file of ``count`` bytes."""
    if count == 0:
        raise MediaError(f'"{name}" is empty: choose {LIMITS.formats()}.')
    if count > LIMITS.upload_bytes:
        raise MediaError(
            f'"{name}" has more than {LIMITS.upload_megabytes} MB: '
            f"files up to {LIMITS.upload_megabytes} MB work."
        )


# First bytes -> what a visitor would call it; only for a helpful sentence.
_OTHERS = {
    b"BM": "a BMP picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"%PDF": "a PDF document",
    b"PK\3\4": "a ZIP archive",
    b"ID3": "a sound file",
    b"OggS": "an Ogg file",
    b"\xff\x0a": "a JPEG XL picture",
    b"<svg": "an SVG drawing",
}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_QUICKTIME = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"}


def form_of(data: bytes, name: str) -> str:
    """ "photo", or FFmpeg's name of the container ("mov", "matroska", "gif"), from the first bytes.

    Raises MediaError, with what the file seems to be, for everything else.
    """
    if data.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")):
        return "photo"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "photo"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    what = next((words for start, words in _OTHERS.items() if data.startswith(start)), None)
    if data[4:8] in _QUICKTIME:
        if data[8:12] in _HEIC:
            what = "a HEIC picture"
        elif data[8:12] in (b"avif", b"avis"):
            what = "an AVIF picture"
        else:
            return "mov"
    elif data[:4] == b"RIFF":
        what = "an AVI video" if data[8:12] == b"AVI " else "a sound file"
    elif what is None and b"\0" not in data[:1024]:
        what = "text"
    raise MediaError(f'"{name}" is {what or "of an unknown kind"}: choose {LIMITS.formats()}.')
