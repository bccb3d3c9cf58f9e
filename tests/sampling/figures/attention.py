"""Tiled Attention on the host's hooks: exact, idle where it should be, beside other packs, stopped, short of memory."""

from __future__ import annotations

import logging

import comfy.conds
import comfy.model_management
import torch
import torch.nn.functional as F
from tilework.blending.attention.windows import half_windows, plan_patches
from tilework.sampling.attention import picture_attention
from tilework.sampling.attention.settings import METHODS, AttentionSettings
from tilework.sampling.attention.tiled_attention import with_tiled_attention
from tilework.sampling.attention.token_layouts import TokenLayout
from tilework.sampling.sampling_range import SamplingRange
from tilework.sampling.settings import TileSettings
from tilework.sampling.tiled_model import tiled
from tilework.tests.sampling.figures.host_sampling import Heard, Wrappers, off, sample
from tilework_test import models

# Latents of 8 x 6 tokens (at a quarter of the size) and of 12 x 10 (patches of 2 cells), native 4 x 2 and 6 x 4.
SHAPES = {"unet": (1, 4, 32, 24), "dit": (1, 16, 24, 20)}
NATIVE = {"unet": (128, 64), "dit": (96, 64)}
WINDOWS = {"unet": (4, 2), "dit": (6, 4)}
TEXT = 7
OVERRIDE = "optimized_attention_override"
_MADE: dict = {}


def made(kind):
    """A tiny model, the same at every call."""
    if kind not in _MADE:
        _MADE[kind] = models.tiny_unet() if kind == "unet" else models.tiny_dit()
    return _MADE[kind]


def patched(kind, method=METHODS[0], model=None, native=None, **more):
    return with_tiled_attention(made(kind) if model is None else model, AttentionSettings(native or NATIVE[kind], method, **more))


def run(model, kind, cfg=1.0, steps=1, **more):
    return sample(model, SHAPES[kind], steps=steps, cfg=cfg, **more)


def in_tiles(model, kind):
    height, width = NATIVE[kind]
    return tiled(model, TileSettings(width, height, 32, tile_batch=1))


def attended(model, function):
    """A clone whose attention is another pack's function."""
    clone = model.clone()
    clone.model_options["transformer_options"][OVERRIDE] = function
    return clone


def idle():
    """Strength 0, an empty range, a picture of the native size, tiles of it: the run as it was, to the bit."""
    found = {}
    for kind in SHAPES:
        plain, cut = run(made(kind), kind), run(in_tiles(made(kind), kind), kind)
        for method in METHODS:
            tiles = method == METHODS[2]
            settings = {"strength 0": {"strength": 0.0}, "empty range": {"span": SamplingRange(0.0, 0.0)}, "native": {"native": (256, 192)}}
            for name, more in settings.items():
                model = patched(kind, method, **more)
                same = torch.equal(run(in_tiles(model, kind) if tiles else model, kind), cut if tiles else plain)
                found[f"{kind}, {method}, {name}"] = same
            if not tiles:
                found[f"{kind}, {method}, tiles of the native size"] = torch.equal(run(in_tiles(patched(kind, method), kind), kind), cut)
        found[f"{kind}, {METHODS[2]}, no tiles"] = torch.equal(run(patched(kind, METHODS[2]), kind), plain)
        late = {"span": SamplingRange(0.3, 0.6)}
        found[f"{kind}, range that no step is in"] = torch.equal(run(patched(kind, **late), kind), plain)
    return found


def seeds():
    """The same seed twice, another one; with jitter and without."""
    found = {}
    for kind in SHAPES:
        for method in METHODS:
            model = patched(kind, method)
            model = in_tiles(model, kind) if method == METHODS[2] else model
            how = {"cfg": 3.0, "steps": 2} if method == METHODS[0] else {}
            first, again = (run(model, kind, **how) for _ in range(2))
            found[f"{kind}, {method}"] = torch.equal(first, again), off(first, run(made(kind), kind, **how))
        still = run(patched(kind, jitter=False), kind)
        found[f"{kind}, jitter"] = True, off(run(patched(kind), kind), still)
        half = run(patched(kind, jitter=False, strength=0.5), kind)
        found[f"{kind}, half"] = True, min(off(half, still), off(half, run(made(kind), kind)))
    return found


