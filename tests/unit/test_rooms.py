"""A line of code knows its room: what may import what, no circles, no name for two ideas."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "latent_preview"}
TOPS = ("blending", "pictures", "host", "models", "sampling", "nodes", "machines")
PIXELS, LAYOUT = "blending/pixels", "blending/layout"
COMPOSITION, WHOLE_PICTURE = "blending/composition", "blending/whole_picture"

# Every room, and the rooms below it that it may import.
BELOW = {
    PIXELS: set(),
    LAYOUT: {PIXELS},
    COMPOSITION: {PIXELS, LAYOUT},
    "blending/color": {PIXELS, LAYOUT},
    "blending/seam_check": {PIXELS, LAYOUT},
    "blending/check_folder": {"blending/seam_check"},
    "blending/registration": {PIXELS, LAYOUT},
    "blending/regions": {PIXELS, LAYOUT, COMPOSITION},
    "blending/changes": {PIXELS, LAYOUT, COMPOSITION, "blending/color", "blending/registration"},
    "blending/detection": {PIXELS, LAYOUT, COMPOSITION},
    "blending/fidelity": {PIXELS, LAYOUT, "blending/registration", "blending/seam_check"},
    "blending/fusion": {PIXELS, LAYOUT},
    "blending/frequency": {PIXELS},
    "blending/coherence": {PIXELS, LAYOUT, "blending/frequency"},
    "blending/attention": {LAYOUT},
    "blending/solar": {PIXELS},
    WHOLE_PICTURE: {LAYOUT},
    "blending/networks": {PIXELS, LAYOUT, COMPOSITION, WHOLE_PICTURE},
    "blending/receptive_field": {PIXELS, WHOLE_PICTURE},
    "blending/stages": {PIXELS, WHOLE_PICTURE},
    "blending": {LAYOUT, COMPOSITION},
    "pictures": {"blending"},
    "host": set(),
    "models": {"blending", "host"},
    "models/vae": {"blending", "host", "models"},
    "sampling": {"blending", "host", "models", "sampling/conditions"},
    "sampling/conditions": {"blending", "host"},
    "sampling/attention": {"blending", "host", "sampling", "sampling/conditions"},
    "nodes": {"blending", "host", "models", "sampling", "pictures"},
    # Programs of their own: no room of the pack imports them.
    "machines": {"machines/process", "blending", "pictures"},
    "machines/process": set(),
}


@cache
def modules():
    """Path without its ending -> syntax tree, of every module of the product."""
    files = [file for top in TOPS for file in sorted((ROOT / top).rglob("*.py"))]
    return {file.relative_to(ROOT).with_suffix("").as_posix(): ast.parse(file.read_text("utf-8")) for file in files}


def imports(trees, asked=None):
    """(module, what it imports, whether that is of the product) of every import of `asked`, or of all; relative ones are resolved."""
    for module in asked or trees:
        for node in ast.walk(trees[module]):
            if isinstance(node, ast.Import):
                yield from ((module, alias.name.replace(".", "/"), False) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield module, node.module.replace(".", "/"), False
            elif isinstance(node, ast.ImportFrom):
                base = module.split("/")[: -node.level] + (node.module.split(".") if node.module else [])
                target = "/".join(base)
                if target in trees:
                    yield module, target, True
                    continue
                for alias in node.names:
                    inner = f"{target}/{alias.name}"
                    yield module, inner if inner in trees else f"{target}/__init__", True


def room(module):
    """The folder that a module stands in."""
    return module.rpartition("/")[0]


def misplaced(trees, asked=None):
    """Imports of `asked`, or of all, that reach up, or sideways, as sentences."""
    found = []
    for module, target, ours in imports(trees, asked):
        here = room(module)
        if not ours:
            if here.startswith(("blending", "pictures")) and target.split("/")[0] in HOST:
                found.append(f"{module} imports {target}, and knows no host")
            continue
        there = room(target)
        allowed = BELOW.get(here, set())
        if there != here and not any(there == low or there.startswith(f"{low}/") for low in allowed):
            found.append(f"{module} imports {target}, which is not below it")
    return found


def circles(trees):
    """Modules that import one another when they are loaded, as lists."""
    loaded = {
        module: ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
        for module, tree in trees.items()
    }
    after = defaultdict(set)
    for module, target, ours in imports(loaded):
        if ours and target != module:
            after[module].add(target)
    found, done = [], set()

    def visit(module, path):
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(after[module]):
                visit(target, [*path, module])
            done.add(module)

    for module in sorted(trees):
        visit(module, [])
    return found


def test_blending_holds_rooms_alone():
    assert [file.name for file in (ROOT / "blending").glob("*.py")] == ["__init__.py"]
    rooms = {f"blending/{folder.name}" for folder in (ROOT / "blending").iterdir() if any(folder.glob("*.py"))}
    assert rooms == {name for name in BELOW if name.startswith("blending/")}


def test_every_room_says_what_it_is_for_and_loads_nothing():
    for name in set(BELOW) - {"blending", "nodes"}:
        tree = ast.parse((ROOT / name / "__init__.py").read_text("utf-8"))
        assert ast.get_docstring(tree), f"{name} does not say what it is for"
        assert all(isinstance(node, ast.Expr) for node in tree.body), f"{name}/__init__.py is to hold a docstring alone"


def test_a_room_imports_only_what_lies_below_it():
    trees = modules()
    assert len(trees) > 150
    up, round_about = misplaced(trees), circles(trees)
    assert not up, "\n".join(up)
    assert not round_about, round_about


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("from ..layout.grid import Rect", "blending/pixels/astray"),
        ("from ..composition.compose import compose", "blending/layout/astray"),
        ("from ...sampling import settings", "blending/color/astray"),
        ("import comfy.utils", "blending/solar/astray"),
        ("from comfy_api.latest import io", "pictures/astray"),
        ("from ...nodes.types import Layout", "sampling/conditions/astray"),
        ("from ..sampling.settings import TileSettings", "models/astray"),
        ("def late():\n    from ...nodes import types", "models/vae/astray"),
    ],
)
def test_a_file_in_the_wrong_place_is_found(line, where):
    assert misplaced({**modules(), where: ast.parse(line)}, [where])


def test_of_machines_nothing_loads_in_comfyui():
    reached = [module for module, target, ours in imports(modules()) if ours and target.startswith("machines/")]
    assert reached and {module.split("/")[0] for module in reached} == {"machines"}
    assert not re.search(r"machines", (ROOT / "__init__.py").read_text("utf-8"))


def test_a_circle_is_found():
    trees = {"blending/layout/a": ast.parse("from .b import x"), "blending/layout/b": ast.parse("from . import a")}
    assert circles(trees)


def test_no_public_name_stands_for_two_ideas():
    """A class or function of one name in two modules is one object, or it is two ideas under one name."""
    places = defaultdict(list)
    for module, tree in modules().items():
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
                places[node.name].append(module)
    doubles = {name: where for name, where in places.items() if len(where) > 1 and name not in HOST_HOOKS}
    assert not doubles, doubles


# What the host asks every pack for by this name.
HOST_HOOKS = {"comfy_entrypoint"}


def test_files_that_the_words_name_are_there():
    """Comments, docstrings and pages send a reader to files: none of them has moved away."""
    texts = [
        path for top in (*TOPS, "benchmarks", "tools", "web/docs") for path in (ROOT / top).rglob("*") if path.suffix in {".py", ".md"}
    ]
    texts += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    known = {path.relative_to(ROOT).as_posix() for top in (*TOPS, "benchmarks", "tools", "tests") for path in (ROOT / top).rglob("*.py")}
    gone = []
    for text in texts:
        for name in re.findall(r"(?<![\w/.-])(?:\w+/)*\w+\.py\b", text.read_text("utf-8")):
            if name not in OF_OTHERS and not any(path == name or path.endswith(f"/{name}") for path in known):
                gone.append(f"{text.relative_to(ROOT)}: {name}")
    assert not gone, gone


# Files of ComfyUI, and those of ours at the top.
OF_OTHERS = {"nodes_images.py", "main.py", "comfyui_version.py", "dev.py", "farm.py"}


def test_blending_works_in_a_plain_interpreter():
    code = (
        "import torch; from blending import TileLayout, compose, cut; "
        "x = torch.rand(1, 99, 77, 3); p = TileLayout.grid(99, 77, 32, 32, 8); "
        "assert (compose(cut(x, p), p) - x).abs().max() < 1e-6; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def test_what_blending_offers_is_what_its_rooms_have():
    package = importlib.import_module("tilework.blending")
    for name in package.__all__:
        value = getattr(package, name)
        assert not (inspect.isclass(value) or inspect.isfunction(value)) or value.__module__.startswith("tilework.blending."), name
    with pytest.raises(AttributeError, match="nothing_like_it"):
        package.nothing_like_it  # noqa: B018


def test_the_pack_prints_nothing_and_has_no_eval():
    trees = {**modules(), "__init__": ast.parse((ROOT / "__init__.py").read_text("utf-8"))}
    for module, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "eval", "exec"}, module
