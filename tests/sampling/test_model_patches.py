"""Model patches that hold masks and pictures of the canvas: each tile is given its part of them, and what cannot be cut is named."""

import logging
from types import SimpleNamespace

import pytest
import torch
from tilework.blending.layout.grid import Rect
from tilework.tests.pack import models, patched

from ..host.recording import UNIT, ConditionCropper, TileSettings, at, noise, plan, prompt, ramp, relative, views
from ..host.recording import tiled_model as tiled
from .test_crop_runs import sample

SHAPES = [(1, 4, 64, 112), (2, 4, 97, 131)]
TILES = {"tile_width": 384, "tile_height": 320, "overlap": 64}
MASKS = {"of the picture": UNIT, "of the latent": 1, "of a larger picture": 2 * UNIT}


def mask_of(shape, scale=UNIT):
    """A mask [1, h, w] that says where each pixel is."""
    height, width = (cells * scale for cells in shape[-2:])
    return (torch.linspace(0, 0.5, width) + torch.linspace(0, 0.5, height).unsqueeze(1)).unsqueeze(0)


def denoiser():
    return models.conv_denoiser(0, kind=patched.PatchedDenoiser)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("form", patched.FORMS)
@pytest.mark.parametrize("scale", MASKS.values(), ids=MASKS)
def test_masks_in_patches_are_cut_to_the_tile(shape, form, scale):
    x, mask = noise(*shape, seed=2), mask_of(shape, scale)
    kept = mask.clone()
    model = patched.apply(denoiser(), form, mask)
    whole, without = (sample(one, x, prompt(1), prompt(2), steps=3) for one in (model, denoiser()))
    errors = {}
    for grid in ("fixed", "jitter"):
        for order in ("fused", "sequential"):
            if (grid, order) == ("jitter", "sequential"):
                continue
            settings = TileSettings(**TILES, grid=grid, order=order, tile_batch=4)
            again = [sample(tiled(model, settings), x, prompt(1), prompt(2), steps=3) for _ in range(2)]
            assert torch.equal(*again)
            errors[f"{grid} {order}"] = relative(again[0], whole)
    print(f"{shape}, {form}: {errors}; with the patch and without {relative(whole, without):.2f}")
    assert max(errors.values()) <= 1e-5 and relative(whole, without) > 0.1
    assert torch.equal(mask, kept) and torch.equal(sample(model, x, prompt(1), prompt(2), steps=3), whole), (
        "nothing of the model is changed"
    )


def tile_options(model_options, canvas, view, patch=1):
    cropper = ConditionCropper(canvas, UNIT, patch=patch)
    return cropper, cropper.patches.cut(model_options, view)


VIEW = Rect(20, 40, 32, 48)


def test_what_is_copied_and_what_is_shared():
    canvas, mask = (64, 112), mask_of((64, 112))
    adapter = patched.adapter(mask)["patches_replace"]["attn2"][patched.BLOCK]
    plain = [lambda q, k, v, extra: (q, k, v)]
    options = {
        "transformer_options": {"patches": {"attn1_patch": plain}, "patches_replace": {"attn2": {patched.BLOCK: adapter}}},
        "x": object(),
    }
    _, cut = tile_options(options, canvas, VIEW)
    made = cut["transformer_options"]["patches_replace"]["attn2"][patched.BLOCK]
    assert made is not adapter and torch.equal(made.kwargs[0]["mask"], at(mask, VIEW, UNIT))
    assert made.kwargs[0]["mask"].untyped_storage().data_ptr() == mask.untyped_storage().data_ptr(), "a view, without a copy"
    assert made.kwargs[0]["cond"] is adapter.kwargs[0]["cond"] and made.kwargs[1] is adapter.kwargs[1] and made.callback is adapter.callback
    assert cut["transformer_options"]["patches"]["attn1_patch"] is plain and cut["x"] is options["x"]
    assert adapter.kwargs[0]["mask"] is mask and options["transformer_options"]["patches_replace"]["attn2"][patched.BLOCK] is adapter


