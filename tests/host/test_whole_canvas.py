"""Whole-Canvas Views, Hide Patch Grid, and what prepares an enlarged latent, on the running server."""

import pytest
from tilework.tests.host.prompts import node
from tilework.tests.host.test_refusals import refused
from tilework.tests.host.test_tiled_nodes import compared, sampler, tiled_model


def latent(width, height, channels=16):
    return node(
        "TileworkTestLatent", width=width, height=height, batch=1, channels=channels, frames=0, seed=3,
        downscale_ratio=8, mask="", mask_batch=1,
    )  # fmt: skip


def views(model, strength=1.0):
    return node("TileworkDilatedViews", model=model, native_width=128, native_height=128, strength=strength, end=1.0, interaction=True)


def test_both_patches_on_a_transformer_in_tiles(report):
    """Applied in either order around Tiled Sampling they give one picture; strength 0 and end 0 give the one without."""
    prompt = {
        "1": node("TileworkTestModel", kind="dit", radius=0), "2": latent(40, 36), "3": tiled_model(("1", 0)),
        "10": views(["3", 0]), "11": node("TileworkPatchShift", model=["10", 0], end=1.0),
        "12": node("TileworkPatchShift", model=["1", 0], end=1.0), "13": tiled_model(("12", 0)), "14": views(["13", 0]),
        "15": views(["3", 0], strength=0.0), "16": node("TileworkPatchShift", model=["15", 0], end=0.0),
        "20": sampler(["3", 0]), "21": sampler(["11", 0]), "22": sampler(["14", 0]), "23": sampler(["16", 0]),
    }  # fmt: skip
    assert compared(report, prompt, ["21", 0], ["22", 0]) == 0 == compared(report, prompt, ["20", 0], ["23", 0])
    assert compared(report, prompt, ["20", 0], ["21", 0]) > 1e-3


def refined(depth=0.4):
    """A small latent, enlarged, matched and refined in a few steps with shifted sigmas at hand."""
    return {
        "1": node("TileworkTestModel", kind="unet", radius=0), "2": latent(24, 16, channels=4),
        "3": node("LatentUpscaleBy", samples=["2", 0], upscale_method="bicubic", scale_by=2.0),
        "4": node("TileworkMatchLatents", samples=["3", 0], reference=["2", 0], per="tile", size=64, strength=1.0),
        "5": node("TileworkMatchLatents", samples=["3", 0], reference=["2", 0], per="channel", size=64, strength=0.0),
        "6": node("BasicScheduler", model=["1", 0], scheduler="karras", steps=4, denoise=1.0),
        "7": node("TileworkShiftSigmas", sigmas=["6", 0], model=["1", 0], scale=2.0, method="signal"),
        "8": node("TileworkFewStepRefine", depth=depth, noise=0.05, steps=2),
        "9": node("TileworkTestPrompt", text="one"),
        "10": node(
            "SamplerCustom", model=["1", 0], add_noise=True, noise_seed=5, cfg=1.0, positive=["9", 0], negative=["9", 0],
            sampler=["8", 0], sigmas=["7", 0], latent_image=["4", 0],
        ),
    }  # fmt: skip


def test_an_enlarged_latent_is_matched_and_refined(report):
    prompt = refined()
    assert compared(report, prompt, ["5", 0], ["3", 0]) == 0 < compared(report, prompt, ["4", 0], ["3", 0])
    assert compared(report, prompt, ["10", 0], ["4", 0]) > 1e-3


@pytest.mark.parametrize(
    ("key", "changes", "words"),
    [
        ("4", {"reference": ["20", 0]}, "which have other proportions"),
        ("4", {"size": 4}, "size"),
        ("8", {"depth": 0.0}, "depth 0.0 is no share of the sampling range"),
        ("8", {"steps": 0}, "steps"),
        ("7", {"scale": 0.0}, "scale"),
    ],
)
def test_what_cannot_be_is_refused(run_prompt, key, changes, words):
    prompt = refined() | {"20": latent(24, 9, channels=4), "30": node("TileworkTestCompareLatent", a=["10", 0], b=["3", 0])}
    prompt[key]["inputs"].update(changes)
    assert words in refused(run_prompt, prompt)
