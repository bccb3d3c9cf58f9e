"""What the registry would take: comfy-cli finds nothing to say, and the archive holds what a user needs and nothing else."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "tests" / "host" / "contract.json"
MEGABYTE = 1_000_000
FOR_USERS = {
    "__init__.py",
    "farm.py",
    "pyproject.toml",
    "requirements.txt",
    "requirements-farm.txt",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
}
ROOMS = {"blending", "docs", "example_workflows", "host", "locales", "machines", "models", "nodes", "pictures", "sampling", "web"}
LIST_NODES = """
import sys, asyncio, json, importlib.util
root, comfy = sys.argv[1:]
sys.path.insert(0, comfy); sys.argv = ["x", "--cpu"]
import comfy.options; comfy.options.enable_args_parsing()
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
pack = importlib.util.module_from_spec(spec); sys.modules["pack"] = pack; spec.loader.exec_module(pack)
async def nodes():
    schemas = [node.GET_SCHEMA() for node in await (await pack.comfy_entrypoint()).get_node_list()]
    # Nodes that others put into a running graph are in no workflow file.
    return [schema.node_id for schema in schemas if not schema.is_dev_only]
print("NODES" + json.dumps(asyncio.run(nodes())))
"""


@pytest.fixture(scope="module")
def archive(checkout, comfy):
    """What `comfy node pack` makes."""
    comfy("node", "pack", cwd=checkout)
    return checkout / "node.zip"


def test_validate_has_nothing_to_say(checkout, comfy):
    said = comfy("node", "validate", cwd=checkout)
    print(said)
    assert "All validation checks passed successfully" in said
    assert "warning" not in said.lower() and "error" not in said.lower()


def test_validate_would_have_something_to_say(checkout, comfy, tmp_path):
    (tmp_path / "pyproject.toml").write_text((checkout / "pyproject.toml").read_text("utf-8").replace(">=0.30.0", ">=0.30"), "utf-8")
    (tmp_path / "bad.py").write_text("eval('1')\n", "utf-8")
    assert "warning" in comfy("node", "validate", cwd=tmp_path).lower()


def test_the_placeholders_are_marked():
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    project = tomllib.loads(text)
    for name, value in {
        "Repository": project["project"]["urls"]["Repository"],
        "PublisherId": project["tool"]["comfy"]["PublisherId"],
    }.items():
        placeholder = "example.invalid" in value or "placeholder" in value
        line = next(i for i, row in enumerate(text.splitlines()) if row.startswith(name))
        assert placeholder == ("PLACEHOLDER" in text.splitlines()[line - 1]), (
            f"{name}: a mark without a placeholder, or the other way round"
        )


def test_the_archive_holds_what_a_user_needs_and_nothing_else(archive, checkout):
    with zipfile.ZipFile(archive) as packed:
        names = {name for name in packed.namelist() if not name.endswith("/")}
    size = archive.stat().st_size
    print(f"{len(names)} files, {size / MEGABYTE:.2f} MB")
    assert size < 6 * MEGABYTE  # help pages and templates with pictures, each below 60 kB, are three quarters of it
    assert {name for name in names if "/" not in name} == FOR_USERS
    assert {name.split("/")[0] for name in names if "/" in name} <= ROOMS
    for room in sorted(ROOMS):
        wanted = {path.relative_to(checkout).as_posix() for path in (checkout / room).rglob("*") if path.is_file()}
        assert wanted <= names, f"{room}: missing {sorted(wanted - names)[:5]}"


def test_the_archive_unpacked_is_the_pack(archive, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    command = [sys.executable, "-c", LIST_NODES, str(tmp_path), str(find_host().comfy)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path.parent)
    assert done.returncode == 0, done.stderr
    nodes = json.loads(done.stdout.splitlines()[-1].removeprefix("NODES"))
    assert sorted(nodes) == sorted(json.loads(CONTRACT.read_text("utf-8")))
