"""Model patches and tiles' own pictures on the running server: with tiles they give what they give without."""

import pytest
from tilework.tests.host.prompts import node, source, split
from tilework.tests.host.test_tiled_nodes import compared, sampler, tile_denoise, tiled_model
from tilework.tools.server.workflow import WorkflowError as HostRunError

FORMS = ("adapter", "couple", "object", "partial")
# Models sampled with and without tiles, both with the prompts of "1" and on the latent "2".
PATCHED = "3"


def latent(width, height, channels=4):
    return node(
        "TileworkTestLatent", width=width, height=height, batch=1, channels=channels, frames=0, seed=3,
        downscale_ratio=0, mask="", mask_batch=1,
    )  # fmt: skip


def start(patch, kind="patched denoiser", radius=0, width=96, height=64):
    """The model "1", the latent "2", the patched model "3"; "4" samples without tiles, "5" and "7" with them."""
    denoise = tile_denoise()
    denoise["inputs"]["model"] = [PATCHED, 0]
    return {
        "1": node("TileworkTestModel", kind=kind, radius=radius), "2": latent(width, height), PATCHED: patch,
        "4": sampler([PATCHED, 0]), "5": denoise, "6": tiled_model((PATCHED, 0)), "7": sampler(["6", 0]), "8": sampler(["1", 0]),
    }  # fmt: skip


def agree(report, prompt, makes_a_difference=1e-2):
    """With tiles, in both nodes, it is what it is without; and it is not the model without the patch."""
    size = compared(report, prompt, ["4", 0], ["2", 0])
    errors = [compared(report, prompt, [name, 0], ["4", 0]) / size for name in ("5", "7")]
    print(f"tiled - untiled {errors}, of the largest value")
    assert max(errors) <= 1e-5 and compared(report, prompt, ["4", 0], ["8", 0]) > makes_a_difference * size


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [8, 1])
def test_masks_in_attention_patches(report, form, scale):
    patch = node("TileworkTestPatch", model=["1", 0], mask=["21", 0], form=form)
    prompt = start(patch) | {
        "20": source(96 * scale, 64 * scale, kind="smooth"), "21": node("ImageToMask", image=["20", 0], channel="red"),
    }  # fmt: skip
    agree(report, prompt)


def test_a_mask_of_another_shape_is_named_in_the_log(server, report):
    patch = node("TileworkTestPatch", model=["1", 0], mask=["21", 0], form="adapter")
    prompt = start(patch) | {"20": source(303, 303, kind="smooth"), "21": node("ImageToMask", image=["20", 0], channel="red")}
    assert compared(report, prompt, ["5", 0], ["4", 0]) > 0
    log = server.log.read_text(encoding="utf-8", errors="replace")
    words = "the model carries AdapterReplace, which holds a mask of 303 x 303 (mask) that has not the proportions of the latent (96 x 64)"
    assert log.count(words) == 1


def test_self_attention_guidance(report):
    """The model attends to every other column, and these tiles begin on even ones, at 0, 24 and 48."""
    agree(report, start(node("SelfAttentionGuidance", model=["1", 0], scale=0.7, blur_sigma=2.0), width=80, height=56))


def test_self_attention_guidance_of_a_unet_runs(report):
    prompt = start(node("SelfAttentionGuidance", model=["1", 0], scale=0.7, blur_sigma=2.0), kind="unet")
    assert compared(report, prompt, ["5", 0], ["7", 0]) == 0 and compared(report, prompt, ["5", 0], ["4", 0]) > 1e-3


def test_seamless_tiling(report):
    prompt = start(node("TileworkTestSeamlessTiling", model=["1", 0], context_size=8), radius=2)
    for name in ("5", "6"):
        prompt[name]["inputs"]["trim"] = 16
    agree(report, prompt, makes_a_difference=1e-3)


@pytest.mark.parametrize(
    ("patch", "order", "words"),
    [
        (node("EasyCache", model=["1", 0], reuse_threshold=0.2, start_percent=0.15, end_percent=0.95, verbose=False), "fused", "EasyCache remembers one picture"),
        (node("LazyCache", model=["1", 0], reuse_threshold=0.2, start_percent=0.15, end_percent=0.95, verbose=False), "sequential", "LazyCache remembers one run"),
        (node("TileworkTestSeamlessTiling", model=["1", 0], context_size=8), "sequential", "Seamless Tiling joins the opposite sides of what is sampled"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_refused_in_words(run_prompt, patch, order, words):
    prompt = start(patch)
    prompt = {name: prompt[name] for name in ("1", "2", "3", "5")} | {"9": node("TileworkTestCompareLatent", a=["5", 0], b=["2", 0])}
    prompt["5"]["inputs"]["order"] = order
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    assert words in str(caught.value)


def tile_prompts(hint, mask=None):
    """Three prompts for a picture of 672 x 256 px, each with a control and a mask from picture `hint`; sampled with tiles in "9"."""
    prompt = {
        "1": node("TileworkTestModel", kind="patched denoiser", radius=0), "2": latent(84, 32),
        "3": source(672, 256, kind="smooth"), "4": split(["3", 0], tile=256, overlap=48),
        "5": node("TileworkTestCaption", image=["4", 0]), "6": node("TileworkTestPrompt", text=["5", 0]),
        "7": node("TileworkTestControl", conditioning=["6", 0], image=hint),
        "8": node("TileworkTilePrompts", layout=["4", 1], conditioning=["1", 1], tile_conditioning=["7", 0], strength=0.5),
        "9": tile_denoise(layout=["4", 1]),
    }  # fmt: skip
    prompt["9"]["inputs"]["positive"] = ["8", 0]
    if mask is not None:
        prompt["8"]["inputs"]["tile_conditioning"] = ["11", 0]
        prompt["10"] = node("ImageToMask", image=mask, channel="red")
        prompt["11"] = node(
            "ConditioningSetMask", conditioning=["7", 0], mask=["10", 0], strength=1.0, set_cond_area="default"
        )  # fmt: skip
    return prompt


@pytest.mark.parametrize("with_mask", [False, True])
def test_a_tiles_own_control_and_mask_lie_on_the_tile(report, with_mask):
    """Each tile cut from the hint, given to that tile's prompt, is the whole hint given to every tile's prompt."""
    own = tile_prompts(["4", 0], ["4", 0] if with_mask else None)
    whole = {f"w{name}": part for name, part in tile_prompts(["w3", 0], ["w3", 0] if with_mask else None).items()}
    for part in whole.values():
        for name, value in part["inputs"].items():
            if isinstance(value, list) and not value[0].startswith("w"):
                part["inputs"][name] = [f"w{value[0]}", value[1]]
    prompt = own | whole
    size = compared(report, prompt, ["9", 0], ["2", 0])
    error = compared(report, prompt, ["9", 0], ["w9", 0]) / size
    without = {**own, "12": tile_denoise(layout=["4", 1])}
    without["13"] = node("TileworkTilePrompts", layout=["4", 1], conditioning=["1", 1], tile_conditioning=["6", 0], strength=0.5)
    without["12"]["inputs"]["positive"] = ["13", 0]
    print(f"own - whole: {error:.1e} of the largest value")
    assert error <= 1e-5 and compared(report, without, ["9", 0], ["12", 0]) > 1e-2 * size
