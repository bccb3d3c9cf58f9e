"""Runs of the host's own sampling code with tiny models, tiled and untiled, in this process; prints the figures as JSON.

    python tests/host/tiled_runs.py COMFYUI_FOLDER [all]

A script of its own, because the host can only be set up before it is imported. `test_tiled_runs.py` starts it once and
judges the figures; with `all` every combination is run that the tests only sample.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import logging
import sys
import weakref
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMFY = sys.argv[1]
EVERYTHING = "all" in sys.argv[2:]
sys.path.insert(0, COMFY)
sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.context_windows  # noqa: E402
import comfy.nested_tensor  # noqa: E402
import comfy.patcher_extension  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


def _pack(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


_pack("tilework", ROOT)
_pack("tilework_test", ROOT / "tests" / "pack")
from tilework.blending.layout import TileLayout  # noqa: E402
from tilework.sampling import positions, tiled_model  # noqa: E402
from tilework.sampling.run_state import TiledRun, step_of  # noqa: E402
from tilework.sampling.settings import TileSettings  # noqa: E402
from tilework.sampling.tile_batches import TileBatches  # noqa: E402
from tilework.sampling.tiled_model import tiled  # noqa: E402
from tilework_test import models  # noqa: E402
from tilework_test.awkward import TightDenoiser  # noqa: E402

Wrappers = comfy.patcher_extension.WrappersMP
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "uni_pc", "lcm", "res_multistep")
SHAPES = ((1, 4, 96, 160), (2, 16, 97, 131), (1, 16, 1, 64, 96), (1, 16, 5, 40, 72))
RULES = ("hann", "gaussian", "average")
GRIDS = ("fixed", "jitter")
# 64 x 48 cells, overlap 16.
TILES = {"tile_width": 512, "tile_height": 384, "overlap": 128}


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sample(model, shape, sampler="euler", steps=8, seed=5, latent=None, mask=None, positive=None, cfg=3.0, scheduler="normal", denoise=1.0):
    """The host's whole way from noise to latent."""
    latent = 0.5 * noise(shape, 1) if latent is None else latent
    with torch.inference_mode():
        return comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, seed), steps, cfg, sampler, scheduler,
            positive if positive is not None else models.conditioning(1), models.conditioning(2), latent,
            denoise=denoise, noise_mask=mask, disable_pbar=True, seed=seed,
        )  # fmt: skip


def off(a, b):
    """The largest difference, as a share of the largest value."""
    return float((a - b).abs().max() / b.abs().max())


def settings(**changes):
    return TileSettings(**{**TILES, **changes})


def pointwise():
    """Tiled against untiled for a model that sees single cells, prompts included."""
    combinations = list(product(RULES, GRIDS))
    figures = {}
    for row, shape in enumerate(SHAPES):
        model = models.conv_denoiser(0, channels=shape[1])
        for column, name in enumerate(SAMPLERS):
            # The samplers all run on the smallest canvas, the other canvases with two of them.
            if not (EVERYTHING or row == 2 or column in (row, row + 2)):
                continue
            untiled = sample(model, shape, name)
            chosen = combinations if EVERYTHING or (row == 2 and column == 0) else [combinations[(row + column) % 6]]
            for rule, grid in chosen:
                figures[f"{shape} {name} {rule} {grid}"] = off(sample(tiled(model, settings(fusion=rule, grid=grid)), shape, name), untiled)
            assert float(untiled.std()) > 0.5, "a picture that says nothing"
    return figures


def convolution():
    """The exactness law: a receptive radius R, trim R, overlap 2 R + 8."""
    figures = {}
    shape, radius = (1, 4, 72, 112), 4
    model = models.conv_denoiser(radius)
    untiled = sample(model, shape)
    for rule, grid in product(RULES, GRIDS):
        sizes = {"tile_width": 384, "tile_height": 320, "overlap": (2 * radius + 8) * 8, "fusion": rule, "grid": grid}
        with_trim, without = (off(sample(tiled(model, TileSettings(**sizes, trim=t)), shape), untiled) for t in (radius * 8, 0))
        figures[f"{rule} {grid}"] = {"trim": with_trim, "no trim": without}
    return figures


