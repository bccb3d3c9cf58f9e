"""Detail Map behind the host's Differential Diffusion, on small trained models in tiles: flat parts stay, texture is painted anew."""

import importlib

import pytest
import torch
import torch.nn.functional as F
from tilework.blending.frequency.energy import detail_mask

from ..host.recording import comfy

bed, models, scenes = (importlib.import_module(f"tilework.tests.pack.coherence.{name}") for name in ("bed", "models", "scenes"))
SIDE, COUNT, STEPS = 48, 3, 10  # cells of a canvas of four tiles, pictures
LOW, HIGH = 30.0, 80.0  # as in template 30


def repainted(kind, schedule, denoise=1.0):
    """Pictures before and after, and the mask at their size: template 30's nodes from Detail Map to Latent Tile Denoise."""
    differential = importlib.import_module("comfy_extras.nodes_differential_diffusion").DifferentialDiffusion
    model = bed.in_tiles(differential.execute(models.scene_model(kind)).args[0], bed.Job(kind=kind), overlap=16 * bed.PIXELS, tile_batch=4)
    before = scenes.drawn(COUNT, 91, size=SIDE)
    pixels = F.interpolate(scenes.rgb(before), scale_factor=bed.PIXELS, mode="bilinear").movedim(1, -1)
    mask = detail_mask(pixels, low=LOW, high=HIGH)
    levels = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), schedule, int(STEPS / denoise))[-STEPS - 1 :]
    with torch.inference_mode():
        after = comfy.sample.sample_custom(
            model,
            torch.randn(before.shape, generator=torch.Generator().manual_seed(17)),
            1.0,
            comfy.samplers.ksampler("dpmpp_2m"),
            levels,
            models.scene_prompt("day", "scene"),
            models.scene_prompt(),
            before.clone(),
            noise_mask=mask,
            disable_pbar=True,
            seed=1,
        )
    return before, after, F.interpolate(mask[:, None], size=(SIDE, SIDE), mode="bilinear").expand_as(before)


def figures(before, after, mask):
    """(largest change where the mask is 0; correlation with before, and share of its deviation, where the mask is 1)."""
    kept, (one, other) = (after - before)[mask == 0].abs().max(), (part[mask == 1] for part in (before, after))
    return float(kept), float(torch.corrcoef(torch.stack([one, other]))[0, 1]), float(other.std() / one.std())


@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_flat_parts_stay_and_texture_is_painted_anew(kind, request):
    for schedule in ("simple", "beta", "sgm_uniform") if request.config.getoption("--release") else ("simple",):
        before, after, mask = repainted(kind, schedule)
        assert (mask == 0).float().mean() > 0.25 and (mask == 1).float().mean() > 0.15
        kept, alike, spread = figures(before, after, mask)
        print(f"{kind}, {schedule}: mask 0 changes {kept:.1e}; mask 1: correlation {alike:.2f} at {spread:.2f} of the deviation")
        assert kept <= 1e-3 and alike <= 0.7 and 0.8 <= spread <= 1.25


def test_a_schedule_that_ends_at_the_lowest_noise_opens_mask_0_as_the_help_page_says():
    kept, _, _ = figures(*repainted("unet", "normal"))
    print(f"unet, normal: mask 0 changes {kept:.1e}")
    assert kept > 1e-2, "then the page's warning can go"


def test_a_lower_denoise_keeps_more_of_the_texture():
    """Why the line above is stated at denoise 1: half of the noise cannot paint a texture that is wholly another."""
    kept, alike, _ = figures(*repainted("dit", "simple", 0.5))
    print(f"dit, simple, denoise 0.5: mask 0 changes {kept:.1e}; mask 1: correlation {alike:.2f}")
    assert kept <= 1e-3 and 0.7 < alike < 0.98
