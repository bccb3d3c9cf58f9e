"""A preview that cannot be made or written costs nobody the result: every node of the pack on a server whose temp folder is broken."""

import errno
import json
import re
import urllib.request
from contextlib import contextmanager

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from PIL import Image, ImageFont
from tilework.blending import TileLayout
from tilework.nodes import solar, ui
from tilework.nodes.overlay import LAYOUT_KEY
from tilework.tests.host.hostile import SOURCES, sound
from tilework.tests.host.prompts import node

# What the nodes send to the browser beside text.
SHOWN = ("images", "tilework_layout", "tilework_seams", "tilework_solar", "tilework_bands")
SILENT = {
    "TileworkAlignTiles",
    "TileworkColorMatch",
    "TileworkDiffMerge",
    "TileworkKeepTiles",
    "TileworkLatentTileDenoise",
    "TileworkMergeDetections",
    "TileworkMergeMasks",
    "TileworkPutTile",
    "TileworkTileAt",
    "TileworkTiledModel",
    "TileworkTilePrompts",
    "TileworkCanvasGuide",
    "TileworkRecordRun",
    "TileworkLatentMix",
    "TileworkDilatedViews",
    "TileworkPatchShift",
    "TileworkShiftSigmas",
    "TileworkMatchLatents",
    "TileworkFewStepRefine",
    "TileworkTiledAttention",
    "TileworkTileWords",
    "TileworkSyncTiles",
    "TileworkTileContext",
    "TileworkWaveletEdit",
    "TileworkBandGuidance",
    "TileworkDetailMap",
    "TileworkFrequencyGuidance",
    "TileworkInvert",
    "TileworkBandSplit",
    "TileworkRetouchMerge",
    "TileworkReadTile",
    "TileworkWriteTile",
}


@contextmanager
def no_folder(folder):
    """Whoever runs the tests may write to any folder, so that there is a file in its place."""
    aside = folder.with_name(folder.name + "-aside")
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.write_text("not a folder", "utf-8")
    try:
        yield
    finally:
        folder.unlink()
        aside.rename(folder)


def without_memory(said):
    """The text of a node without what is never the same: how much memory is free, and where an object lies."""
    return [re.sub(r"[\d.]+ [GM]B|0x[0-9a-f]+", "so much", text) for text in said.get("text", [])]


def all_of_them(pack):
    """A prompt in which every node of the pack runs once, on small sources, and is looked at."""
    prompt = dict(SOURCES)
    for name, info in pack.items():
        prompt[f"it {name}"] = sound(name, info)["it"]
        prompt[f"end {name}"] = node("PreviewAny", source=[f"it {name}", 0])
    return prompt


def run_anew(server, run_entry, prompt):
    """The outputs of a run in which the pack's nodes run, and none is taken from an earlier run."""
    for _ in range(5):
        body, headers = json.dumps({"free_memory": True}).encode(), {"Content-Type": "application/json"}
        urllib.request.urlopen(urllib.request.Request(server.url + "/free", data=body, headers=headers)).close()
        entry = run_entry(prompt)
        kept = [data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached"]
        if not any(node_id.startswith("it ") for nodes in kept for node_id in nodes):
            return entry["outputs"]
    raise AssertionError("the server does not forget its earlier runs")


def test_every_node_keeps_its_result(server, pack, run_entry):
    prompt = all_of_them(pack)
    wanted = run_anew(server, run_entry, prompt)
    shows = {name for name in pack if any(wanted.get(f"it {name}", {}).get(key) for key in SHOWN)}
    assert shows == pack.keys() - SILENT
    with no_folder(server.base / "temp"):
        got = run_anew(server, run_entry, prompt)
    for name in pack:
        assert without_memory(got[f"end {name}"]) == without_memory(wanted[f"end {name}"]), name
    for name in sorted(shows):
        said, shown = got[f"it {name}"], wanted[f"it {name}"]
        assert said.keys() == shown.keys(), "the host joins the values of a list by the keys of its first"
        assert not said.get("images") and without_memory(said) == without_memory(shown), name
        for record in said.get("tilework_layout", []) + said.get("tilework_seams", []):
            assert record.get("picture") is None and record.get("image") is None
    assert "a preview could not be written to" in server.log.read_text("utf-8", "replace")


def test_a_list_of_pictures_keeps_its_results(server, run_prompt):
    prompt = {
        "1": node("TileworkTestImageList", sizes="96x64,200x90", seed=41),
        "2": node("TileworkTileSplit", image=["1", 0], tile_width=64, tile_height=64, overlap=16, multiple_of=8),
        "3": node("TileworkSeamBlend", tiles=["2", 0], layout=["2", 1], method="auto", trim=0, scale=0.0),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
    }
    with no_folder(server.base / "temp"):
        outputs = run_prompt(prompt)
    assert all(json.loads(text)["max_abs"] < 1e-4 for text in outputs["4"]["text"])
    assert [len(outputs[key][LAYOUT_KEY]) for key in "23"] == [2, 2]


def full(*args, **more):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def plan():
    return TileLayout.grid(96, 128, 64, 64, 16, 8)


def test_a_full_disk_keeps_the_text(plan, monkeypatch, caplog):
    monkeypatch.setattr(Image.Image, "save", full)
    said = ui.show(torch.rand(1, 96, 128, 3), plan, ["6 tiles"])
    assert said["images"] == [] and said["text"] == ["6 tiles"]
    (record,) = said[LAYOUT_KEY]
    assert record["picture"] is None and record["tile"] == [64, 64]
    assert ui.ui_value(lambda: Image.new("RGB", (8, 8)), "words", "note") == {"images": [], "text": ["words"], "tilework_note": ["note"]}
    assert solar._shown(torch.rand(1, 8, 8, 3), None) == {solar.UI_KEY: []}
    assert "No space left on device" in caplog.text


def test_a_picture_that_cannot_be_drawn_keeps_the_result(plan, monkeypatch, caplog):
    def no_font(size=None):
        raise ImportError("The _imagingft C module is not installed")

    monkeypatch.setattr(ImageFont, "load_default", no_font)
    said = ui.show(torch.rand(1, 96, 128, 3), plan, ["6 tiles"])
    assert ui.join_ui([said, said]) == {"images": [], "text": [], LAYOUT_KEY: []}
    assert "The _imagingft C module is not installed" in caplog.text


def test_a_cancel_is_no_failed_preview(plan, monkeypatch):
    import comfy.model_management as management

    def cancelled(*args, **more):
        raise management.InterruptProcessingException

    monkeypatch.setattr(ui, "small", cancelled)
    with pytest.raises(management.InterruptProcessingException):
        ui.show(torch.rand(1, 96, 128, 3), plan, ["6 tiles"])