def one_tile():
    """Bit-identical where one tile covers everything: typed, larger than the canvas, or from a layout."""
    figures = {}
    for name, model, shape in (
        ("unet", models.tiny_unet(), (1, 4, 40, 56)),
        ("inpaint unet", models.tiny_unet(inpaint=True), (1, 4, 40, 56)),
        ("dit", models.tiny_dit(), (1, 16, 41, 57)),
    ):
        mask = torch.ones(1, 1, shape[-2] * 8, shape[-1] * 8) if name == "inpaint unet" else None
        untiled = sample(model, shape, steps=3, mask=mask)
        height, width = shape[-2] * 8, shape[-1] * 8
        layout = TileLayout.grid(height, width, 1024, 1024, 128, 8)
        for how in (settings(tile_width=2048, tile_height=1024), settings(tile_width=width, tile_height=height), settings(layout=layout)):
            again = sample(tiled(model, how), shape, steps=3, mask=mask)
            figures[name] = figures.get(name, True) and torch.equal(again, untiled)
        parts = sample(tiled(model, settings(tile_width=256, tile_height=256, overlap=64)), shape, steps=3, mask=mask)
        figures[name + " differs in tiles"] = not torch.equal(parts, untiled)
    return figures


def batches():
    """How many tiles run at once changes nothing but rounding."""
    figures = {}
    for name, model, shape in (("unet", models.tiny_unet(), (2, 4, 48, 72)), ("dit", models.tiny_dit(), (1, 16, 48, 72))):
        runs = {}
        for count in (1, 4, 0):
            small = settings(tile_width=256, tile_height=256, overlap=64, tile_batch=count)
            runs[count] = sample(tiled(model, small), shape, steps=3)
        figures[name] = {"4": off(runs[4], runs[1]), "auto": off(runs[0], runs[1])}
    counted = {}
    for megabytes in (1, 8000, 100_000):
        estimate = TileBatches(0)
        base = models.conv_denoiser(0)
        base.get_free_memory = lambda device, megabytes=megabytes: megabytes * 2**20
        base.model.current_patcher = base
        prompts = [[{"model_conds": {}}], [{"model_conds": {}}], None]
        estimate.estimate(base.model, lambda prompts=prompts: prompts, (1, 4, 64, 64), 9, "cuda")
        one = base.model.memory_required([2, 4, 64, 64])
        counted[str(megabytes)] = [estimate.limit, max(1, min(9, int(megabytes * 2**20 / 1.5 / one)))]
    figures["counted and expected"] = counted
    figures["even"] = [TileBatches(4).even(left) for left in (9, 6, 3, 4)]
    return figures


def out_of_memory():
    """A chunk that does not fit is halved, and stays halved."""
    shape = (1, 4, 72, 96)
    roomy = models.conv_denoiser(0)
    untiled = sample(roomy, shape, steps=3)
    tight = models.conv_denoiser(0, kind=TightDenoiser, room=4)
    heard = Heard()
    small = TileSettings(256, 256, 64, tile_batch=8)
    tiles = len(small.plan(shape[-2:], 1, 8, 1))
    with heard:
        error = off(sample(tiled(tight, small), shape, steps=3), untiled)
    none = models.conv_denoiser(0, kind=TightDenoiser, room=1)
    try:
        sample(tiled(none, TileSettings(256, 256, 64, tile_batch=2)), shape, steps=1, cfg=3.0)
        gave_up = ""
    except torch.OutOfMemoryError as caught:
        gave_up = str(caught)
    return {"error": error, "tiles": tiles, "sizes": tight.model.diffusion_model.sizes, "log": heard.lines, "gave up": gave_up}


