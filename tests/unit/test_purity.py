"""`blending` is a library of its own: no host, usable from a plain interpreter."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "nodes", "latent_preview"}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0], node.level


def test_blending_knows_neither_host_nor_nodes():
    files = sorted((ROOT / "blending").glob("*.py"))
    assert len(files) > 8
    for path in files:
        for name, level in imported(path):
            assert level == 1 or name not in HOST, f"{path.name} imports {name}"
            assert level < 2, f"{path.name} reaches out of blending"


def test_sampling_stands_between_blending_and_nodes():
    files = sorted((ROOT / "sampling").glob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert (node.module or "").split(".")[0] != "nodes", f"{path.name} imports the nodes"
                assert node.level == 1 or (node.module or "").split(".")[0] == "blending", f"{path.name} reaches past blending"


def test_models_stand_beside_sampling():
    files = sorted((ROOT / "models").glob("*.py"))
    assert len(files) > 3
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 or (node.module or "").split(".")[0] == "blending", f"{path.name} reaches past blending"


def test_blending_works_in_a_plain_interpreter():
    code = (
        "import torch; from blending import TileLayout, compose, cut; "
        "x = torch.rand(1, 99, 77, 3); p = TileLayout.grid(99, 77, 32, 32, 8); "
        "assert (compose(cut(x, p), p) - x).abs().max() < 1e-6; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr


def test_the_pack_prints_nothing_and_has_no_eval():
    for path in [
        *ROOT.glob("nodes/*.py"),
        *ROOT.glob("sampling/*.py"),
        *ROOT.glob("models/*.py"),
        *ROOT.glob("blending/*.py"),
        ROOT / "__init__.py",
    ]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "eval", "exec"}, path.name
