"""Measure Safe Overlap and Tile Size for VRAM on the real server."""

import io

import numpy
import pytest
import requests
from PIL import Image
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tools.server.workflow import WorkflowError

from .prompts import blend, node, source

UPSCALER = "tilework_tiny_x2.safetensors"
# Six convolutions of 3 x 3.
FULL_RADIUS = 6
OUTPUTS = {
    "TileworkReceptiveField": ("radius", "overlap", "trim", "report"),
    "TileworkTileSize": ("width", "height", "overlap", "batch", "report"),
}


def loader():
    return node("UpscaleModelLoader", model_name=UPSCALER)


@pytest.fixture
def values(run_prompt):
    """Run node "m" of a prompt and read its outputs off, and its own text."""

    def go(prompt):
        names = OUTPUTS[prompt["m"]["class_type"]]
        shown = {f"s{i}": node("PreviewAny", source=["m", i]) for i in range(len(names))}
        said = run_prompt({**prompt, **shown})
        read = {name: said[f"s{i}"]["text"][0] for i, name in enumerate(names)}
        return {name: int(text) if text.isdigit() else text for name, text in read.items()} | {"ui": said["m"]}

    return go


def measure(**model):
    return node("TileworkReceptiveField", threshold=0.5, **model)


def fetched(server, entry):
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{server.url}/view", params=entry, timeout=30)
        answer.raise_for_status()
    return Image.open(io.BytesIO(answer.content))