def _dense(kind, grid, first):
    """Another pack's function that does the same by a mask over everything."""

    def attend(func, q, k, v, heads, mask=None, skip_reshape=False, **more):
        tokens, keys = (one.shape[-2 if skip_reshape else 1] for one in (q, k))
        if tokens != keys or tokens < 30:
            return func(q, k, v, heads, mask=mask, skip_reshape=skip_reshape, **more)
        seen = torch.ones(tokens, tokens, dtype=torch.bool)
        for patch in plan_patches(grid, half_windows(WINDOWS[kind])):
            own, kept = torch.zeros(grid, dtype=torch.bool), torch.zeros(grid, dtype=torch.bool)
            own[slice(*patch.rows), slice(*patch.columns)] = True
            kept[slice(*patch.key_rows), slice(*patch.key_columns)] = True
            rows = F.pad(own.flatten(), (first, tokens - first - own.numel()))
            seen[rows] = F.pad(kept.flatten(), (first, tokens - first - own.numel()), value=True)
        return func(q, k, v, heads, mask=torch.zeros(tokens, tokens).masked_fill(~seen, -torch.inf), skip_reshape=skip_reshape, **more)

    return attend


def exact():
    """The whole model with windows against the whole model with a mask."""
    found = {}
    dense = attended(made("unet"), _dense("unet", (8, 6), 0))
    found["unet"] = off(run(patched("unet", jitter=False), "unet", cfg=3.0), run(dense, "unet", cfg=3.0))
    reference = [[made_, {**more, "reference_latents": [torch.randn(1, 16, 8, 6, generator=torch.Generator().manual_seed(3))]}]
                 for made_, more in models.conditioning(1)]  # fmt: skip
    keep = picture_attention.text_turn
    picture_attention.text_turn = lambda network, options: None
    try:
        dense = attended(made("dit"), _dense("dit", (12, 10), TEXT))
        for name, positive in (("dit", None), ("dit, reference", reference)):
            model = patched("dit", jitter=False)
            found[name] = off(run(model, "dit", positive=positive), run(dense, "dit", positive=positive))
    finally:
        picture_attention.text_turn = keep
    return found


def turned_text():
    """What text and picture say of one another in a window, against a picture that begins there."""
    network = made("dit").model.diffusion_model
    turn = picture_attention.text_turn(network, {"rope_options": {"scale_y": 0.5}})
    q, k = torch.randn(2, 1, 2, 5, 32, generator=torch.Generator().manual_seed(1)).unbind()

    def scores(text, picture_at, text_turned):
        ids = torch.tensor([[[0.0, *picture_at]]])
        pictured = comfy.ldm.flux.math.apply_rope1(k, network.pe_embedder(ids).expand(-1, -1, 5, -1, -1, -1))
        return text_turned(text) @ pictured.mT

    far = scores(q, (10.5 + 2, 8 + 1), lambda text: turn(text, [(3, 3), (21, 8)])[1])
    near = scores(q, (2, 1), lambda text: text)
    unturned = scores(q, (10.5 + 2, 8 + 1), lambda text: text)
    return {"turned": off(far, near), "unturned": off(unturned, near)}


def chained():
    """Another pack's function does the attending; applied twice, the last settings count; the given model stays as it was."""
    asked = []

    def counting(func, *args, **more):
        asked.append(more["transformer_options"].get(OVERRIDE) is counting)
        return func(*args, **more)

    found = {}
    for kind in SHAPES:
        theirs = attended(made(kind), counting)
        straight = run(patched(kind), kind)
        asked.clear()
        found[f"{kind}, other pack"] = torch.equal(run(patched(kind, model=theirs), kind), straight) and bool(asked) and all(asked)
        found[f"{kind}, slot"] = theirs.model_options["transformer_options"][OVERRIDE] is counting
        twice = patched(kind, model=patched(kind, METHODS[2], native=(64, 64)))
        found[f"{kind}, twice"] = torch.equal(run(twice, kind), straight)
        found[f"{kind}, clone"] = torch.equal(run(twice.clone(), kind), straight)
        one_way = patched(kind, METHODS[2], model=in_tiles(made(kind), kind))
        found[f"{kind}, two orders"] = torch.equal(run(one_way, kind), run(in_tiles(patched(kind, METHODS[2]), kind), kind))
    return found


