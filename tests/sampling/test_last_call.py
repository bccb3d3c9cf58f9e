"""Patches that remember the model's last call, or take what they are called with for the whole picture."""

import pytest
import torch
from tilework.sampling.last_call import _grid
from tilework.tests.pack import models, patched

from ..host.recording import SamplingRun, TileSettings, comfy, noise, prompt, relative
from ..host.recording import tiled_model as tiled
from .test_crop_runs import sample
from .test_model_patches import denoiser

TILES = {"tile_width": 384, "tile_height": 320, "overlap": 64}
# Self-attention costs the square of the cells.
SMALL_TILES = {"tile_width": 320, "tile_height": 256, "overlap": 64}
# Periods of 8 cells each way, and tiles that begin on them: every tile is what the canvas is, only smaller.
PERIODIC = (1, 4, 64, 96)
EVEN_TILES = {"tile_width": 384, "tile_height": 256, "overlap": 128}


def with_guidance(model, scale=0.7, sigma=2.0):
    """The host's own node."""
    from comfy_extras.nodes_sag import SelfAttentionGuidance

    return SelfAttentionGuidance.execute(model, scale, sigma).args[0]


def periodic(*shape, seed=0):
    batch, channels, height, width = shape
    return noise(batch, channels, 8, 8, seed=seed).repeat(1, 1, height // 8, width // 8)


class Attentive(patched.PatchedDenoiser):
    """What it attends to depends on the picture."""

    def looked_at(self, clean):
        return 3 * clean.mean(dim=1).flatten(1).unsqueeze(-1)


@pytest.mark.parametrize(
    ("settings", "batch"),
    [({}, 1), ({}, 2), ({"grid": "jitter"}, 1), ({"grid": "jitter"}, 2), ({"tile_batch": 4}, 2), ({"fusion": "gaussian"}, 1)],
    ids=str,
)
def test_self_attention_guidance_is_the_canvas(settings, batch):
    """A network that attends to every other column, in tiles that begin on even ones."""
    plain, x = denoiser(), noise(batch, 4, 40, 64, seed=3)
    plain.model.diffusion_model.patch_size = 2
    model = with_guidance(plain)
    whole, without = (sample(one, x, prompt(1), prompt(2), steps=3) for one in (model, plain))
    parts = sample(tiled(model, TileSettings(**SMALL_TILES, **settings)), x, prompt(1), prompt(2), steps=3)
    print(f"{settings}: tiled - untiled {relative(parts, whole):.1e}; with guidance and without {relative(whole, without):.2f}")
    assert relative(parts, whole) <= 1e-5 and relative(whole, without) > 0.01


@pytest.mark.parametrize("batch", [1, 2])
def test_self_attention_guidance_follows_what_is_on_the_canvas(batch):
    """Where every tile shows what the whole canvas does, its scores are the canvas' scores. For a step: the blur mirrors at the sides."""
    plain, x = models.conv_denoiser(0, kind=Attentive), periodic(batch, *PERIODIC[1:], seed=3)
    model = with_guidance(plain)
    whole, without = (sample(one, x, prompt(1), prompt(2), steps=1) for one in (model, plain))
    parts = sample(tiled(model, TileSettings(**EVEN_TILES)), x, prompt(1), prompt(2), steps=1)
    assert relative(parts, whole) <= 1e-5 and relative(whole, without) > 0.01


def test_self_attention_guidance_in_a_sampler_that_runs_on_tiles():
    """Tile by tile the tile is the sampler's picture, and everything is the tile's own."""
    model = with_guidance(denoiser())
    out = sample(tiled(model, TileSettings(**TILES, order="sequential")), noise(1, 4, 64, 112, seed=3), prompt(1), prompt(2), steps=2)
    assert torch.isfinite(out).all()


def test_every_tiles_scores_lie_on_its_place():
    """What the host's function finds is each tile's map, averaged where tiles overlap; and it stays where nobody writes."""
    model = with_guidance(models.conv_denoiser(0, kind=Attentive))
    given = model.model_options["transformer_options"]["patches_replace"]["attn1"][("middle", 0, 0)]
    cell = dict(zip(given.__code__.co_freevars, given.__closure__, strict=True))["attn_scores"]
    found, maps = [], []

    def each(executor, model, conds, x, timestep, options):
        said = executor(model, conds, x, timestep, options)
        maps.append(None if cell.cell_contents is None else cell.cell_contents.sum(1).reshape(x.shape[-2:]))
        return said

    (after,) = model.model_options["sampler_post_cfg_function"]

    def look(args):
        found.append(cell.cell_contents)
        # As another guidance would, before: one that asks the model again without the negative prompt.
        comfy.samplers.calc_cond_batch(args["model"], [args["cond"]], args["input"], args["sigma"], args["model_options"])
        assert cell.cell_contents is found[-1]
        return args["denoised"]

    model.model_options["sampler_post_cfg_function"] = [look, after]
    x = noise(1, 4, 64, 112, seed=5)
    settings = TileSettings(**TILES, fusion="average")
    patch = tiled(model, settings)
    patch.add_wrapper_with_key("calc_cond_batch", "each", each)
    sample(patch, x, prompt(1), prompt(2), steps=1)
    places = SamplingRun(settings).canvas(model.model, x.shape).views(0, "cpu")
    assert len(places) == 6 and [one is None for one in maps] == [False] * 6 + [True] * 12
    total, count = torch.zeros(2, 64, 112)
    for view, one in zip(places, maps[:6], strict=True):
        at = slice(view.rect.y, view.rect.y + view.rect.height), slice(view.rect.x, view.rect.x + view.rect.width)
        total[at] += one
        count[at] += 1
    (scores,) = found
    assert scores.shape == (1, 1, 64 * 112) and torch.allclose(scores.reshape(64, 112), total / count, atol=1e-5)
    assert float(scores.std()) > 0.1, "they say something"


def test_the_grid_of_tokens():
    assert [_grid(n, 64, 48) for n in (64 * 48, 32 * 24, 8 * 6)] == [(64, 48), (32, 24), (8, 6)]
    assert _grid(5 * 8, 33, 64) == (5, 8) and _grid(9 * 17, 65, 131) == (9, 17)
    assert _grid(12, 64, 48) == (4, 3) and _grid(6, 100, 100) in ((2, 3), (3, 2))


def remembering(model):
    """As Self-Attention Guidance, of another pack: what it writes down is not known."""
    noted, level = None, None

    def note(q, k, v, extra_options):
        nonlocal noted, level
        noted, level = q * 1, float(extra_options["sigmas"][0])
        return q, k, v

    def guide(args):
        return args["denoised"] * (1 + 0 * level) + 0 * noted.mean()

    model = model.clone()
    model.set_model_attn2_patch(note)
    model.set_model_sampler_post_cfg_function(guide)
    return model


def test_another_that_remembers_is_refused_by_name_unless_the_sampler_runs_on_tiles():
    model, x = remembering(denoiser()), noise(1, 4, 64, 112)
    with pytest.raises(ValueError, match=r"patch remembering.note remembers the model's last call \(in noted\) .* order sequential"):
        sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), steps=1)
    sample(tiled(model, TileSettings(**TILES, order="sequential")), x, prompt(1), prompt(2), steps=1)
    sample(tiled(model, TileSettings(tile_width=1024, tile_height=1024)), x, prompt(1), prompt(2), steps=1)


