"""Latent Tile Denoise and Tiled Sampling on the running server."""

import pytest
from tilework.tests.host.prompts import node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError

SETTINGS = {
    "tile_width": 256, "tile_height": 256, "overlap": 64, "fusion": "hann", "trim": 0, "grid": "fixed",
    "positions": "local", "reference_latents": "crop", "tile_batch": 0,
}  # fmt: skip
SAMPLING = {"seed": 1, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}


def latent(width=80, height=64, channels=4, frames=0):
    return node(
        "TileworkTestLatent", width=width, height=height, batch=1, channels=channels, frames=frames, seed=3,
        downscale_ratio=0, mask="", mask_batch=1,
    )  # fmt: skip


def sampler(model, **changes):
    """The host's KSampler on latent "2" with the prompts of model "1"."""
    return node("KSampler", model=model, positive=["1", 1], negative=["1", 2], latent_image=["2", 0], **{**SAMPLING, **changes})


def tiled_model(model=("1", 0), **changes):
    return node("TileworkTiledModel", model=list(model), **{**SETTINGS, **changes})


def tile_denoise(**changes):
    inputs = {**SAMPLING, **SETTINGS, "order": "fused", **changes}
    return node("TileworkLatentTileDenoise", model=["1", 0], positive=["1", 1], negative=["1", 2], latent_image=["2", 0], **inputs)


def compared(report, prompt, a, b):
    (said,) = report({**prompt, "99": node("TileworkTestCompareLatent", a=a, b=b)}, "99")
    assert said["samples_shape_a"] == said["samples_shape_b"]
    return said["samples_max_abs"]


def start(kind="conv denoiser", radius=0, **size):
    return {"1": node("TileworkTestModel", kind=kind, radius=radius), "2": latent(**size)}


@pytest.mark.parametrize("grid", ["fixed", "jitter"])
def test_both_nodes_sample_what_the_host_does_untiled(report, grid):
    prompt = start() | {
        "3": tile_denoise(grid=grid), "4": tiled_model(grid=grid), "5": sampler(["4", 0]), "6": sampler(["1", 0]),
        "7": tiled_model(["4", 0], tile_width=512, tile_height=384), "8": sampler(["7", 0]),
    }  # fmt: skip
    untiled = compared(report, prompt, ["6", 0], ["2", 0])
    for name in ("3", "5", "8"):
        assert compared(report, prompt, [name, 0], ["6", 0]) <= 1e-5 * untiled


@pytest.mark.parametrize(("kind", "channels"), [("unet", 4), ("dit", 16)])
def test_one_tile_changes_nothing_and_many_tiles_something(report, kind, channels):
    prompt = start(kind, channels=channels) | {
        "3": tile_denoise(tile_width=1024, tile_height=1024, overlap=128), "4": tile_denoise(), "5": tiled_model(), "6": sampler(["5", 0]),
        "7": sampler(["1", 0]),
    }  # fmt: skip
    assert compared(report, prompt, ["3", 0], ["7", 0]) == 0
    assert compared(report, prompt, ["4", 0], ["6", 0]) == 0
    assert compared(report, prompt, ["4", 0], ["7", 0]) > 1e-3


def test_a_layout_of_tile_split_overrules_the_sizes(report):
    prompt = start("unet") | {
        "3": source(640, 512), "4": split(["3", 0], tile=256, overlap=64), "5": tile_denoise(),
        "6": tile_denoise(tile_width=999, tile_height=1, overlap=0, layout=["4", 1]),
    }  # fmt: skip
    assert compared(report, prompt, ["5", 0], ["6", 0]) == 0


def test_sampler_custom_advanced_takes_the_tiled_model(report):
    prompt = start(frames=2) | {
        "3": tiled_model(), "4": node("CFGGuider", model=["3", 0], positive=["1", 1], negative=["1", 2], cfg=3.0),
        "5": node("RandomNoise", noise_seed=1), "6": node("KSamplerSelect", sampler_name="euler"),
        "7": node("BasicScheduler", model=["3", 0], scheduler="normal", steps=3, denoise=1.0),
        "8": node("SamplerCustomAdvanced", noise=["5", 0], guider=["4", 0], sampler=["6", 0], sigmas=["7", 0], latent_image=["2", 0]),
        "9": sampler(["1", 0]),
    }  # fmt: skip
    untiled = compared(report, prompt, ["9", 0], ["2", 0])
    assert compared(report, prompt, ["8", 0], ["9", 0]) <= 1e-5 * untiled