def conditions():
    """What the network is given per tile, with global tokens and without: places, prompts, masks and references of each tile."""
    masked = [
        [text, {**more, "mask": torch.linspace(0, 1, 20).expand(1, 24, 20), "strength": 0.7}] for text, more in models.conditioning(3)
    ]
    given = models.conditioning(1) + masked

    def seen(model):
        calls = []

        def look(executor, model, conds, x, timestep, options):
            if not options.get("tilework_whole"):
                calls.append([
                    (sorted(cond), str(cond.get("uuid")), float(cond.get("mask", torch.zeros(1)).sum()),
                     [float(value.cond.float().sum()) for value in cond["model_conds"].values() if isinstance(value, comfy.conds.CONDRegular)])
                    for entry in conds if entry for cond in entry
                ])  # fmt: skip
            return executor(model, conds, x, timestep, options)

        clone = model.clone()
        clone.add_wrapper_with_key(Wrappers.CALC_COND_BATCH, "look", look)
        run(clone, "dit", positive=given)
        return calls

    def told(calls):
        return [[(names, mask, values) for names, _, mask, values in call] for call in calls]

    plain = seen(in_tiles(made("dit"), "dit"))
    return {method: told(seen(in_tiles(patched("dit", method), "dit"))) == told(plain) for method in METHODS} | {"tiles": len(plain)}


def forms():
    """Every form in which the host's networks ask for attention gives one answer; keys may have fewer heads than queries."""
    step = picture_attention.StepAttention(AttentionSettings((64, 64)), (8, 8), 0, 0)
    q, k, v = torch.randn(3, 1, 4, 7 + 12 * 10, 8, generator=torch.Generator().manual_seed(1)).unbind()
    mask = torch.zeros(1, 1, q.shape[2])

    def ask(q, k, v, *more, **how):
        attention_ = picture_attention.PictureAttention(step, made("dit").model, (1, 16, 24, 20), 7, {})
        attention_.network = None
        found = attention_(comfy.ldm.modules.attention.attention_pytorch, q, k, v, 4, *more, _inside_attn_wrapper=True, **how)
        assert attention_.calls == 1
        return found

    rows = [one.transpose(1, 2) for one in (q, k, v)]
    first = ask(q, k, v, skip_reshape=True)
    found = {
        "rows": ask(*(one.flatten(2) for one in rows)),
        "values apart": ask(rows[0].flatten(2), rows[1].flatten(2), rows[2]),
        "mask": ask(q, k, v, mask, skip_reshape=True),
        "heads apart": ask(q, k, v, skip_reshape=True, skip_output_reshape=True).transpose(1, 2).flatten(2),
    }
    few = ask(q, k[:, :2], v[:, :2], skip_reshape=True, enable_gqa=True)
    found = {name: off(one, first) for name, one in found.items()}
    return {**found, "few": off(few, ask(q, k[:, (0, 0, 1, 1)], v[:, (0, 0, 1, 1)], skip_reshape=True))}


class Full(torch.OutOfMemoryError):
    """No memory."""


def stopped():
    """A cancel is heard between two windows; memory that runs out halves what is done at once."""
    asked = []

    def count(func, q, *args, **more):
        asked.append(q.shape[0] * q.shape[2])
        return func(q, *args, **more)

    large = SHAPES["dit"]
    model = patched("dit", model=attended(made("dit"), count), native=(32, 32))
    keep = picture_attention.KEYS
    picture_attention.KEYS = 4
    try:
        run(model, "dit")
        calls, heard = len(asked), []

        def cancel(func, q, *args, **more):
            heard.append(1)
            if len(heard) == 5:
                comfy.model_management.interrupt_current_processing()
            return func(q, *args, **more)

        try:
            sample(patched("dit", model=attended(made("dit"), cancel), native=(32, 32)), large, steps=2)
            cancelled = False
        except comfy.model_management.InterruptProcessingException:
            cancelled = True
    finally:
        picture_attention.KEYS = keep
        comfy.model_management.interrupt_current_processing(False)
    sizes = []

    def tight(func, q, *args, **more):
        sizes.append(q.shape[0])
        if q.shape[0] > 4:
            raise Full
        return func(q, *args, **more)

    roomy = run(patched("dit", native=(32, 32)), "dit", cfg=1.0)
    narrow = run(patched("dit", model=attended(made("dit"), tight), native=(32, 32)), "dit", cfg=1.0)
    return {"calls": calls, "cancelled": cancelled, "after": len(heard), "off": off(narrow, roomy), "tried": max(sizes), "done": min(sizes)}


