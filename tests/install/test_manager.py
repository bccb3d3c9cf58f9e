"""An install as users do it: ComfyUI Manager clones the pack into a fresh ComfyUI, and the real server loads it from there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

import pytest
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import get, get_json
from tilework.tools.setup.environment import Host, find_host
from tilework.tools.setup.manager import ensure_manager, manager_environment

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "tests" / "host" / "contract.json"
# What the Manager is told; Git is told where that really is.
ADDRESS = "https://git.example.invalid/tilework"


def packages() -> dict[str, float]:
    """Every package of the host's environment, which the tests run in, with the time of its last change."""
    folder = Path(sysconfig.get_path("purelib"))
    return {path.name: path.stat().st_mtime for path in folder.iterdir() if path.suffix == ".dist-info"}


@pytest.fixture(scope="module")
def fresh():
    """A ComfyUI of its own that nobody has used; beside the host's, so that what was compiled there counts here."""
    host = find_host()
    used = shutil.ignore_patterns(".git", "tests-unit", "custom_nodes", "user", "output")
    with tempfile.TemporaryDirectory(prefix="fresh-", dir=host.root, ignore_cleanup_errors=True) as folder:
        base = Path(folder) / "ComfyUI"
        shutil.copytree(host.comfy, base, ignore=used)
        (base / "custom_nodes").mkdir()
        yield base


@pytest.fixture(scope="module")
def installed(fresh, repository, tmp_path_factory):
    """What cm-cli said when it installed the pack."""
    python = ensure_manager(find_host())
    before = packages()
    redirect = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf", "GIT_CONFIG_VALUE_0": ADDRESS}
    redirect |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        # The two packages for wavelets are in the host's environment already, and the Manager's own has no network here.
        [python, "-m", "cm_cli", "install", ADDRESS, "--mode", "local", "--exit-on-fail", "--no-deps"],
        env=manager_environment(fresh, tmp_path_factory.mktemp("home"), **redirect),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "[INSTALLED]" in said, said
    assert packages() == before, "the Manager changed the packages of the environment"
    return said


def test_the_manager_clones_the_pack_and_changes_no_package(installed, fresh):
    assert "Installation was successful." in installed
    assert sorted(path.name for path in (fresh / "custom_nodes").iterdir()) == ["tilework"]
    wanted = {path.relative_to(ROOT / "nodes").as_posix() for path in (ROOT / "nodes").glob("*.py")}
    assert wanted == {path.name for path in (fresh / "custom_nodes" / "tilework" / "nodes").glob("*.py")}


def test_the_real_server_loads_every_node_from_that_install(installed, fresh):
    host = find_host()
    # The last --base-directory counts: the fresh ComfyUI's own.
    with Server(Host(host.root, fresh, host.python), "install", packs={}, extra_args=["--base-directory", str(fresh)]) as server:
        known = get_json(server.url + "/object_info")
        loaded = {name: info for name, info in known.items() if name.startswith("Tilework")}
        assert sorted(loaded) == sorted(json.loads(CONTRACT.read_text("utf-8")))
        assert {info["python_module"] for info in loaded.values()} == {"custom_nodes.tilework"}
        assert get(server.url + "/extensions/tilework/docs/TileworkTileSplit.md").startswith(b"# Tile Split")
        assert "03 Any nodes, tile by tile" in get_json(server.url + "/workflow_templates")["tilework"]
        languages = {path.name for path in (ROOT / "locales").iterdir()}
        assert languages and languages <= set(get_json(server.url + "/i18n"))
        log = server.log.read_text("utf-8", "replace")
    assert "IMPORT FAILED" not in log
