"""Without PyWavelets and ptwt the pack loads, its other nodes work, and those that need them say what to install."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import get_json
from tilework.tools.server.workflow import WorkflowError, run
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
IMAGE = {"class_type": "EmptyImage", "inputs": {"width": 96, "height": 64, "batch_size": 1, "color": 255}}
# Stands in for packages that are not installed: importing them fails.
REMOVED = "import sys\nsys.modules['pywt'] = sys.modules['ptwt'] = None\nNODE_CLASS_MAPPINGS = {}\n"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A server in which neither package can be imported."""
    folder = tmp_path_factory.mktemp("removed")
    (folder / "__init__.py").write_text(REMOVED, "utf-8")
    with Server(find_host(), name="bare", packs={"tilework": ROOT, "removed": folder}) as running:
        yield running


def test_only_the_transforms_and_one_patch_know_the_packages():
    """So whatever imports none of these modules works without the packages; the patch asks for them before it runs."""
    named = {
        path.relative_to(ROOT).as_posix()
        for room in ("blending", "host", "models", "nodes", "pictures", "sampling")
        for path in (ROOT / room).rglob("*.py")
        if "wavelet_library" in path.read_text("utf-8") or "import pywt" in path.read_text("utf-8")
    }
    assert named == {"blending/frequency/wavelet_packages.py", "blending/frequency/decimated.py", "sampling/band_guidance.py"}


def test_every_node_is_there_and_the_others_work(bare):
    split = {
        "class_type": "TileworkTileSplit",
        "inputs": {"image": ["1", 0], "tile_width": 64, "tile_height": 64, "overlap": 16, "multiple_of": 8},
    }
    blend = {
        "class_type": "TileworkSeamBlend",
        "inputs": {"tiles": ["2", 0], "layout": ["2", 1], "method": "hann", "trim": 0, "scale": 0.0},
    }
    show = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    assert run(bare.url, {"1": IMAGE, "2": split, "3": blend, "4": show}, 60)["outputs"]["4"]["images"]
    assert "TileworkDetailMap" in get_json(bare.url + "/object_info")


def test_a_node_that_needs_them_says_what_to_install(bare):
    detail = {"class_type": "TileworkDetailMap", "inputs": {"image": ["1", 0], "wavelet": "db4", "levels": 3, "low": 1.0, "high": 99.0}}
    show = {"class_type": "PreviewImage", "inputs": {"images": ["2", 1]}}
    with pytest.raises(WorkflowError, match=r"need the package PyWavelets, which cannot be loaded .*pip install -r requirements.txt"):
        run(bare.url, {"1": IMAGE, "2": detail, "3": show}, 60)
