"""The direction of imports, and what starting mesovid may cost."""

from __future__ import annotations

import ast
import posixpath
import re
import subprocess
import sys
import textwrap
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import cv2
import numpy as np
import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "mesovid"

# lower layers never import upper ones; a package counts as one
LAYERS = (
    ("boxes", "records", "errors", "logs", "stopwatch"),
    ("assets", "media", "folders", "texts", "names", "atoms"),
    ("settings", "files", "backend", "opencv"),
    ("pictures", "damage", "pool", "remote", "cropping", "tones", "fields", "onnx_file"),
    (
        "timeline",
        "ray_engine",
        "align",
        "people",
        "networks",
        "verdict",
        "cuts",
        "container",
        "display",
        "provenance",
    ),
    ("decoding", "animations"),
    ("video", "cascade"),
    ("faces", "models", "report"),
    ("crops",),
    ("dataset", "recipes", "scanner"),
    ("evaluation", "explain"),
    ("training", "batch", "archive", "evidence"),
    ("serve",),
    ("cli",),
)
# what is written in TensorFlow, or reads it when it is imported; everything else works without
GRAPHS = {
    "models.meso",
    "models.mesolite",
    "models.texturelite",
    "models.onnx_graph",
    "models.export",
}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def modules() -> dict[str, Path]:
    paths = {
        path
        for path in PACKAGE.rglob("*.py")
        if path not in (PACKAGE / "__init__.py", PACKAGE / "__main__.py")
    }
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in paths}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """The modules of mesovid that a file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mesovid."):
            found.add(node.module.removeprefix("mesovid."))
        elif isinstance(node, ast.ImportFrom) and node.module == "mesovid":
            found |= {alias.name for alias in node.names if alias.name in RANK}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("mesovid.")
                for alias in node.names
                if alias.name.startswith("mesovid.")
            }
    return found


def uses(names: set[str]) -> set[tuple[str, str]]:
    """The modules in which attributes of these names occur."""
    return {
        (module, node.attr)
        for module, path in modules().items()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and node.attr in names
    }


def test_pictures_are_read_and_encoded_in_one_place() -> None:
    used = uses({"imdecode", "imencode", "imread", "imwrite"})
    assert used == {("pictures", "imdecode"), ("pictures", "imencode")}


def test_pictures_are_damaged_in_one_place() -> None:
    used = uses({"GaussianBlur", "LUT"})
    assert used == {
        ("damage", "GaussianBlur"),
        ("damage", "LUT"),
        ("training.blend", "GaussianBlur"),  # of masks
    }


def part(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_downwards(module: str) -> None:
    assert part(module) in RANK, f"{module} has no layer yet"
    upwards = {name for name in imports(modules()[module]) if RANK[part(name)] > RANK[part(module)]}
    assert not upwards


def test_no_import_cycles() -> None:
    graph = {
        module: imports(path) - {module}
        for module, path in modules().items()
        if part(module) != "cli"
    }
    TopologicalSorter(graph).prepare()  # raises CycleError


# the page's own modules, the lowest first: pages know no other page, and only main.js knows them
PAGE_LAYERS = (
    # what computes in the browser
    (
        "browser/declared",
        "browser/files",
        "browser/network",
        "browser/onnx",
        "browser/pixels",
        "browser/planes",
        "browser/split",
    ),
    ("browser/align", "browser/cascade", "browser/frames", "browser/model"),
    ("browser/honest", "browser/people"),
    ("browser/core", "browser/verdict"),
    ("browser/engine", "browser/worker"),
    # what shows it
    ("source", "address", "dom"),
    ("words", "pictures", "source_server", "browser/source_browser"),
    ("browser/source_live",),
    ("heat", "timeline", "charts", "votes", "damage"),
    ("maps", "score", "whatif", "pixel", "figures", "verdict", "strip", "subject"),
    ("layers",),
    ("start", "scan", "face", "models", "compare", "results", "tour"),
    ("main",),
)
PAGE_RANK = {name: rank for rank, names in enumerate(PAGE_LAYERS) for name in names}
PAGE = PACKAGE / "serve" / "page" / "js"


def page_imports(text: str, folder: str = "") -> set[str]:
    """The modules that one of the page names: at once, when it needs them, or as types."""
    at_once = re.findall(
        r"""^\s*(?:import\b|export\s*[*{])[^;"'`()=]*["']([^"']+)["']""", text, re.M
    )
    found = at_once + re.findall(r"""\bimport\(\s*["'`]([^"'`]+)["'`]""", text)
    assert all(re.fullmatch(r"\.{1,2}/(\w+/)?\w+\.js", name) for name in found), found
    return {posixpath.normpath(posixpath.join(folder, name)).removesuffix(".js") for name in found}