class _Network:
    """As much of a network as is looked at."""

    pad_tokens_multiple = None
    patch_size = 2


def _layout(module, name, shape, text, **more):
    kind = type(name, (_Network,), {"__module__": f"comfy.ldm.{module}", **more})
    model = type("Model", (), {"diffusion_model": kind()})()
    return TokenLayout(model, shape, text, (64, 64))


def layouts():
    """Where the picture is among the tokens of the host's networks."""
    flux = _layout("flux.model", "Flux", (1, 16, 63, 80), 512)
    image = _layout("lumina.model", "NextDiT", (1, 16, 60, 80), 100, pad_tokens_multiple=32)
    lens = _layout("lens.model", "LensTransformer2DModel", (1, 16, 64, 80), 77)
    unet = _layout("modules.diffusionmodules.openaimodel", "UNetModel", (2, 4, 100, 68), 77, patch_size=None)
    unknown = _layout("sky.model", "Sky", (1, 4, 64, 64), 0)
    video = _layout("wan.model", "WanModel", (1, 16, 9, 64, 64), 0)
    still = _layout("cosmos.predict2", "MiniTrainDIT", (1, 16, 1, 64, 80), 512)

    def told(layout, queries, keys=None, **options):
        call = layout.of_call(queries, queries if keys is None else keys, options)
        return None if call is None else [list(call.grid), list(call.window)]

    level = {"activations_shape": [2, 640, 50, 34]}
    return {
        "flux": told(flux, 512 + 32 * 40),
        "flux, references": told(flux, 512 + 32 * 40 + 300 + 20, reference_image_num_tokens=[300, 20]),
        "flux, text alone": told(flux, 512),
        "flux, cross": told(flux, 1280, 512),
        "picture alone": told(flux, 32 * 40),
        "padded": told(image, 128 + 30 * 40 + 16),
        "padded text alone": told(_layout("lumina.model", "NextDiT", (1, 16, 60, 80), 1400, pad_tokens_multiple=32), 1408),
        "picture first": told(lens, 32 * 40 + 77),
        "still of a video model": told(still, 32 * 40),
        "unet": told(unet, 50 * 34, **level),
        "unet, deepest": told(unet, 13 * 9, activations_shape=[2, 640, 13, 9]),
        "unet, text of its size": told(unet, 77, activations_shape=[2, 640, 7, 11]),
        "unet, other": told(unet, 50 * 34 + 1, **level),
        "unknown": unknown.unknown,
        "video": video.unknown,
    }


def words():
    """What is said in the log, once a run, and what is refused."""
    said = {}
    with Heard() as heard:
        logging.getLogger().setLevel(logging.INFO)
        run(patched("dit", native=(192, 160)), "dit")
        run(in_tiles(patched("dit"), "dit"), "dit")
        run(patched("dit", METHODS[2]), "dit")
        sample(with_tiled_attention(models.conv_denoiser(1), AttentionSettings((64, 64))), (1, 4, 24, 16), steps=2)
    said["log"] = [line for line in heard.lines if "Tiled Attention" in line]
    alone = tiled(patched("dit", METHODS[2]), TileSettings(64, 96, 32, order="sequential"))
    refusals = {"sequential": lambda: run(alone, "dit")}
    for name, more in {"strength": {"strength": 1.5}, "method": {"method": "other"}, "native": {"native": (0, 64)}}.items():
        refusals[name] = lambda more=more: AttentionSettings(**{"native": (64, 64), **more})
    for name, call in refusals.items():
        try:
            call()
            said[name] = ""
        except ValueError as error:
            said[name] = str(error)
    return said


CHECKS = (idle, seeds, exact, turned_text, chained, conditions, forms, stopped, layouts, words)
