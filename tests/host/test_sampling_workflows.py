"""The example workflows that sample, as they are saved, with the test models put in for the ones a person has."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.tests.host.prompts import node, source
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import convert, fetch, images

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"

# Which output of the test model stands for which output of a loader, and where a text encoder comes out.
CLIPS = {"CheckpointLoaderSimple": 1, "CLIPLoader": 0, "DualCLIPLoader": 0}
LOADERS = {
    "CheckpointLoaderSimple": ("unet", {0: 0, 2: 3}),
    "UNETLoader": ("dit", {0: 0}),
    "VAELoader": ("dit", {0: 3}),
}


def with_test_models(prompt):
    """The prompt with tiny models, prompts and captions in place of what would have to be downloaded."""
    out, outputs = {}, {}
    for key, part in prompt.items():
        kind = part["class_type"]
        if kind in LOADERS:
            model, outputs[key] = LOADERS[kind]
            out[key] = node("TileworkTestModel", kind=model)
        elif kind == "CLIPTextEncode":
            out[key] = node("TileworkTestPrompt", text=part["inputs"]["text"])
        elif kind == "TextGenerate":
            out[key] = node("TileworkTestCaption", image=part["inputs"]["image"])
        elif kind == "RTDETR_detect":
            out[key] = node("TileworkTestDetect", image=part["inputs"]["image"])
        elif kind == "SAM3_Detect":
            out[key] = node("TileworkTestSegment", **{name: part["inputs"][name] for name in ("image", "individual_masks")})
        elif kind not in ("CLIPLoader", "DualCLIPLoader"):
            out[key] = {"class_type": kind, "inputs": dict(part["inputs"])}
    for part in list(out.values()):
        for name, value in part["inputs"].items():
            if isinstance(value, list) and value[0] in prompt and CLIPS.get(prompt[value[0]]["class_type"]) == value[1]:
                out["clip"] = node("TileworkTestClip")
                part["inputs"][name] = ["clip", 0]
            elif isinstance(value, list) and value[0] in outputs:
                part["inputs"][name] = [value[0], outputs[value[0]][value[1]]]
        if "steps" in part["inputs"]:
            part["inputs"]["steps"] = 2
    return out


@pytest.mark.parametrize(
    "name",
    [
        "05 Enlarge and repaint with one sampler",
        "06 A prompt for every tile",
        "07 Any sampler, here with Flux",
        "09 VAE for large pictures",
        "33 Picture to noise and back, larger",
    ],
)
def test_it_runs_and_ends_with_a_picture_of_the_right_size(server, object_info, run_entry, monkeypatch, name):
    if name == "09 VAE for large pictures":
        monkeypatch.setitem(LOADERS, "VAELoader", ("unet", {0: 3}))
    prompt = with_test_models(convert(FOLDER / f"{name}.json", object_info))
    kinds = {part["class_type"] for part in prompt.values()}
    assert kinds & {"TileworkLatentTileDenoise", "TileworkTiledModel", "TileworkTiledVAEDecode"}
    (written,) = images(run_entry(prompt))
    picture = np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)
    original = Image.open(server.base / "input" / "example.png")
    assert picture.shape == (original.height * 2, original.width * 2, 3)
    assert picture.std() > 1, "it is not one plain colour"


def test_seams_alone_are_painted_anew(server, object_info, run_entry):
    """The picture passes at once and is given back; where something is marked by hand, that alone is painted."""
    prompt = with_test_models(convert(FOLDER / "15 Repair seams alone.json", object_info))
    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32)

    def run(graph):
        (written,) = images(run_entry(graph))
        return np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)

    assert np.array_equal(run(prompt), original)
    height, width = original.shape[:2]
    prompt["dark"] = node("SolidMask", value=0.0, width=width, height=height)
    prompt["light"] = node("SolidMask", value=1.0, width=16, height=200)
    prompt["mark"] = node("MaskComposite", destination=["dark", 0], source=["light", 0], x=300, y=100, operation="add")
    (regions,) = (part for part in prompt.values() if part["class_type"] == "TileworkMaskTiles")
    regions["inputs"]["mask"] = ["mark", 0]
    painted = run(prompt)
    assert np.array_equal(painted[:, :260], original[:, :260]) and np.array_equal(painted[:, 360:], original[:, 360:])
    assert np.abs(painted[150:250, 300:316] - original[150:250, 300:316]).mean() > 1


def test_the_composition_is_kept_twice(server, object_info, run_entry):
    """The ladder from a small picture to four times its size, with every size a sixteenth of what is saved."""
    prompt = with_test_models(convert(FOLDER / "22 Keep the composition at four times the size.json", object_info))
    for part in prompt.values():
        for name in ("width", "height", "tile_width", "tile_height", "overlap"):
            if part["inputs"].get(name, 0) > 0 and not isinstance(part["inputs"][name], list) and "mode" not in part["inputs"]:
                part["inputs"][name] = part["inputs"][name] // 16 // 8 * 8
    kept = [part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkCanvasGuide"]
    assert len(kept) == 2

    def made(method):
        kept[0]["method"] = method
        written = images(run_entry(prompt))
        return np.asarray(Image.open(io.BytesIO(fetch(server.url, written[-1]))).convert("RGB"), dtype=np.float32)

    structure = made("structure")
    assert structure.shape == (256, 256, 3) and structure.std() > 1
    # The small picture is not sampled again: ComfyUI has it still, and the recording with it.
    assert not np.array_equal(made("flow"), structure)


def test_an_edit_is_carried_to_the_full_size(server, object_info, run_entry):
    """Painted anew where the edit is, and the photograph's own pixels everywhere else, bit for bit."""
    prompt = with_test_models(convert(FOLDER / "27 An edit done small, at full size.json", object_info))
    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32)
    (written,) = images(run_entry(prompt))
    made = np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)
    assert made.shape == original.shape
    changed = np.abs(made - original).max(2) > 0
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    print(f"changed: rows {rows[0]} to {rows[-1]}, columns {columns[0]} to {columns[-1]}, {changed.mean():.1%}")
    # The small copy hangs from (32, 24) to (186, 178), with what is grown and faded around it.
    assert rows[0] >= 0 and rows[-1] < 240 and columns[-1] < 240 and changed[60:150, 60:150].mean() > 0.95


