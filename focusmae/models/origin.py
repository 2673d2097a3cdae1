"""Which weights a model is made of: what every result records."""

from dataclasses import dataclass
from pathlib import Path

from focusmae import hub


@dataclass(frozen=True)
class Origin:
    """``sha256`` None: not known yet. A large file of a visitor's own is hashed when somebody asks, not to load it:
    that takes several times as long as reading it."""

    role: str
    name: str
    revision: str
    licence: str
    path: Path
    changed: tuple[int, int]
    sha256: str | None

    def row(self) -> dict[str, str]:
        """{role, name, revision, sha256, licence}; sha256 is "" if the file has changed since it was loaded."""
        known = self.sha256
        if known is None:
            known = hub.sha256(self.path) if self.path.is_file() and stamp(self.path) == self.changed else ""
        return {
            "role": self.role,
            "name": self.name,
            "revision": self.revision,
            "sha256": known,
            "licence": self.licence,
        }


def stamp(path: Path) -> tuple[int, int]:
    """Time of the last change and size: when either differs, so may the content."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size