class Heard(logging.Handler):
    """What is logged meanwhile."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def __enter__(self):
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *error):
        logging.getLogger().removeHandler(self)


def noise_mask():
    """Outside of a noise mask the source stays."""
    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    source = noise(shape, 9)
    mask = torch.zeros(1, 1, 512, 768)
    mask[..., 100:300, 200:500] = 1
    kept = torch.nn.functional.interpolate(mask, (64, 96), mode="bilinear") == 0
    figures = {}
    for name in ("euler", "dpmpp_2m", "euler_ancestral", "uni_pc"):
        untiled = sample(model, shape, name, latent=source, mask=mask)
        run = sample(tiled(model, settings()), shape, name, latent=source, mask=mask)
        outside = kept.expand_as(run)
        figures[name] = {
            "untiled": off(run, untiled),
            "source": float((run - source)[outside].abs().max() / run.abs().max()),
            "inside": float((run - source)[~outside].abs().max()),
        }
    return figures


def areas_and_masks():
    """Areas, masks and both together: a pointwise model that hears its prompt, tiled and untiled."""
    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    figures = {}
    mask = torch.linspace(0, 1, 96 * 8).expand(1, 512, -1).clone()
    parts = {
        "area": {"area": (40, 50, 10, 20), "strength": 0.8},
        "mask": {"mask": mask, "mask_strength": 1.0, "set_area_to_bounds": False},
        "both": {"area": (40, 50, 10, 20), "mask": mask},
    }
    for name, part in parts.items():
        special = models.conditioning(7)
        positive = [*models.conditioning(1), [special[0][0], {**special[0][1], **part}]]
        untiled = sample(model, shape, positive=positive)
        for grid in GRIDS:
            figures[f"{name} {grid}"] = off(sample(tiled(model, settings(grid=grid, tile_batch=2)), shape, positive=positive), untiled)
        figures[f"{name} matters"] = off(sample(model, shape), untiled)
    return figures


def context_windows():
    """Windows over the frames, tiles inside each of them."""
    shape = (1, 16, 9, 40, 72)
    model = models.conv_denoiser(0, channels=16)
    windows = comfy.context_windows
    model.model_options["context_handler"] = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.PYRAMID),
        context_length=5, context_overlap=2, dim=2, causal_window_fix=False,
    )  # fmt: skip
    windows.create_prepare_sampling_wrapper(model)
    seen = []
    shapes = []
    looked = tiled(model, settings(tile_width=256, tile_height=256, overlap=64))
    looked.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "look", look(seen))
    looked.add_wrapper_with_key(
        Wrappers.PREPARE_SAMPLING,
        "look",
        lambda executor, m, shape, *args, **more: (shapes.append(list(shape)), executor(m, shape, *args, **more))[1],
    )
    error = off(sample(looked, shape, steps=3), sample(model, shape, steps=3))
    return {"error": error, "sizes": sorted({tuple(size[2:]) for size in seen}), "reserved": shapes}


def look(seen):
    """Another pack's wrapper: writes down what it is given and passes it on."""

    def wrapper(executor, model, conds, x, timestep, options):
        seen.append(tuple(x.shape))
        return executor(model, conds, x, timestep, options)

    return wrapper


def composing():
    """Before and after other wrappers; applied twice; the memory that is reserved; every guider."""
    shape = (1, 4, 72, 96)
    model = models.conv_denoiser(0)
    untiled = sample(model, shape, steps=3)
    small = TileSettings(256, 256, 64, tile_batch=2)
    outside, inside, reserved, slot = [], [], [], []
    patched = model.clone()
    patched.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "before", look(outside))
    patched = tiled(tiled(patched, TileSettings(128, 128, 32)), small)
    patched.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "after", look(inside))
    patched.add_wrapper_with_key(
        Wrappers.PREPARE_SAMPLING,
        "after",
        lambda executor, m, shape, *args, **more: (reserved.append(list(shape)), executor(m, shape, *args, **more))[1],
    )
    patched.set_model_unet_function_wrapper(
        lambda call, given: (slot.append(len(given["input"])), call(given["input"], given["timestep"], **given["c"]))[1]
    )
    error = off(sample(patched, shape, steps=3), untiled)
    return {
        "error": error,
        "outside": sorted(set(outside)),
        "outside calls": len(outside),
        "inside": sorted(set(inside)),
        "inside calls": len(inside),
        "tiles": len(small.plan(shape[-2:], 1, 8, 1)),
        "reserved": reserved,
        "slot": len(slot),
        "wrappers": [
            len(patched.get_wrappers(kind, tiled_model.KEY))
            for kind in (Wrappers.OUTER_SAMPLE, Wrappers.PREPARE_SAMPLING, Wrappers.CALC_COND_BATCH)
        ],
    }


