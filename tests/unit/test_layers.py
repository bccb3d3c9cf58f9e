"""`sampling` stands between `blending` and `nodes`: it knows the host and the mathematics, and no node."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_sampling_knows_no_node_and_prints_nothing():
    files = sorted((ROOT / "sampling").glob("*.py"))
    assert len(files) > 5
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] != "nodes", f"{path.name} imports nodes"
                assert not (node.level and node.module is None), f"{path.name} imports from the pack's root"
                assert node.level < 2 or node.module.split(".")[0] == "blending", f"{path.name} imports {node.module}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"print", "eval", "exec"}, path.name


def test_importing_the_package_loads_nothing():
    tree = ast.parse((ROOT / "sampling" / "__init__.py").read_text(encoding="utf-8"))
    assert all(isinstance(node, ast.Expr) for node in tree.body)
