"""Without PyWavelets and ptwt the pack loads, its other nodes work, and those that need them say what to install."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilework.tests.host.hostile import SOURCES, sound
from tilework.tests.host.prompts import node
from tilework.tools.demo.materials import ensure_upscaler
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import get_json
from tilework.tools.server.workflow import WorkflowError, run
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
# Stands in for packages that are not installed: importing them fails.
REMOVED = "import sys\nsys.modules['pywt'] = sys.modules['ptwt'] = None\nNODE_CLASS_MAPPINGS = {}\n"


# The nodes that ask for them.
NEED = {"TileworkBandGuidance", "TileworkDetailMap", "TileworkFrequencyGuidance", "TileworkWaveletEdit"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server in which neither package can be imported."""
    folder, host = tmp_path_factory.mktemp("removed"), find_host()
    (folder / "__init__.py").write_text(REMOVED, "utf-8")
    packs = {"tilework": ROOT, "tilework_test": ROOT / "tests" / "pack", "removed": folder}
    with Server(host, name="bare", packs=packs, models={"upscale_models": [ensure_upscaler(host)]}) as running:
        yield running


@pytest.fixture(scope="module")
def nodes(bare):
    """The pack's nodes, by id."""
    told = get_json(bare.url + "/object_info")
    return {name: info for name, info in told.items() if name.startswith("Tilework") and not name.startswith("TileworkTest")}


def test_only_the_transforms_and_one_patch_know_the_packages():
    """So whatever imports none of these modules works without the packages; the patch asks for them before it runs."""
    named = {
        path.relative_to(ROOT).as_posix()
        for room in ("blending", "host", "models", "nodes", "pictures", "sampling")
        for path in (ROOT / room).rglob("*.py")
        if "wavelet_library" in path.read_text("utf-8") or "import pywt" in path.read_text("utf-8")
    }
    assert named == {"blending/frequency/wavelet_packages.py", "blending/frequency/decimated.py", "sampling/band_guidance.py"}


def test_every_node_is_there_and_all_others_run(bare, nodes):
    """Each with its defaults on small sources, in one prompt."""
    contract = json.loads((ROOT / "tests" / "host" / "contract.json").read_text("utf-8"))
    assert nodes.keys() == contract.keys()
    prompt, others = dict(SOURCES), sorted(nodes.keys() - NEED)
    for name in others:
        asked = sound(name, nodes[name])
        prompt[f"it {name}"] = asked["it"]
        prompt[f"end {name}"] = node("PreviewAny", source=[f"it {name}", 0])
    outputs = run(bare.url, prompt, 120)["outputs"]
    assert all(outputs[f"end {name}"]["text"] for name in others) and len(others) > 40


@pytest.mark.parametrize("name", sorted(NEED))
def test_a_node_that_needs_them_says_what_to_install(bare, nodes, name):
    with pytest.raises(
        WorkflowError, match=r"need the package (PyWavelets|ptwt), which cannot be loaded .*pip install -r requirements.txt"
    ):
        run(bare.url, sound(name, nodes[name]), 60)