def guiders():
    """SamplerCustomAdvanced's way, with guiders of one, two and three prompts and of two models."""
    from comfy_extras.nodes_custom_sampler import Guider_Basic, Guider_DualCFG, Guider_DualModel
    from comfy_extras.nodes_perpneg import Guider_PerpNeg

    shape = (1, 4, 64, 96)
    model = models.conv_denoiser(0)
    prompts = [models.conditioning(seed) for seed in (1, 2, 3)]

    def guided(name, patched):
        guider = {
            "basic": lambda: Guider_Basic(patched), "cfg": lambda: comfy.samplers.CFGGuider(patched),
            "dual cfg": lambda: Guider_DualCFG(patched), "perp neg": lambda: Guider_PerpNeg(patched),
            "dual model": lambda: Guider_DualModel(patched, models.conv_denoiser(0, seed=4)),
        }[name]()  # fmt: skip
        if name == "basic":
            guider.set_conds(prompts[0])
        elif name == "dual cfg":
            guider.set_conds(*prompts)
            guider.set_cfg(3.0, 2.0)
        elif name == "perp neg":
            guider.set_conds(*prompts)
            guider.set_cfg(3.0, 1.0)
        else:
            guider.set_conds(*prompts[:2])
            guider.set_cfg(3.0)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 3)
        latent = 0.5 * noise(shape, 1)
        with torch.inference_mode():
            return guider.sample(comfy.sample.prepare_noise(latent, 5), latent, comfy.samplers.sampler_object("euler"), sigmas, seed=5)

    return {
        name: off(guided(name, tiled(model, settings())), guided(name, model))
        for name in ("basic", "cfg", "dual cfg", "perp neg", "dual model")
    }


def state():
    """A run's state dies with it, also where the run fails, and clones share none."""
    born = []

    class Watched(TiledRun):
        def __init__(self, *args):
            super().__init__(*args)
            born.append(weakref.ref(self))

    model = models.conv_denoiser(0)
    one, other = tiled(model, settings()), tiled(model, settings(tile_width=256, grid="jitter"))
    tiled_model.TiledRun = Watched
    try:
        first = sample(one, (1, 4, 64, 96), steps=2)
        between = sample(other, (1, 4, 72, 80), steps=2)
        again = sample(one, (1, 4, 64, 96), steps=2)
        failing = tiled(models.conv_denoiser(0, kind=TightDenoiser, room=0), settings())
        try:
            sample(failing, (1, 4, 64, 96), steps=1)
            failed = False
        except torch.OutOfMemoryError:
            failed = True
    finally:
        tiled_model.TiledRun = TiledRun
    gc.collect()
    left = [key for patched in (one, other, failing) for key in patched.model_options if "tilework" in key]
    return {
        "runs": len(born), "alive": sum(ref() is not None for ref in born), "again": torch.equal(first, again),
        "shape": list(between.shape), "failed": failed, "left": left,
    }  # fmt: skip