def test_demofusion_with_any_model(server, object_info, run_entry):
    """Every size an eighth of what is saved; the views are taken, and change the picture."""
    prompt = with_test_models(convert(FOLDER / "23 DemoFusion, with any model.json", object_info))
    for part in prompt.values():
        for name in ("width", "height", "tile_width", "tile_height", "overlap"):
            if part["inputs"].get(name, 0) > 0 and not isinstance(part["inputs"][name], list) and "mode" not in part["inputs"]:
                part["inputs"][name] = part["inputs"][name] // 64 * 8
    (views,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkDilatedViews")
    views.update(native_width=128, native_height=128)

    def made(strength):
        views["strength"] = strength
        written = images(run_entry(prompt))
        return np.asarray(Image.open(io.BytesIO(fetch(server.url, written[-1]))).convert("RGB"), dtype=np.float32)

    with_views = made(1.0)
    assert with_views.shape == (384, 384, 3) and with_views.std() > 1
    assert np.abs(made(0.0) - with_views).max() > 1


def test_a_panorama_in_one_style(server, object_info, run_entry):
    """It wraps, is pulled to one tile, and is another picture without that."""
    prompt = with_test_models(convert(FOLDER / "25 One style over a panorama.json", object_info))
    (split,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkTileSplit")
    assert split["wrap"] == "horizontal"
    for part in prompt.values():
        for name in {"width", "height", "tile_width", "tile_height", "overlap"} & set(part["inputs"]):
            part["inputs"][name] //= 8
    pictures = []
    for strength in (1.0, 0.0):
        for part in prompt.values():
            if part["class_type"] in ("TileworkSyncTiles", "TileworkTileContext"):
                part["inputs"]["strength"] *= strength
        (written,) = images(run_entry(prompt))
        pictures.append(np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32))
    assert pictures[0].shape == pictures[1].shape == (128, 512, 3)
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.1


def test_each_tile_is_told_words_of_the_prompt(server, object_info, run_entry):
    """With tiles of a quarter of the size, so that it takes a quarter of the time."""
    prompt = with_test_models(convert(FOLDER / "26 Words that belong to each tile.json", object_info))
    for part in prompt.values():
        for name in {"scale_by", "tile_width", "tile_height", "overlap"} & set(part["inputs"]):
            part["inputs"][name] /= 2
            part["inputs"][name] = part["inputs"][name] if name == "scale_by" else int(part["inputs"][name])
    entry = run_entry(prompt)
    (shown,) = (key for key, part in prompt.items() if part["class_type"] == "PreviewAny")
    said = entry["outputs"][shown]["text"]
    (text,) = (part["inputs"]["value"] for part in prompt.values() if part["class_type"] == "PrimitiveStringMultiline")
    assert len(said) == 9 and all(set(words.replace(",", "").split()) <= set(text.replace(",", "").split()) for words in said)
    (written,) = images(entry)
    assert Image.open(io.BytesIO(fetch(server.url, written))).size == (512, 512)


def test_texture_is_repainted_and_flat_parts_keep_their_pixels(server, object_info, run_entry):
    """At the picture's own size, so that it takes a quarter of the time."""
    prompt = with_test_models(convert(FOLDER / "30 Repaint texture, leave flat parts alone.json", object_info))
    at = {part["class_type"]: key for key, part in prompt.items()}
    prompt[at["ImageScaleBy"]]["inputs"]["scale_by"] = 1.0
    prompt["opened"] = node("MaskToImage", mask=[at["ThresholdMask"], 0])
    prompt["told"] = node("SaveImage", images=["opened", 0], filename_prefix="opened")
    outputs = run_entry(prompt)["outputs"]

    def saved(key):
        (written,) = outputs[key]["images"]
        return np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)

    original = np.asarray(Image.open(server.base / "input" / "example.png").convert("RGB"), dtype=np.float32)
    made, opened = saved(at["SaveImage"]), saved("told")[..., 0] > 0
    assert made.shape == original.shape and 0.6 < opened.mean() < 0.8, "the flattest 30 % are shut"
    assert np.array_equal(made[~opened], original[~opened])
    assert np.abs(made - original)[opened].mean() > 5


