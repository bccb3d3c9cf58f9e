"""Rooms import only what lies below them; `blending` is a library of its own: no host, usable from a plain interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "nodes", "latent_preview"}


# What each room may import beside itself. `nodes` may import all of them.
BELOW = {
    "blending": set(),
    "pictures": {"blending"},
    "host": set(),
    "models": {"blending", "host"},
    "sampling": {"blending", "host"},
}
HOST_FREE = ("blending", "pictures")


def imported(path):
    """Where each import of a file of the pack leads: (top-level name, None), or (None, room of ours)."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            target = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            yield None, target[0]
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0], None


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_what_lies_below(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert len(files) > 1
    for path in files:
        for name, ours in imported(path):
            assert ours is None or ours == room or ours in BELOW[room], f"{path.relative_to(ROOT)} imports {ours or 'the root'}"
            assert name not in BELOW, f"{path.relative_to(ROOT)} imports {name} by its name, which may be another's: import it relatively"
            assert room not in HOST_FREE or name not in HOST, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("room", ["host", "models", "pictures", "sampling"])
def test_importing_a_room_loads_nothing(room):
    for path in (ROOT / room).rglob("__init__.py"):
        assert all(isinstance(node, ast.Expr) for node in ast.parse(path.read_text(encoding="utf-8")).body), path


def test_blending_works_in_a_plain_interpreter():
    code = (
        "import torch; from blending import TileLayout, compose, cut; "
        "x = torch.rand(1, 99, 77, 3); p = TileLayout.grid(99, 77, 32, 32, 8); "
        "assert (compose(cut(x, p), p) - x).abs().max() < 1e-6; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def test_the_pack_prints_nothing_and_has_no_eval():
    for path in [*(path for room in (*BELOW, "nodes") for path in (ROOT / room).rglob("*.py")), ROOT / "__init__.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "eval", "exec"}, path.name