def page_modules() -> dict[str, Path]:
    found = sorted(PAGE.rglob("*.js"))
    return {path.relative_to(PAGE).with_suffix("").as_posix(): path for path in found}


@pytest.mark.parametrize("module", page_modules())
def test_imports_of_the_page_point_downwards(module: str) -> None:
    assert module in PAGE_RANK, f"{module} has no layer yet"
    text = page_modules()[module].read_text(encoding="utf-8")
    found = page_imports(text, posixpath.dirname(module))
    assert found <= set(page_modules())
    assert not {name for name in found if PAGE_RANK[name] >= PAGE_RANK[module]}


def test_every_kind_of_import_of_the_page_is_seen() -> None:
    text = """import { a } from "./a.js";\nimport {\n  b,\n} from './b.js';\nimport "./c.js";
    const later = () => import("./d.js"); /** @type {import("./e.js").E} */
    export * from "./f.js"; const said = ["learned from ", "here"];"""
    assert page_imports(text) == set("abcdef")
    assert page_imports('import "../a.js";\nimport "./b.js";', "in") == {"a", "in/b"}


def run_alone(program: str, *words: str) -> None:
    """Runs a program in a process of its own, where nothing is imported yet."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *words],
        capture_output=True,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert not done.returncode, done.stderr


def test_help_imports_nothing_heavy() -> None:
    """That of every command: none waits for what it does not run."""
    run_alone("""
        import sys
        import click
        from mesovid.cli import cli

        HEAVY = {"tensorflow", "keras", "mtcnn", "cv2", "numpy", "scipy", "onnxruntime", "sklearn",
                 "matplotlib", "av", "fastapi"}

        def show(command, *words):
            try:
                cli([*words, "--help"])
            except SystemExit as end:
                assert not end.code
            assert not HEAVY & set(sys.modules), (words, HEAVY & set(sys.modules))
            if isinstance(command, click.Group):
                for name in command.list_commands(click.Context(command)):
                    show(command.get_command(click.Context(command), name), *words, name)

        show(cli)
    """)


def test_measuring_and_reporting_import_no_tensorflow() -> None:
    light = [
        name
        for name in modules()
        if part(name) in ("evaluation", "explain", "report", "models") and name not in GRAPHS
    ]
    program = (
        f"import importlib, sys\n"
        f"for name in {light!r}: importlib.import_module('mesovid.' + "
        "name.removesuffix('.__init__'))\n"
        "heavy = {'tensorflow', 'keras', 'mtcnn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith(('mesovid.training', "
        "'mesovid.cli'))]\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, cwd=PACKAGE.parent
    )


def test_scanning_imports_no_tensorflow(tmp_path: Path, astronaut: np.ndarray) -> None:
    """A picture is really scanned, so that imports in functions count."""
    picture = tmp_path / "astronaut.png"
    assert cv2.imwrite(str(picture), astronaut[..., ::-1])
    run_alone(
        """
        import sys
        import mesovid.dataset.extract
        from mesovid.cli import cli

        try:
            cli(["scan", sys.argv[1], "--format", "json"])
        except SystemExit as end:
            assert not end.code, end.code
        heavy = {"tensorflow", "keras", "mtcnn", "matplotlib", "sklearn"} & set(sys.modules)
        assert not heavy, heavy
        """,
        str(picture),
    )