def test_words_are_refused_in_words(run_prompt):
    prompt = {
        "1": node("TileworkTestModel", kind="unet"), "2": node("TileworkTestClip"), "3": node("EmptyLatentImage", width=256, height=256, batch_size=1),
        "4": source(512, 512), "5": node("TileworkTileSplit", image=["4", 0], tile_width=256, tile_height=256, overlap=32, multiple_of=8),
        "6": node("TileworkTileWords", model=["1", 0], clip=["2", 0], text="a day scene", latent=["3", 0], layout=["5", 1], threshold=0.3, sigma=0.4, method="auto"),
        "7": node("PreviewAny", source=["6", 1]),
    }  # fmt: skip
    with pytest.raises(HostRunError, match="the latent is empty, and there is nothing to look at"):
        run_prompt(prompt)


def test_guidance_by_bands_beside_plain_guidance(server, object_info, run_entry):
    """Two pictures of one seed that differ; with alike weights they are one."""
    prompt = with_test_models(convert(FOLDER / "31 Guidance by bands.json", object_info))
    for part in prompt.values():
        for name in {"tile_width", "tile_height", "overlap"} & set(part["inputs"]):
            part["inputs"][name] //= 4
        if part["class_type"] == "ImageScaleBy":
            part["inputs"]["scale_by"] = 0.5
    (bands,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkBandGuidance")
    apart = []
    for low in (bands["low"], bands["high"]):
        bands["low"] = low
        pictures = [np.asarray(Image.open(io.BytesIO(fetch(server.url, one))).convert("RGB"), float) for one in images(run_entry(prompt))]
        assert len(pictures) == 2 and pictures[0].shape == pictures[1].shape
        apart.append(np.abs(pictures[0] - pictures[1]).max())
    print(f"apart by {apart[0]:.0f} of 255, with alike weights by {apart[1]:.0f}")
    assert apart[0] >= 2 >= 2 * apart[1]