def test_the_tiny_upscaler_is_measured_and_what_is_suggested_makes_tiled_equal_untiled(server, values, report):
    said = values({"u": loader(), "m": measure(upscale_model=["u", 0])})
    print(said["report"])
    assert 3 <= said["radius"] <= said["trim"] <= FULL_RADIUS and said["overlap"] == 16
    assert f"From {FULL_RADIUS} px on it changes nothing at all" in said["report"] and "statistics: none" in said["report"]
    assert said["ui"]["text"] == [f"radius {said['radius']} px: overlap 16, trim {said['trim']}"]
    assert fetched(server, said["ui"]["images"][0]).width > 700

    def error(overlap, trim):
        prompt = {
            "u": loader(),
            "m": measure(upscale_model=["u", 0]),
            "1": source(120, 120),
            "2": node("TileworkTileSplit", image=["1", 0], tile_width=64, tile_height=64, overlap=overlap, multiple_of=8),
            "3": node("ImageUpscaleWithModel", upscale_model=["u", 0], image=["2", 0]),
            "4": blend(["3", 0], ["2", 1], trim=trim),
            "5": node("ImageUpscaleWithModel", upscale_model=["u", 0], image=["1", 0]),
            "6": node("TileworkTestCompare", a=["4", 0], b=["5", 0]),
        }
        return 255 * report(prompt, "6")[0]["max_abs"]

    suggested, half = error(["m", 1], ["m", 2]), error(8, said["trim"] // 2)
    print(f"tiled against untiled: {suggested:.3f} levels as suggested, {half:.3f} with half of it")
    assert suggested <= 0.5 < half


def test_the_influence_is_a_picture(server, run_prompt):
    prompt = {"u": loader(), "m": measure(upscale_model=["u", 0]), "p": node("PreviewImage", images=["m", 4])}
    picture = numpy.asarray(fetched(server, run_prompt(prompt)["p"]["images"][0]).convert("RGB")).astype(int)
    assert picture.shape[1] > 700 and picture.std() > 20
    # The map: bright at the tile's border, black in its middle.
    assert picture[102:108, 100:300].mean() > 100 > 30 > picture[240:290, 160:210].mean()


@pytest.mark.parametrize("kind", ["InstanceNorm", "GroupNorm", "squeeze-and-excitation", "attention"])
def test_whole_image_statistics_are_named(values, kind):
    said = values({"u": node("TileworkTestStatisticsModel", kind=kind), "m": measure(upscale_model=["u", 0])})
    assert f"Its {kind} (1) work on whatever picture they are given" in said["report"]
    assert "use Tiled Upscale with statistics = image" in said["report"] and said["ui"]["text"][0].endswith("and it sees the whole picture")
    assert said["radius"] == 2


def test_batch_norm_is_cleared_and_a_nameless_mean_is_not(values):
    said = values({"u": node("TileworkTestStatisticsModel", kind="BatchNorm"), "m": measure(upscale_model=["u", 0])})
    assert "Whole-image statistics: none. Harmless: BatchNorm with stored statistics (1)." in said["report"]
    said = values({"u": node("TileworkTestStatisticsModel", kind="mean"), "m": measure(upscale_model=["u", 0])})
    assert "None of its modules is of a type that is known to do so" in said["report"]


def test_a_vae_is_measured_decoder_and_encoder_and_tile_size_takes_it(values):
    prompt = {"t": node("TileworkTestModel", kind="unet"), "m": measure(vae=["t", 3])}
    said = values(prompt)
    print(said["report"])
    assert "The VAE's decoder" in said["report"] and "The VAE's encoder" in said["report"]
    assert said["report"].count("GroupNorm (") == 2 and said["report"].count("attention (1)") == 2 and "Tiled VAE Decode" in said["report"]
    assert said["radius"] % 8 == said["trim"] % 8 == said["overlap"] % 8 == 0 and said["overlap"] > 2 * said["trim"] > 0
    size = values({"t": prompt["t"], "m": node("TileworkTileSize", width=4096, height=3000, margin=0.1, vae=["t", 3])})
    assert size["overlap"] == said["overlap"] and size["width"] % 8 == size["height"] % 8 == 0


def size(**inputs):
    return node("TileworkTileSize", **{"width": 4096, "height": 3000, "margin": 0.1} | inputs)


def test_the_tile_size_of_a_diffusion_model_is_the_one_it_was_made_for(values):
    said = values({"t": node("TileworkTestModel", kind="unet"), "m": size(model=["t", 0])})
    assert (said["width"], said["height"], said["overlap"], said["batch"]) == (512, 512, 64, 1)
    assert "recognised it as SD15, made for 512 px" in said["report"]
    said = values({"t": node("TileworkTestModel", kind="dit"), "m": size(model=["t", 0])})
    assert 512 <= max(said["width"], said["height"]) <= 1024 and said["overlap"] % 16 == 0 and "Flux, made for 1024 px" in said["report"]


def test_a_picture_that_fits_is_one_tile_and_the_image_overrules_the_numbers(values, run_prompt, server):
    prompt = {"u": loader(), "1": source(200, 120), "m": size(width=8, height=100000, image=["1", 0], upscale_model=["u", 0])}
    said = values(prompt)
    assert (said["width"], said["height"], said["overlap"]) == (200, 120, 16)
    assert "200 x 120: 1 tile" in said["report"] and "chosen" in said["report"] and "are free" in said["report"]
    assert said["ui"]["text"] == [said["report"]] and fetched(server, said["ui"]["images"][0]).width >= 700
    # The outputs go straight into the nodes that tile.
    prompt["2"] = node("TileworkTileSplit", image=["1", 0], tile_width=["m", 0], tile_height=["m", 1], overlap=["m", 2], multiple_of=8)
    prompt["3"] = node("PreviewAny", source=["2", 2])
    assert run_prompt(prompt)["3"]["text"] == ["1"]


def test_several_models_get_tiles_that_suit_all_of_them(values):
    models = {"u": loader(), "t": node("TileworkTestModel", kind="unet")}
    said = values({**models, "m": size(model=["t", 0], upscale_model=["u", 0])})
    assert (said["width"], said["height"]) == (512, 512) and said["overlap"] == 64
    for line in ("MODEL: tiles never above 512", "UPSCALE_MODEL: radius"):
        assert line in said["report"]
    plan = TileLayout.grid(3000, 4096, said["height"], said["width"], said["overlap"], 8)
    assert f"{len(plan)} tiles" in said["report"]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"m": measure()}, "nothing is connected: connect one model"),
        (
            {"u": loader(), "t": node("TileworkTestModel", kind="unet"), "m": measure(upscale_model=["u", 0], vae=["t", 3])},
            "an upscale model and a VAE",
        ),
        ({"u": loader(), "m": node("TileworkReceptiveField", threshold=0.0, upscale_model=["u", 0])}, "threshold 0.0 is no change"),
        ({"m": size()}, "no model is connected"),
        ({"u": loader(), "m": size(margin=-1.0, upscale_model=["u", 0])}, "margin -1.0 is not a share"),
        ({"u": loader(), "m": size(margin=1e6, upscale_model=["u", 0])}, "not even a tile of 64 x 64 px fits"),
    ],
    ids=["nothing", "both", "threshold", "no model", "margin", "too little memory"],
)
def test_what_cannot_be_done_is_said(run_prompt, prompt, words):
    with pytest.raises(WorkflowError, match=words):
        run_prompt({**prompt, "s": node("PreviewAny", source=["m", 0])})


def test_a_video_vae_is_not_taken_for_one_that_sees_single_pixels(values):
    said = values({"t": node("TileworkTestVAE", kind="wan"), "m": measure(vae=["t", 0])})
    print(said["report"])
    assert said["radius"] >= 8 and said["overlap"] > said["radius"] and "from itself alone" not in said["report"]
