"""Every file in example_workflows, as it is, through the real server."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending.solar.curves import solar_curve
from tilework.blending.solar.solarize import edges, solarize
from tilework.tests.host.test_sampling_workflows import with_test_models
from tilework.tools.server.loopback import get, get_json
from tilework.tools.server.workflow import convert, fetch, images

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
WORKFLOWS = sorted(FOLDER.glob("*.json"))
# The input of a node that goes through it, for the nodes that tests take out of a workflow.
WORKED_ON = ("image", "tiles", "samples", "latent_image")


def test_there_are_workflows_and_each_has_a_thumbnail():
    assert WORKFLOWS
    for path in WORKFLOWS:
        assert any(path.with_suffix(suffix).exists() for suffix in (".jpg", ".png", ".webp")), path.name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_file_is_laid_out_for_reading(path):
    saved = json.loads(path.read_text(encoding="utf-8"))
    assert any(node["type"] in ("Note", "MarkdownNote") for node in saved["nodes"])
    boxes = [(*node["pos"], node["size"][0], 0 if node["flags"].get("collapsed") else node["size"][1]) for node in saved["nodes"]]
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "nodes lie on each other"


def test_they_are_in_the_template_browser_under_the_packs_name(server):
    assert set(get_json(server.url + "/workflow_templates")["tilework"]) == {path.stem for path in WORKFLOWS}


# Nobody begins with these: farm.py puts them into workflows, and what they read is there only after they have written.
WITHOUT_TEMPLATE = {"TileworkReadTile", "TileworkWriteTile"}


def test_no_node_is_without_a_template(pack):
    used = {node["type"] for path in WORKFLOWS for node in json.loads(path.read_text("utf-8"))["nodes"]}
    assert set(pack) - used == WITHOUT_TEMPLATE


def test_the_readme_names_every_template():
    text = (FOLDER.parent / "README.md").read_text("utf-8")
    assert [path.stem for path in WORKFLOWS if f"**{path.stem}**" not in text] == []


def test_every_node_has_a_help_page_that_names_its_inputs(server, object_info):
    for name, info in object_info.items():
        if not name.startswith("Tilework") or name.startswith("TileworkTest"):
            continue
        page = get(f"{server.url}/extensions/tilework/docs/{name}.md").decode()
        assert page.startswith(f"# {info['display_name']}\n")
        for category, names in info["input_order"].items():
            assert category == "hidden" or all(key in page for key in names), name


def saved_picture(server, entry):
    """The one picture that a run saved, float32 [H, W, 3], 0..255."""
    (written,) = images(entry)
    return np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)


def only(prompt, kind):
    """The key of the one node of a kind."""
    (key,) = (key for key, part in prompt.items() if part["class_type"] == kind)
    return key


def without(prompt, *kinds):
    """The prompt less the nodes of some kinds: who read their results reads what they were given."""
    gone = {
        key: next((part["inputs"][name] for name in WORKED_ON if name in part["inputs"]), None)
        for key, part in prompt.items()
        if part["class_type"] in kinds
    }

    def source(value):
        return source(gone[value[0]]) if isinstance(value, list) and value[0] in gone else value

    return {
        key: {**part, "inputs": {name: source(value) for name, value in part["inputs"].items()}}
        for key, part in prompt.items()
        if key not in gone
    }


def twice_as_large(server, entry):
    """The one picture that was written and the photograph, after making sure that one is the other at twice the size."""
    picture = saved_picture(server, entry) / 255
    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32) / 255
    assert picture.shape == (original.shape[0] * 2, original.shape[1] * 2, 3)
    shrunk = picture.reshape(original.shape[0], 2, original.shape[1], 2, 3).mean((1, 3))
    assert np.abs(shrunk - original).mean() < 0.01, "it is the same picture"
    return picture, original


def test_tiled_upscale_gives_the_photograph_twice_as_large(server, object_info, run_entry):
    picture, original = twice_as_large(server, run_entry(convert(FOLDER / "03 Any nodes, tile by tile.json", object_info)))
    assert np.abs(np.diff(picture, axis=1)).mean() < np.abs(np.diff(original, axis=1)).mean(), "and an upscale of it"


def test_tiled_upscale_planned_gives_the_photograph_twice_as_large(server, object_info, run_entry):
    prompt = convert(FOLDER / "02 Upscale a picture of any size.json", object_info)
    (inputs,) = (node["inputs"] for node in prompt.values() if node["class_type"] == "TileworkTiledUpscale")
    fed = {name for name, value in inputs.items() if isinstance(value, list)}
    assert fed == {"upscale_model", "image", "tile_width", "tile_height", "overlap", "tile_batch"}, "the planner's outputs go straight in"
    twice_as_large(server, run_entry(prompt))


def test_measure_and_upscale_gives_what_the_model_gives_without_tiles(server, object_info, run_entry):
    prompt = convert(FOLDER / "04 Measure the overlap, then upscale.json", object_info)
    measured = only(prompt, "TileworkReceptiveField")
    assert prompt[only(prompt, "TileworkTileSplit")]["inputs"]["overlap"] == [measured, 1]
    assert prompt[only(prompt, "TileworkSeamBlend")]["inputs"]["trim"] == [measured, 2]
    entry = run_entry(prompt)
    tiled, _ = twice_as_large(server, entry)
    untiled = saved_picture(
        server, run_entry(without(prompt, "TileworkTileSplit", "TileworkSeamBlend", "TileworkReceptiveField", "PreviewAny"))
    )
    difference = np.abs(255 * tiled - untiled)
    print(f"tiled against untiled, levels: largest {difference.max():.0f}, mean {difference.mean():.4f}")
    # The threshold of half a level, and each of the two rounded when it was saved.
    assert difference.max() <= 1 and "9 tiles of 192 x 192" in entry["outputs"][only(prompt, "TileworkTileSplit")]["text"][0]


def test_latent_tiles_are_sampled_one_by_one_and_put_back_where_they_were(server, object_info, run_entry):
    prompt = with_test_models(convert(FOLDER / "08 Latents tile by tile.json", object_info))
    entry = run_entry(prompt)
    assert "9 tiles of 256 x 256" in entry["outputs"][only(prompt, "TileworkLatentTileSplit")]["text"][0]
    sampled = saved_picture(server, entry)
    assert sampled.shape == np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB")).shape
    untouched = saved_picture(server, run_entry(without(prompt, "KSampler")))
    through = saved_picture(server, run_entry(without(prompt, "KSampler", "TileworkLatentTileSplit", "TileworkLatentSeamBlend")))
    assert np.abs(untouched - through).max() <= 1 and np.abs(sampled - through).mean() > 1


def verdicts(entry):
    """What every Seam Check of a run said, in the order of their nodes."""
    texts = [entry["outputs"][node]["text"] for node in sorted(entry["outputs"], key=int) if "text" in entry["outputs"][node]]
    return [text for (text, *_) in texts if text.startswith(("passed", "failed"))]


def test_drift_repair_leaves_no_seam_where_there_were_several(server, object_info, run_entry):
    entry = run_entry(convert(FOLDER / "11 Repair seams and colour drift.json", object_info))
    repaired, left = verdicts(entry)
    print("repaired: " + repaired + "\nleft: " + left)
    assert repaired.startswith("passed") and left.startswith("failed")
    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32)
    pictures = {}
    for written in images(entry):
        pictures[written["filename"].split("_0")[0]] = np.asarray(
            Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), np.float32
        )
    errors = {name: np.abs(picture - original).mean() for name, picture in pictures.items()}
    print(f"mean difference to the original, levels: {errors}")
    assert errors["drift_repair"] < 0.5 * errors["drift_left"]


def test_seam_check_passes_a_tiled_upscale(object_info, run_entry):
    (said,) = verdicts(run_entry(convert(FOLDER / "10 Find seams.json", object_info)))
    assert said.startswith("passed")


def test_solar_qa_gives_what_python_computes(server, object_info, run_entry):
    entry = run_entry(convert(FOLDER / "12 See faint seams, spots and banding.json", object_info))
    pictures = {}
    for written in images(entry):
        pictures[written["filename"].split("_0")[0]] = np.asarray(
            Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), np.float32
        )
    original = torch.from_numpy(np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32) / 255)[None]
    curve = solar_curve("four points")
    for name, wanted in {
        "solar_form": solarize(original, curve)[0],
        "solar_colour": solarize(original, solar_curve("four points", "smooth"), "each channel", True)[0],
        "solar_edges": edges(original, curve)[0, ..., None].expand(-1, -1, 3),
    }.items():
        assert np.abs(pictures[name] - wanted.clamp(0, 1).numpy() * 255).max() <= 1, name


def test_the_farms_example_passes_its_own_seam_check(run_entry):
    """docs/farm-example.json, which the README has people run first."""
    prompt = json.loads((FOLDER.parent / "docs" / "farm-example.json").read_text("utf-8"))
    prompt["1"]["inputs"]["image"] = "example.png"
    outputs = run_entry(prompt)["outputs"]
    assert outputs["6"]["images"] and outputs["5"]["text"][0].startswith("passed"), outputs["5"]