def counting(model):
    """Shares with the sampler what is no picture."""
    level, scale = None, torch.tensor(0.5)

    def note(q, k, v, extra_options):
        nonlocal level
        level = float(extra_options["sigmas"][0]) + 0 * scale.item()
        return q, k, v

    model = model.clone()
    model.set_model_attn2_patch(note)
    model.set_model_sampler_post_cfg_function(lambda args: args["denoised"] * scale * (1 + 0 * level))
    return model


def test_what_is_shared_and_no_picture_is_no_reason_to_refuse():
    model, x = counting(denoiser()), noise(1, 4, 64, 112)
    whole = sample(model, x, prompt(1), prompt(2), steps=2)
    assert relative(sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), steps=2), whole) <= 1e-5


def core_patches():
    """The host's nodes that patch a model and are right with tiles, each with values that do something."""
    import comfy_extras.nodes_post_processing  # noqa: F401 - the host's own order: the latents' file imports this one in a circle
    from comfy_extras import (
        nodes_apg,
        nodes_cfg,
        nodes_eps,
        nodes_freelunch,
        nodes_fresca,
        nodes_hypertile,
        nodes_latent,
        nodes_mahiro,
        nodes_model_advanced,
        nodes_nag,
        nodes_pag,
        nodes_tcfg,
        nodes_tomesd,
    )

    sharpen = lambda latent, **more: latent * 1.1  # noqa: E731 - an operation as the host's nodes give it
    return {
        "APG": lambda m: nodes_apg.APG.execute(m, 1.0, 5.0, 0.5), "CFG-Zero": lambda m: nodes_cfg.CFGZeroStar.execute(m),
        "CFGNorm": lambda m: nodes_cfg.CFGNorm.execute(m, 1.0), "Epsilon Scaling": lambda m: nodes_eps.EpsilonScaling.execute(m, 1.01),
        "FreSca": lambda m: nodes_fresca.FreSca.execute(m, 1.0, 1.25, 20), "Mahiro": lambda m: nodes_mahiro.Mahiro.execute(m),
        "Perturbed-Attention Guidance": lambda m: nodes_pag.PerturbedAttentionGuidance.execute(m, 3.0),
        "TCFG": lambda m: nodes_tcfg.TCFG.execute(m), "RescaleCFG": lambda m: nodes_model_advanced.RescaleCFG().patch(m, 0.7),
        "Latent Operation CFG": lambda m: nodes_latent.LatentApplyOperationCFG.execute(m, sharpen),
        "HyperTile": lambda m: nodes_hypertile.HyperTile.execute(m, 256, 2, 0, False),
        "Token Merging": lambda m: nodes_tomesd.TomePatchModel.execute(m, 0.3),
        "Normalized Attention Guidance": lambda m: nodes_nag.NAGuidance.execute(m, 5.0, 0.25, 2.5),
        "FreeU": lambda m: nodes_freelunch.FreeU_V2.execute(m, 1.3, 1.4, 0.9, 0.2),
    }  # fmt: skip


