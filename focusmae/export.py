"""A comparison as one file to take along: every picture, the figures, and a page fit for a slide."""

import tempfile
import zipfile
from pathlib import Path

from focusmae.errors import SettingsError
from focusmae.media import write_png
from focusmae.panel import draw_panel

PANEL = "panel.png"
PACKED = {".png", ".mp4"}  # compressed as they are


def bundle(comparison, path: str | Path, notes: dict[str, str] | None = None) -> Path:
    """Write a ZIP file of what ``comparison.save`` writes, the panel, and ``notes``.

    notes: file name -> text. Returns the path. Raises SettingsError where the file cannot be written.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        written = comparison.save(folder)
        panel = Path(folder) / PANEL
        write_png(panel, draw_panel(comparison))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(path, "w") as archive:
                for file in [*written, panel]:
                    how = zipfile.ZIP_STORED if file.suffix in PACKED else zipfile.ZIP_DEFLATED
                    archive.write(file, file.name, how)
                for name, text in (notes or {}).items():
                    archive.writestr(name, text, zipfile.ZIP_DEFLATED)
        except OSError as error:
            raise SettingsError(f"The file {path.name} cannot be written; choose another place.") from error
    return path