def test_a_tile_keeps_its_copies_and_two_threads_get_the_same():
    from concurrent.futures import ThreadPoolExecutor

    canvas, mask = (64, 112), mask_of((64, 112))
    options = {"transformer_options": patched.couple(mask)}
    cropper = ConditionCropper(canvas, UNIT)
    rects = [view for view in views(plan(noise(1, 4, *canvas))) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda view: cropper.patches.cut(options, view), rects))
    for view, one in zip(rects, made, strict=True):
        (patch,) = one["transformer_options"]["patches"]["attn2_output_patch"]
        held = dict(zip(patch.__code__.co_freevars, patch.__closure__, strict=True))
        assert torch.equal(held["masks"].cell_contents[0], at(mask.unsqueeze(1), view, UNIT))
    again = cropper.patches.cut(options, rects[0])["transformer_options"]["patches"]
    assert again is cropper.patches.cut(options, rects[0])["transformer_options"]["patches"]
    assert cropper.patches.cut(options, Rect(0, 0, *canvas)) is options, "all of the canvas is given all of them"


def holding(**attributes):
    return SimpleNamespace(patch=type("Their", (), {"__init__": lambda self: self.__dict__.update(attributes), "__call__": print})())


def cut_attributes(canvas, patch=1, view=VIEW, **attributes):
    """The attributes of a patch as a tile is given it."""
    their = holding(**attributes).patch
    options = {"transformer_options": {"patches": {"double_block": [their]}}}
    _, cut = tile_options(options, canvas, view, patch)
    return cut["transformer_options"]["patches"]["double_block"][0].__dict__