def position_ids():
    """What a Flux transformer is told of where each tile lies, beside what the whole canvas is told."""
    shape = (1, 16, 64, 96)

    def ids(model, how):
        given = []
        model = model.clone()
        model.set_model_post_input_patch(lambda said: (given.append(said["img_ids"][0].clone()), said)[1])
        sample(model if how is None else tiled(model, how), shape, steps=1, cfg=1.0, scheduler="simple")
        return given

    figures = {}
    scaled = models.tiny_dit()
    scaled.set_model_rope_options(0.5, 3.0, 0.75, 2.0, 1.0, 1.0)
    for name, model in (("plain", models.tiny_dit()), ("on top of others", scaled)):
        (canvas,) = ids(model, None)
        canvas = canvas.reshape(32, 48, 3)
        for grid in GRIDS:
            small = settings(tile_width=256, tile_height=256, overlap=64, grid=grid)
            told = ids(model, TileSettings(**{**small.__dict__, "positions": "canvas", "tile_batch": 4}))
            run = TiledRun(small, 5)
            views = run.canvas(model.model, shape).views(0, "cpu")
            assert len(told) == len(views)
            worst = 0.0
            for view, tile in zip(views, told, strict=True):
                here = canvas[view.rect.y // 2 : (view.rect.y + 32) // 2, view.rect.x // 2 : (view.rect.x + 32) // 2]
                worst = max(worst, float((tile.reshape(16, 16, 3) - here).abs().max()))
            figures[f"{name}, {grid}"] = worst
            figures[f"{name}, {grid}, origins"] = len({(view.rect.y, view.rect.x) for view in views})
        local = ids(model, settings(tile_width=256, tile_height=256, overlap=64))
        figures[f"{name}, local alike"] = all(torch.equal(one, local[0]) for one in local)
    figures["whole reference"] = whole_reference_ids()
    heard = Heard()
    with heard:
        unheeding = sample(
            tiled(models.tiny_unet(), settings(tile_width=256, tile_height=256, positions="canvas")), (1, 4, 48, 48), steps=2
        )
    local = sample(tiled(models.tiny_unet(), settings(tile_width=256, tile_height=256)), (1, 4, 48, 48), steps=2)
    figures["warnings"] = [line for line in heard.lines if "Tilework" in line]
    figures["unheeding is local"] = torch.equal(unheeding, local)
    figures["heeded"] = heeded()
    reads = {path for path in Path(COMFY, "comfy", "ldm").rglob("*.py") if "rope_options" in path.read_text(encoding="utf-8")}
    figures["modules that read them"] = sorted(".".join(path.relative_to(COMFY).with_suffix("").parts) for path in reads)
    figures["modules known"] = sorted(positions.HEEDED_BY)
    return figures


def heeded():
    """By family: what it is called in the warning, and whether its network takes position shifts."""
    from types import SimpleNamespace

    from comfy import supported_models as families
    from comfy.ldm.flux.model import Flux
    from comfy.ldm.lumina.model import NextDiT
    from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ldm.qwen_image.model import QwenImageTransformer2DModel
    from comfy.ldm.wan.model import VaceWanModel

    said = {}
    for family, network in (
        (families.SD15, UNetModel), (families.SDXL, UNetModel), (families.SD3, OpenAISignatureMMDITWrapper),
        (families.QwenImage, QwenImageTransformer2DModel), (families.Flux, Flux), (families.Lumina2, NextDiT),
        (families.WAN21_Vace, VaceWanModel),
    ):  # fmt: skip
        model = SimpleNamespace(diffusion_model=network.__new__(network), model_config=family.__new__(family))
        said[positions.model_name(model)] = positions.heeds_positions(model)
    return said


def whole_reference_ids():
    """A reference that every tile sees whole stays where the untiled run has it: the largest difference of its ids."""
    shape = (1, 16, 48, 64)
    positive = models.conditioning(1)
    positive[0][1]["reference_latents"] = [noise((1, 16, 20, 28), 3)]
    references = 10 * 14

    def ids(how):
        model, given = models.tiny_dit(), []
        model.model.diffusion_model.pe_embedder.register_forward_pre_hook(
            lambda module, args: given.append(args[0][0, -references:].clone())
        )
        sample(model if how is None else tiled(model, how), shape, steps=1, cfg=1.0, scheduler="simple", positive=positive)
        return given

    (untiled,) = ids(None)
    how = {"tile_width": 256, "tile_height": 256, "overlap": 64, "positions": "canvas", "reference_latents": "whole"}
    told = ids(TileSettings(**how))
    assert len(told) == 6 and float(untiled.abs().max()) > 10
    return max(float((one - untiled).abs().max()) for one in told)


def jitter():
    """The same seed gives the same picture to the bit; another another grid; one grid within a step."""
    shape = (1, 4, 48, 72)
    model = models.tiny_unet()
    moving = tiled(model, TileSettings(256, 256, 64, grid="jitter"))
    first, again = (sample(moving, shape, "dpmpp_sde", steps=3) for _ in range(2))
    fixed = sample(tiled(model, TileSettings(256, 256, 64)), shape, "dpmpp_sde", steps=3)
    places = []

    class Noted(TiledRun):
        def canvas(self, *args):
            tiles = super().canvas(*args)
            return Note(tiles)

    class Note:
        def __init__(self, tiles):
            self.tiles = tiles

        def __getattr__(self, name):
            return getattr(self.tiles, name)

        def views(self, step, device):
            views = self.tiles.views(step, device)
            places.append((step, tuple(view.rect for view in views)))
            return views

    tiled_model.TiledRun = Noted
    try:
        sample(moving, shape, "dpmpp_sde", steps=3)
    finally:
        tiled_model.TiledRun = TiledRun
    schedule = torch.tensor([10.0, 5.0, 1.0, 0.0])
    options = {"transformer_options": {"sample_sigmas": schedule}}
    return {
        "same": torch.equal(first, again), "moves": not torch.equal(first, fixed),
        "calls": len(places), "steps": len({step for step, _ in places}), "grids": len(set(places)),
        "steps of 12, 10, 7, 5, 5 and a bit, 2, 1, 0.1": [
            step_of(torch.tensor([level]), options) for level in (12.0, 10.0, 7.0, 5.0, 5.0 * (1 + 1e-6), 2.0, 1.0, 0.1)
        ],
        "without a schedule": step_of(torch.tensor([5.0]), {}) != step_of(torch.tensor([4.0]), {}),
    }  # fmt: skip


def half_precision():
    """A network in bf16: what is fused, and the weights, are float32 all the same."""
    model = models.conv_denoiser(0)
    network = model.model.diffusion_model

    class Coarse(torch.nn.Module):
        dtype = torch.bfloat16

        def forward(self, x, *args, **more):
            return (x.float() * 0 + network.meaning[0, 0]).to(torch.bfloat16)

    model.model.diffusion_model = Coarse()
    shape = (1, 4, 97, 131)
    return {
        f"{rule} {grid}": off(sample(tiled(model, settings(fusion=rule, grid=grid)), shape), sample(model, shape))
        for rule, grid in product(RULES, GRIDS)
    }


def refusals():
    """What cannot be tiled is refused in words, before anything runs."""

    def words(call):
        try:
            call()
        except ValueError as error:
            return str(error)
        return "nothing was refused"

    dit, conv = models.tiny_dit(), models.conv_denoiser(0)
    plain = (1, 4, 96, 96)
    packed = comfy.nested_tensor.NestedTensor([noise((1, 4, 64, 64)), noise((1, 4, 8))])

    def sample_packed():
        guider = comfy.samplers.CFGGuider(tiled(conv, settings()))
        guider.set_conds(models.conditioning(1), models.conditioning(2))
        guider.sample(packed, packed, comfy.samplers.sampler_object("euler"), torch.tensor([1.0, 0.0]))

    class EasyCacheHolder:
        pass

    def cached():
        model = tiled(conv, settings())
        model.model_options["transformer_options"]["easycache"] = EasyCacheHolder()
        sample(model, plain)

    return {
        "patch": words(lambda: sample(tiled(dit, settings(tile_width=8, overlap=0)), (1, 16, 64, 64))),
        "lattice": words(lambda: sample(tiled(dit, settings(tile_width=264)), (1, 16, 64, 64))),
        "layout lattice": words(lambda: sample(tiled(dit, settings(layout=TileLayout.grid(512, 520, 256, 256, 64, 8))), (1, 16, 64, 65))),
        "packed": words(sample_packed),
        "sound": words(lambda: sample(tiled(conv, settings()), (1, 4, 96))),
        "canvas": words(lambda: sample(tiled(conv, settings(layout=TileLayout.grid(512, 512, 256, 256, 64, 8))), (1, 4, 96, 160))),
        "trim": words(lambda: sample(tiled(conv, settings(trim=128)), plain)),
        "trim cells": words(lambda: sample(tiled(conv, settings(trim=12)), plain)),
        "rule": words(lambda: settings(fusion="linear")),
        "batch": words(lambda: settings(tile_batch=-1)),
        "easycache": words(cached),
    }


CHECKS = (
    pointwise, convolution, one_tile, batches, out_of_memory, noise_mask, areas_and_masks, context_windows, composing,
    guiders, state, position_ids, jitter, half_precision, refusals,
)  # fmt: skip

if __name__ == "__main__":
    for check in CHECKS:
        print("RESULT" + json.dumps({check.__name__: check()}), flush=True)
