"""A job as something to take along: lines of Python, or of a shell, that give the same result."""

from __future__ import annotations

import dataclasses
import shlex

from focusmae.settings import Settings
from focusmae.ui.picker import EXAMPLES_FOLDER, PHOTOS, SHIPPED

UPLOAD = "photo.jpg"  # where the browser did not tell the file's name
_STANDARD = Settings()


def as_python(source: str, name: str, settings: Settings) -> str:
    """A script that compares the same and saves everything to ``out/``."""
    lines = ["import focusmae", ""]
    if source in PHOTOS:
        lines = ["import skimage.data", "", "import focusmae", ""]
        given = f"skimage.data.{source}()"
    else:
        given = repr(_file(source, name))
    arguments = [given, f"keep={settings.keep:g}", f"seed={settings.seed}", f"strategies={settings.strategies!r}"]
    arguments += [f"{key}={value!r}" for key, value in _changed(settings).items()]
    return "\n".join([*lines, f"result = focusmae.compare({', '.join(arguments)})", 'result.save("out/")', ""])


def as_command(source: str, name: str, settings: Settings) -> str:
    """The same for a shell, in the project's folder."""
    first = []
    if source in PHOTOS:
        path = f"{source}.png"
        code = f"import skimage; skimage.io.imsave('{path}', skimage.data.{source}())"
        first = [f"python -c {shlex.quote(code)} &&"]
    else:
        path = _file(source, name)
    words = ["python", "-m", "focusmae", "compare", path, "--keep", f"{settings.keep:g}", "--seed", str(settings.seed)]
    words += ["--strategies", ",".join(settings.strategies)]
    for key, value in _changed(settings).items():
        if isinstance(value, tuple):
            value = ",".join(":".join(f"{number:g}" for number in row) for row in value)
        words += [f"--{key}", str(value)]
    return " ".join([*first, *map(shlex.quote, [*words, "--out", "out/"])])


def _changed(settings: Settings) -> dict:
    """What differs from the standard, besides what is always named."""
    named = {"keep", "seed", "strategies"}
    values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(Settings) if f.name not in named}
    return {key: value for key, value in values.items() if value != getattr(_STANDARD, key)}


def _file(source: str, name: str) -> str:
    """An example lies in the repository; an upload has the name that it had on the visitor's machine."""
    if (SHIPPED / source).is_file() and "/" not in source:
        return f"{EXAMPLES_FOLDER}/{source}"
    return name or UPLOAD
