"""The house keeps its floors: who may import whom, read from the source; and what else holds for every file."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

import focusmae

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "focusmae"
VISITORS = {"ui", "app"}  # the rooms that may import gradio
HIDDEN = {".ci", ".github", ".gitignore"}  # the dotted names that belong to the project

# From the ground up. A room is a folder or a module. A file
# imports from rooms on lower floors or from its own room: never up, never sideways into another room of its floor.
FLOORS = [
    {"errors", "strategies", "timing"},
    {"device", "precision", "spacing", "steps"},
    {"masking", "metrics", "media", "hub"},
    {"segments"},
    {"models", "labelled"},
    {"settings"},
    {"segmenting"},
    {"render", "prepared"},
    {"arms"},
    {"comparison"},
    {"evidence", "panel"},
    {"export"},
    {"training", "benchmark", "download", "publish", "segments_report"},
    {"evaluation"},
    {"__main__"},
    {"ui"},
    {"app"},
    {"__init__"},  # the front door: everybody outside comes in here, nobody inside does
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py")) + [ROOT / "app.py"]


def room_of(module: str) -> str:
    """The room of a dotted module name: "focusmae.models.load" -> "models", "focusmae.media.clip" -> "media"."""
    parts = module.split(".")
    if parts[0] != "focusmae":
        return parts[0]
    name = parts[1] if len(parts) > 1 else "__init__"
    return name


def module_of(path: Path) -> str:
    """The dotted name of a source file; a package is named as its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {module_of(path) for path in FILES}


def imported(path: Path, everywhere: bool = True) -> set[str]:
    """Every module that a file imports, absolute or relative: also inside functions and for types, or at once alone."""
    found, tree = set(), ast.parse(path.read_text())
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module_of(path).split(".")[: None if path.name == "__init__.py" else -1]
                package = package[: len(package) - (node.level - 1)]
                base = ".".join([*package, *filter(None, [base])])
            # "from focusmae import render" names a module, "from focusmae.render import panes" does not.
            below = {f"{base}.{alias.name}" for alias in node.names} & MODULES
            found |= below or {base}
            if below and len(below) < len(node.names):
                found.add(base)
    return found


def ours(modules: set[str]) -> set[str]:
    return {module for module in modules if module == "app" or module.split(".")[0] == "focusmae"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_go_down(path):
    room = room_of(module_of(path))
    assert room in FLOOR, f"{path.name} stands in no room of the table"
    for module in ours(imported(path)):
        other = room_of(module)
        assert other in FLOOR, f"{module} does not exist"
        assert other == room or FLOOR[other] < FLOOR[room], f"{module_of(path)} imports {module}: up or sideways"


def test_every_room_is_lived_in():
    assert {room_of(module_of(path)) for path in FILES} == set(FLOOR)
    assert sum(len(rooms) for rooms in FLOORS) == len(FLOOR)


def test_no_circles_within_a_room():
    edges = {module_of(path): ours(imported(path, everywhere=False)) for path in FILES}
    done, path = set(), []

    def visit(module: str) -> None:
        assert module not in path, f"a circle: {' -> '.join([*path[path.index(module) :], module])}"
        if module not in done:
            path.append(module)
            for other in sorted(edges.get(module, ())):
                visit(other)
            done.add(path.pop())

    for module in sorted(edges):
        visit(module)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_gradio_stays_in_the_ui(path):
    names = {module.split(".")[0] for module in imported(path)}
    assert room_of(module_of(path)) in VISITORS or not names & {"gradio", "gradio_client", "spaces"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_is_imported_behind_the_tables_back(path):
    if path == PACKAGE / "__init__.py":
        return
    calls = {
        getattr(node.func, "attr", getattr(node.func, "id", ""))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert not calls & {"import_module", "__import__", "exec_module"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_every_file_says_what_it_is(path):
    text = path.read_text()
    if path.name != "__init__.py" or text:
        assert ast.get_docstring(ast.parse(text))


def test_the_reader_of_imports_reads(tmp_path):
    """The test above would be worth nothing if it overlooked a way to import."""
    path = PACKAGE / "models" / "imaginary.py"
    source = tmp_path / "imaginary.py"
    source.write_text(
        "import os, focusmae.hub\nfrom focusmae import render, compare\nfrom ..errors import MediaError\n"
        "from . import load\nfrom .. import arms\ndef late():\n    from focusmae.ui.page import build\n"
    )

    class There(type(path)):
        def read_text(self):
            return source.read_text()

    assert imported(There(path)) == {
        "os",
        "focusmae",
        "focusmae.hub",
        "focusmae.render",
        "focusmae.errors",
        "focusmae.models.load",
        "focusmae.arms",
        "focusmae.ui.page",
    }


def project_files() -> list[Path]:
    """Every file that belongs to the project: not what tools and runs leave behind."""
    left_behind = {"venv", "__pycache__", "build", "dist", "out", "runs", "report"}

    def belongs(name: str) -> bool:
        return name not in left_behind and not name.endswith(".egg-info") and (name[0] != "." or name in HIDDEN)

    return [p for p in sorted(ROOT.rglob("*")) if p.is_file() and all(map(belongs, p.relative_to(ROOT).parts))]


def test_no_file_is_too_large():
    files = project_files()
    assert PACKAGE / "errors.py" in files and ROOT / "README.md" in files
    assert [path.name for path in files if path.stat().st_size >= 10e6] == []


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(rb"(?<![\w.~/-])/(?:home|Users|root|work|mnt|workspace)/\w|[A-Z]:\\Users\\\w")
    assert place.search(b"see '/" + b"home/ada/x'") and not place.search(b"https://a.org/" + b"home/x")
    assert [path.name for path in project_files() if place.search(path.read_bytes())] == []


def test_top_level():
    wanted = {"app.py", "focusmae", "assets", "tests", "requirements.txt", "README.md"}
    found = {path.relative_to(ROOT).parts[0] for path in project_files()}
    assert found - HIDDEN == wanted | {"pyproject.toml", "LICENSE", "Dockerfile", "requirements-mcp.txt"}


def test_public_surface():
    """A name that comes or goes is seen here first."""
    assert focusmae.__all__ == [
        "Comparison",
        "FocusMAEError",
        "Grid",
        "MediaError",
        "STRATEGIES",
        "Settings",
        "SettingsError",
        "WeightsError",
        "compare",
        "generator",
        "inclusion_probability",
        "load_autoencoder",
        "load_classifier",
        "load_scorer",
        "load_segmenter",
        "open_media",
        "sample_visible",
    ]
    for name in focusmae.__all__:
        assert getattr(focusmae, name).__class__ is not None and name in dir(focusmae)
    with pytest.raises(AttributeError, match="load_autoencoder"):
        _ = focusmae.load_autoencodr


def test_package_metadata():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == focusmae.__version__
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(project["tool"]["setuptools"]["packages"]) == folders
    shipped = project["tool"]["setuptools"]["package-data"]
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = ".".join(path.parent.relative_to(ROOT).parts)
            assert any(path.match(pattern) for pattern in shipped.get(package, ())), path.name