def test_which_tensors_are_cut():
    canvas = (64, 112)
    given = {
        "region": mask_of(canvas)[0], "batch": mask_of(canvas).repeat(3, 1, 1), "mask": mask_of(canvas, 1), "boolean": mask_of(canvas) > 0.4,
        "latent": noise(1, 16, *canvas), "video": noise(1, 16, 5, *canvas), "picture": ramp(512, 896).movedim(1, -1),
    }  # fmt: skip
    made = cut_attributes(canvas, **given)
    for name, tensor in given.items():
        if name == "picture":
            assert torch.equal(made[name], at(tensor.movedim(-1, 1), VIEW, UNIT).movedim(1, -1))
        else:
            assert torch.equal(made[name], at(tensor, VIEW, tensor.shape[-1] // 112)), name
    kept = {
        "embedding": noise(1, 64, 112), "kernel": torch.ones(16, 28), "tokens": noise(1, 77, 768), "weights": noise(320, 4, 3, 3),
        "one": torch.ones(1, 1, 1), "mask_strength": torch.tensor(1.0),
    }  # fmt: skip
    made = cut_attributes(canvas, **kept, region=given["region"])
    assert all(made[name] is tensor for name, tensor in kept.items())


def test_a_mask_coarser_than_the_canvas_is_brought_to_its_cells():
    canvas, coarse = (64, 112), (torch.arange(8 * 14.0) % 5).reshape(1, 8, 14)
    made = cut_attributes(canvas, attn_mask=coarse)["attn_mask"]
    fine = coarse.repeat_interleave(8, dim=1).repeat_interleave(8, dim=2)
    assert torch.equal(made, at(fine, VIEW))


@pytest.mark.parametrize("side", [1, 2])
def test_a_mask_over_the_models_tokens_is_cut(side):
    canvas = (64, 112)
    grid = mask_of(canvas, 1)[:, ::side, ::side] > 0.4
    view = Rect(20, 40, 32, 48)
    made = cut_attributes(canvas, patch=2, ref_target_masks=grid.flatten(1).repeat(2, 1))["ref_target_masks"]
    assert torch.equal(made, at(grid, view, 1 / side).flatten(1).repeat(2, 1))


def test_a_square_mask_between_tokens_is_not_taken_for_a_picture(caplog):
    canvas = (32, 32)
    between = torch.ones(1, 256 + 77, 256 + 77)
    with caplog.at_level(logging.WARNING):
        made = cut_attributes(canvas, view=Rect(0, 0, 16, 16), attn_mask=between)
    assert made["attn_mask"] is between
    assert sum("holds a mask of 333 x 333 (attn_mask)" in record.getMessage() for record in caplog.records) == 1


def test_what_the_host_made_of_its_picture_is_made_again(caplog):
    """Its controls that are patches encode their picture, and again where it is not there or of another size."""
    canvas, picture = (64, 112), ramp(512, 896).movedim(1, -1)
    made = cut_attributes(
        canvas, image=picture, encoded_image=noise(1, 100, 64), encoded_image_size=(256, 384), temp_data=(1, noise(1, 8, 8))
    )
    assert made["encoded_image"] is None and made["temp_data"] is None and made["image"].shape == (1, 256, 384, 3)
    with caplog.at_level(logging.WARNING):
        alone = noise(1, 1, 100, 64)
        assert cut_attributes(canvas, encoded_image=alone)["encoded_image"] is alone
    assert "holds a picture of its own (encoded_image)" in caplog.text


def test_what_cannot_be_cut_is_named_once_a_run(caplog):
    x = noise(1, 4, 64, 112, seed=2)
    other = torch.rand(1, 300, 300)
    for form in ("adapter", "couple"):
        model = patched.apply(denoiser(), form, other)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            sample(tiled(model, TileSettings(**TILES)), x, prompt(1), prompt(2), steps=3)
        said = [record.getMessage() for record in caplog.records if "Tilework" in record.getMessage()]
        print("\n".join(said))
        assert len(said) == 1 and ("AdapterReplace" if form == "adapter" else "couple.attn2_output_patch") in said[0]
        # Four dimensions are a picture's.
        assert ("holds a mask of 300 x 300 (mask)" if form == "adapter" else "holds a picture of its own (masks)") in said[0]


def test_one_that_cannot_be_copied_leaves_the_others_to_be_cut(caplog):
    class Number(float):
        def __call__(self, *args):
            return args

    canvas = (64, 112)
    odd = Number(0.5)
    odd.mask = mask_of(canvas)
    given = patched.couple(mask_of(canvas))["patches"] | {"double_block": [odd]}
    with caplog.at_level(logging.WARNING):
        cropper, cut = tile_options({"transformer_options": {"patches": given}}, canvas, VIEW)
        cropper.patches.cut({"transformer_options": {"patches": given}}, Rect(0, 0, 32, 48))
    made = cut["transformer_options"]["patches"]
    assert made["double_block"][0] is odd and made["attn2_output_patch"][0] is not given["attn2_output_patch"][0]
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "the model carries Number, of which nothing can be cut to tiles" in said[0], said


def test_a_wrapper_around_the_model_is_cut_as_well():
    x, mask = noise(1, 4, 64, 112, seed=2), mask_of((1, 4, 64, 112))

    def wrapper(executor, x_in, *args, **more):
        said = executor(x_in, *args, **more)
        return said + patched.over_tokens(mask, x_in.shape).reshape(1, 1, *x_in.shape[-2:])

    def single(call, given):
        said = call(given["input"], given["timestep"], **given["c"])
        return said * (1 + patched.over_tokens(mask, said.shape).reshape(1, 1, *said.shape[-2:]))

    model = denoiser()
    model.add_wrapper_with_key("apply_model", "test", wrapper)
    model.set_model_unet_function_wrapper(single)
    whole = sample(model, x, prompt(1), prompt(2), steps=3)
    for order in ("fused", "sequential"):
        assert relative(sample(tiled(model, TileSettings(**TILES, order=order)), x, prompt(1), prompt(2), steps=3), whole) <= 1e-5


def test_a_picture_of_the_samplers_own_functions_is_cut_where_the_sampler_runs_on_tiles():
    x, picture = noise(1, 4, 64, 112, seed=2), ramp(64, 112, channels=4)
    model = denoiser()
    model.set_model_sampler_post_cfg_function(lambda args: torch.lerp(args["denoised"], picture, 0.4))
    whole = sample(model, x, prompt(1), prompt(2), steps=3)
    for order in ("fused", "sequential"):
        assert relative(sample(tiled(model, TileSettings(**TILES, order=order)), x, prompt(1), prompt(2), steps=3), whole) <= 1e-5


def test_copies_of_a_moving_grid_are_let_go():
    mask = mask_of((64, 112))
    options = {"transformer_options": patched.adapter(mask)}
    cropper = ConditionCropper((64, 112), UNIT, tiles=6)
    for y in range(16):
        for x in range(16):
            cropper.patches.cut(options, Rect(y, x, 32, 48))
    assert len(cropper.patches._made) == 2 * 6 + 16
