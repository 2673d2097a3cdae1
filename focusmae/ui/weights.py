"""The weights that visitors may choose, as rows for the page and for programs. Listed names only, never paths."""

from __future__ import annotations

from focusmae import hub
from focusmae.errors import SettingsError
from focusmae.segments.base import SEGMENTERS
from focusmae.ui.gpu import ZERO

ROLES = ("autoencoder", "classifier", "segmenter")
AUTOMATIC = {
    "name": "", "title": "", "summary": "", "licence": "", "noncommercial": False, "size": 0, "here": True, "kind": "",
}  # fmt: skip


def rows() -> dict[str, list[dict]]:
    """What can be chosen for each role; the first choice is the automatic one, whose title is empty.

    Each row: name, title, summary, licence, noncommercial, size (bytes to fetch), here (nothing left to fetch),
    kind ("image" or "clip" for what works with one of them alone, else "").
    """
    found = {role: [AUTOMATIC, *map(_row, _listed(role))] for role in ROLES[:2]}
    weights = {entry.name: entry for entry in _listed("segmenter")}
    found["segmenter"] = [
        _row(weights[name]) if name in weights else {**AUTOMATIC, "name": name, "title": "" if name == "auto" else name}
        for name in SEGMENTERS
    ]
    return found


def rows_with_waits() -> dict[str, list[dict]]:
    """The same; SAM's rows also say how long it will take here: wait {"image": seconds, "clip": seconds}.

    A product of matrices is timed for it once, so this imports torch. Not where cards are lent by the call.
    """
    found = rows()
    if ZERO:
        return found
    from focusmae.segments.sam_wait import OPERATIONS, estimate  # late: it imports torch

    for row in found["segmenter"]:
        if row["name"] in OPERATIONS:
            row["wait"] = {kind: estimate(frames=n, name=row["name"]) for kind, n in (("image", 1), ("clip", 16))}
    return found


def known(role: str, name: str) -> str:
    """``name`` if it is "" or a listed name: nobody may name a path on this machine. Raises SettingsError."""
    if name and name not in hub.names(role):
        raise SettingsError(f"There is no {role} {name!r} here; choose from {', '.join(hub.names(role))}.")
    return name


def _listed(role: str) -> list[hub.Weights]:
    return [entry for name in hub.names(role) if isinstance(entry := hub.find(role, name), hub.Weights)]


def _row(entry: hub.Weights) -> dict:
    return {
        "name": entry.name,
        "title": entry.name,
        "summary": entry.summary,
        "licence": entry.licence,
        "noncommercial": entry.noncommercial,
        "size": entry.size,
        "here": hub.here(entry),
        "kind": _kind(entry),
    }


def _kind(entry: hub.Weights) -> str:
    if entry.format.startswith("videomae") or entry.name.endswith("-clip"):
        return "clip"
    return "image" if entry.format in ("vit-mae", "timm") or entry.name.endswith("-image") else ""