def test_progress_and_previews_are_the_samplers_own(follow):
    prompt = start() | {"3": tile_denoise(seed=77), "4": node("TileworkTestCompareLatent", a=["3", 0], b=["2", 0])}
    messages = follow(prompt)
    assert messages[-1][0] == "execution_success"
    steps = [(data["value"], data["max"]) for kind, data in messages if kind == "progress" and data["node"] == "3"]
    assert steps and {total for _, total in steps} == {3} and [value for value, _ in steps] == sorted(value for value, _ in steps)


def test_cancel_at_the_second_of_nine_tiles_ends_the_run_there(follow, server, report):
    prompt = start("slow denoiser") | {
        "3": tile_denoise(cfg=1.0, steps=2), "4": node("TileworkTestCompareLatent", a=["3", 0], b=["2", 0]),
    }  # fmt: skip
    calls = []

    async def cancel(session, kind, data):
        if kind == "tilework_test_called":
            calls.append(data["shape"])
            if len(calls) == 2:
                async with session.post(server.url + "/interrupt") as answer:
                    assert answer.status == 200

    messages = follow(prompt, on_message=cancel)
    assert messages[-1][0] == "execution_interrupted"
    assert calls == [[1, 4, 32, 32]] * 2, "no third tile was begun"
    assert not any(kind == "executed" and data["node"] == "4" for kind, data in messages)
    # The next run begins anew: nothing of the broken one is left.
    clean = start() | {"3": tile_denoise(), "4": sampler(["1", 0])}
    assert compared(report, clean, ["3", 0], ["4", 0]) <= 1e-5 * compared(report, clean, ["4", 0], ["2", 0])


def test_memory_that_runs_out_is_said_in_the_servers_log(server, report):
    prompt = start("tight denoiser") | {"3": tile_denoise(tile_batch=8), "4": tile_denoise(tile_batch=1)}
    assert compared(report, prompt, ["3", 0], ["4", 0]) <= 1e-5 * compared(report, prompt, ["4", 0], ["2", 0])
    log = server.log.read_text(encoding="utf-8", errors="replace")
    assert "Tilework: out of memory with 5 tiles at once; going on with 3" in log


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("conv denoiser", {"overlap": 256}, "overlap 256 must be smaller than the tile (256 x 256): use 128 or less"),
        ("conv denoiser", {"tile_width": 0}, "tile_width 0 is not a tile size"),
        ("conv denoiser", {"tile_width": 4, "overlap": 0}, "tile_width 4 is smaller than one latent cell of 8 image pixels"),
        ("conv denoiser", {"trim": 40}, "trim 40 on both sides leaves nothing of the smallest overlap of 64 px"),
        (
            "dit",
            {"tile_height": 264},
            "tile_height 264 is not a whole number of times the model's patch of 16 image pixels: use 256 or 272",
        ),
        ("conv denoiser", {"order": "sequential", "grid": "jitter"}, "use grid fixed"),
    ],
)
def test_what_cannot_be_is_refused_in_words(run_prompt, kind, changes, words):
    prompt = start(kind, channels=16 if kind == "dit" else 4)
    prompt |= {"3": tile_denoise(**changes), "4": node("TileworkTestCompareLatent", a=["3", 0], b=["2", 0])}
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    assert "TileworkLatentTileDenoise" in str(caught.value) and words in str(caught.value)


def test_a_layout_for_another_canvas_is_refused(run_prompt):
    prompt = start() | {
        "3": source(512, 512), "5": split(["3", 0], tile=256, overlap=64), "6": tile_denoise(layout=["5", 1]),
        "4": node("TileworkTestCompareLatent", a=["6", 0], b=["2", 0]),
    }  # fmt: skip
    with pytest.raises(HostRunError, match="the layout was planned for a picture of 512 x 512 and this one is 640 x 512"):
        run_prompt(prompt)