INSIDE_THE_NETWORK = {"HyperTile", "Token Merging", "Normalized Attention Guidance", "FreeU"}


def test_the_hosts_other_patches_are_let_through():
    """Those that work on what the sampler gets give what they give untiled; those inside the network are each tile's own."""
    x, errors = noise(1, 4, 64, 112, seed=2), {}
    for name, node in core_patches().items():
        inside = name in INSIDE_THE_NETWORK
        given = node(models.tiny_unet() if inside else denoiser())
        model = (given.args if hasattr(given, "args") else given)[0]
        parts = sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), steps=2)
        if inside:
            assert torch.isfinite(parts).all()
        else:
            errors[name] = relative(parts, sample(model, x, prompt(1), prompt(2), steps=2))
    print(errors)
    assert max(errors.values()) <= 2e-5


def named(module, qualname):
    """A function that was written there."""

    def patch(*args, **more):
        return args

    patch.__module__, patch.__qualname__ = module, qualname
    return patch


CACHES = [
    ("/some/custom_nodes/ComfyUI-TeaCache.nodes", "TeaCache.apply_teacache.<locals>.unet_wrapper_function"),
    ("/x/custom_nodes/speed.fbcache_nodes", "ApplyFBCacheOnModel.patch.<locals>.model_unet_function_wrapper"),
    ("custom_nodes.m.nodes", "MagCache.apply_magcache.<locals>.unet_wrapper_function"),
]


@pytest.mark.parametrize("place", ["wrapper", "inside another", "diffusion_model"])
@pytest.mark.parametrize(("module", "qualname"), CACHES)
def test_step_caches_of_other_packs_are_refused_by_name(module, qualname, place):
    model, cache = denoiser(), named(module, qualname)
    if place == "diffusion_model":
        model.add_wrapper_with_key("diffusion_model", "cache", cache)
    else:
        model.set_model_unet_function_wrapper(cache if place == "wrapper" else lambda call, given: cache(call, given))
    words = f"{qualname.split('.')[0]} .* remembers what the model made of one picture and cannot tell tiles apart"
    for order in ("fused", "sequential"):
        with pytest.raises(ValueError, match=words):
            sample(tiled(model, TileSettings(**TILES, order=order)), noise(1, 4, 64, 112), prompt(1), prompt(2), steps=1)


def test_a_folder_is_no_reason_to_refuse():
    def wrapper(call, given):
        return call(given["input"], given["timestep"], **given["c"])

    wrapper.__module__, wrapper.__qualname__ = "/home/teacache/ComfyUI/custom_nodes/harmless.nodes", "Harmless.patch.<locals>.wrapper"
    model = denoiser()
    model.set_model_unet_function_wrapper(wrapper)
    sample(tiled(model, TileSettings(**TILES)), noise(1, 4, 64, 112), prompt(1), prompt(2), steps=1)


def test_flux_kv_cache_is_refused_where_tiles_see_different_parts_of_a_reference():
    from comfy_extras.nodes_flux import KV_Attn_Input

    model = models.tiny_dit()
    model.set_model_attn1_patch(KV_Attn_Input())
    positive = models.conditioning(1)
    with_reference = [[positive[0][0], {**positive[0][1], "reference_latents": [noise(1, 16, 32, 48)]}]]
    x = noise(1, 16, 32, 48)
    small = {"tile_width": 256, "tile_height": 256, "overlap": 64}
    with pytest.raises(ValueError, match=r"Flux KV Cache remembers .* set reference_latents to whole"):
        sample(tiled(model, TileSettings(**small)), x, with_reference, models.conditioning(2), steps=1)
    sample(tiled(model, TileSettings(**small)), x, positive, models.conditioning(2), steps=1)
