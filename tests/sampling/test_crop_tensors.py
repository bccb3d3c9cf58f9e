"""What reaches the model beside the latent, as the model sees it: each tile's part, or all of it where it has no place."""

import copy
import logging
import types

import pytest
import torch
from tilework.blending.layout.grid import Rect
from tilework.sampling.conditions import planes

from ..host.recording import (
    UNIT,
    ConditionCropper,
    at,
    comfy,
    cropping,
    make_model,
    noise,
    plan,
    predict,
    prepare,
    prompt,
    ramp,
    relative,
    tiled,
    views,
)

SHAPES = [(1, 4, 96, 160), (2, 4, 97, 131), (1, 4, 1, 64, 96), (1, 4, 5, 40, 72)]


def regular(tensor):
    return comfy.conds.CONDRegular(tensor)


def listed(*tensors):
    return comfy.conds.CONDList(list(tensors))


def records(model, conds, x, layout, reference_latents="crop"):
    """What the model was given, tile by tile, for one list of conditions with one entry."""
    model.diffusion_model.seen.clear()
    tiled(model, conds[:1], x, layout, ConditionCropper(x.shape[2:], UNIT, reference_latents))
    assert len(model.diffusion_model.seen) == len(layout)
    return zip(views(layout), model.diffusion_model.seen, strict=True)


def under(plane, view, x):
    """What of a canvas-wide `plane` at a whole or halved scale lies under a tile."""
    return at(plane, view, plane.shape[-1] / x.shape[-1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_inpaint_concat_and_noise_mask(shape):
    x = noise(*shape, seed=4)
    frames = shape[2] if len(shape) == 5 else 0
    model = make_model()
    model.set_inpaint()
    picture = ramp(*shape[-2:], channels=4, frames=frames)
    mask = (ramp(*shape[-2:], channels=1, frames=frames) > 0.4).float().repeat(shape[0], *[1] * (len(shape) - 1))
    options = {"concat_latent_image": picture}
    conds = prepare(model, x, prompt(1, **options), prompt(2, **options), denoise_mask=mask)
    for entry in conds:
        entry[0]["model_conds"]["denoise_mask"] = regular(mask)
    whole = predict(model, conds, x)
    concat = conds[0][0]["model_conds"]["c_concat"].cond
    assert concat.shape[-2:] == x.shape[-2:] and float(concat.std()) > 0.1
    layout = plan(x, lattice=3)
    for view, seen in records(model, conds, x, layout):
        assert torch.equal(seen["concat"], at(concat, view).expand_as(seen["concat"]))
        assert torch.equal(seen["denoise_mask"], at(mask, view))
    error = max(relative(a, b) for a, b in zip(tiled(model, conds, x, layout), whole, strict=True))
    print(f"{shape}: concat and noise mask exact in {len(layout)} tiles; tiled - untiled {error:.1e}")
    assert error <= 1e-5


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_planes_the_host_does_not_mark(shape):
    """Known by name: at the latent's size, larger, and smaller (there within one of its cells)."""
    x = noise(*shape, seed=4)
    height, width = shape[-2:]
    model = make_model()
    given = {
        "vace_context": noise(1, 2, 8, 3, height, width),
        "camera_conditions": noise(1, 6, 3, height * 8, width * 8),
        "reference_latent": ramp(height, width),
        "pose_latents": ramp(-(-height // 2), -(-width // 2)),
        # Of other proportions: the model stretches it over the latent.
        "effnet": ramp(height * 4 // 42 + 5, width * 4 // 42 + 1),
    }
    conds = prepare(model, x, prompt(1))
    conds[0][0]["model_conds"].update({name: regular(plane) for name, plane in given.items()})
    layout = plan(x, tile=(48, 64), lattice=2)
    sizes = {"pose_latents": set(), "effnet": set()}
    largest = 0.0
    for view, seen in records(model, conds, x, layout):
        for name in ("vace_context", "camera_conditions", "reference_latent"):
            assert torch.equal(seen[name][:1], under(given[name], view, x)), name
        for name in sizes:
            sizes[name].add(tuple(seen[name].shape[-2:]))
            rows, columns = given[name].shape[-2:]
            for channel, start, cells, size in ((0, view.y, height, rows), (1, view.x, width, columns)):
                first = float(seen[name][0, channel, 0, 0]) * (size - 1)
                largest = max(largest, abs(first - start * size / cells))
    print(f"{shape}: exact at the latent's scale and 8 times it; resampled ones within {largest:.2f} of their own cells")
    assert largest <= 1.0 and all(len(one) == 1 for one in sizes.values())


def test_rounding_alone_mirrors_nothing():
    plane = ramp(48, 80)
    for start, length in ((47, 49), (1, 95), (48, 48)):
        part = planes.cut_scaled(plane, Rect(start, 0, length, 64), (96, 160))
        assert torch.equal(part, plane[..., 48 - part.shape[-2] :, :32]), (start, length)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_references(shape, caplog):
    x = noise(*shape, seed=4)
    height, width = shape[-2:]
    model = make_model()
    same, twice, other = ramp(height, width), ramp(height * 2, width * 2), ramp(width, 20)
    conds = prepare(model, x, prompt(1))
    conds[0][0]["model_conds"]["ref_latents"] = listed(same, twice, other)
    layout = plan(x)
    with caplog.at_level(logging.WARNING):
        for view, seen in records(model, conds, x, layout, "crop"):
            first, second, third = (part[:1] for part in seen["ref_latents"])
            assert torch.equal(first, at(same, view)) and torch.equal(second, at(twice, view, 2)) and torch.equal(third, other)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "20 x" in said[0] and "another picture" in said[0], said
    for _, seen in records(model, conds, x, layout, "whole"):
        for part, given in zip(seen["ref_latents"], (same, twice, other), strict=True):
            assert torch.equal(part[:1], given)


def test_what_has_no_place_is_passed_on_as_it_is(caplog):
    x = noise(1, 4, 96, 160)
    model = make_model()
    conds = prepare(model, x, prompt(1, pooled_output=noise(1, 8)))
    # As many tokens as rows, as wide as columns: a coincidence.
    placeless = {"guidance": regular(torch.tensor([3.5])), "y": regular(noise(1, 8)), "clip_fea": regular(noise(1, 96, 160))}
    placeless["attention_mask"] = regular(noise(96, 160))
    placeless["num_tokens"] = comfy.conds.CONDConstant(7)
    conds[0][0]["model_conds"].update(placeless)
    with caplog.at_level(logging.WARNING):
        for view in views(plan(x)):
            cut = ConditionCropper(x.shape[2:], UNIT).crop(conds[:1], view)[0][0]
            for key, value in conds[0][0].items():
                assert cut[key] is value or key == "model_conds"
            for name, value in conds[0][0]["model_conds"].items():
                assert cut["model_conds"][name] is value, name
    assert not caplog.records


def test_what_looks_like_a_picture_is_named_once_a_run(caplog):
    x = noise(1, 4, 96, 160)
    made = {"strange": regular(noise(1, 3, 96, 160)), "odd": comfy.conds.CONDNoiseShape(noise(1, 3, 77, 50))}
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            cropper = ConditionCropper(x.shape[2:], UNIT)
            for view in views(plan(x)):
                cut = cropper.crop([[{"model_conds": made}]], view)[0][0]["model_conds"]
                assert cut["strange"] is made["strange"] and cut["odd"].cond is made["odd"].cond
    said = [record.getMessage() for record in caplog.records]
    print("\n".join(said))
    assert len(said) == 4 and sum("'strange'" in one for one in said) == sum("'odd'" in one for one in said) == 2


def test_model_patches_with_a_picture_are_named(caplog):
    class PictureControlPatch:
        def __init__(self):
            self.image, self.strength = noise(1, 64, 64, 3), 1.0

        def method(self):
            pass

    class Harmless:
        scale = 2.0

    class UsoStyleProjectorPatch(PictureControlPatch):
        pass

    cropper = ConditionCropper((96, 160), UNIT)
    patches = {
        "double_block": [PictureControlPatch(), UsoStyleProjectorPatch(), Harmless(), print],
        "middle": [(Harmless, PictureControlPatch().method)],
    }
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            cropper.check_options({"transformer_options": {"patches": patches}})
            cropper.check_options({})
    said = [record.getMessage() for record in caplog.records]
    print("\n".join(said))
    assert len(said) == 1 and "PictureControlPatch" in said[0] and "(image)" in said[0]


def test_what_was_made_for_the_whole_canvas_is_refused_by_name():
    view = Rect(0, 0, 48, 64)
    cropper = ConditionCropper((96, 160), UNIT)
    for name in ("keyframe_idxs", "guide_attention_entries", "minimax_payload", "vinput_mask"):
        with pytest.raises(ValueError, match=f"{name!r} cannot be cut into tiles"):
            cropper.crop([[{"model_conds": {name: regular(noise(1, 3))}}]], view)
    shapes = comfy.conds.CONDConstant([(1, 4, 96, 160), (1, 8, 100)])
    with pytest.raises(ValueError, match="packs 2 latents into one"):
        cropper.crop([[{"model_conds": {"latent_shapes": shapes}}]], view)
    one = comfy.conds.CONDConstant([(1, 4, 96, 160)])
    assert cropper.crop([[{"model_conds": {"latent_shapes": one}}]], view)[0]


@pytest.mark.parametrize("canvas", [(20, 28), (21, 27)])
def test_the_token_mask_of_a_style_model(canvas):
    words, rows, columns = 5, -(-canvas[0] // 2), -(-canvas[1] // 2)
    tokens = words + rows * columns
    # Every token says who it is: the prompt's -1, -2, ..., the picture's its row and column.
    names = torch.cat([-torch.arange(1.0, words + 1), (100 * torch.arange(rows).view(-1, 1) + torch.arange(columns)).flatten().float()])
    mask = names.view(1, -1, 1) * 10_000 + names.view(1, 1, -1)
    conds = {"attention_mask": regular(mask), "c_crossattn": regular(noise(1, words, 16))}
    view = Rect(6, 14, 16, 14)  # over the canvas at the bottom, and at the right where that is odd
    cut = ConditionCropper(canvas, UNIT).crop([[{"model_conds": conds}]], view)[0][0]["model_conds"]["attention_mask"].cond
    place = [100 * min(3 + r, 2 * (rows - 1) - (3 + r)) + min(7 + c, 2 * (columns - 1) - (7 + c)) for r in range(8) for c in range(7)]
    expected = torch.cat([names[:words], torch.tensor(place, dtype=torch.float32)])
    assert torch.equal(cut[0, :, 0], expected * 10_000 - 1) and torch.equal(cut[0, 0], -10_000 + expected)
    for wrong, at_view in ((tokens - 1, view), (tokens, Rect(5, 14, 16, 14))):
        conds["attention_mask"] = regular(mask[:, :wrong, :wrong])
        with pytest.raises(ValueError, match=r"attention mask of \d+ tokens cannot be cut"):
            ConditionCropper(canvas, UNIT).crop([[{"model_conds": conds}]], at_view)


def test_gligen_boxes_are_moved_and_clipped():
    def set_position(shape, boxes, device):
        seen.append((tuple(shape), [(b[1], b[2], b[3], b[4]) for b in boxes]))
        return "patch"

    seen = []
    network = types.SimpleNamespace(model=types.SimpleNamespace(set_position=set_position, set_empty=lambda shape, device: "none"))
    boxes = [(noise(1, 8), *box) for box in ((20, 30, 10, 10), (96, 160, 0, 0), (5, 5, 80, 150), (10, 40, 40, 60))]
    given = ("position", network, list(boxes))
    x = noise(1, 4, 96, 160)
    model = make_model()
    conds = prepare(model, x, prompt(1, gligen=given) + prompt(2, gligen=given, area=(40, 70, 30, 50)))
    view = Rect(24, 48, 48, 64)
    predict(model, ConditionCropper((96, 160), UNIT).crop(conds, view), at(x, view))
    # The host counts the boxes of an area from the area's corner.
    assert seen == [
        ((1, 4, 48, 64), [(48, 64, 0, 0), (10, 40, 16, 12)]),
        ((1, 4, 48, 64), [(20, 30, 16, 12), (42, 62, 6, 2), (2, 2, 46, 62)]),
    ]
    print(f"boxes in the tile: {[s[1] for s in seen]}")
    for before, now in zip(boxes, given[2], strict=True):
        assert before is now
    empty = ConditionCropper((96, 160), UNIT).crop([[{"model_conds": {}, "gligen": ("position", network, boxes[2:3])}]], Rect(0, 0, 48, 64))
    assert empty[0][0]["gligen"][2] == []
    none = ("none", network)
    assert ConditionCropper((96, 160), UNIT).crop([[{"model_conds": {}, "gligen": none}]], view)[0][0]["gligen"] is none
    with pytest.raises(ValueError, match="GLIGEN box of 2 values"):
        ConditionCropper((96, 160), UNIT).crop([[{"model_conds": {}, "gligen": ("position", network, [(1, 2)])}]], view)


def test_nothing_given_is_changed():
    x = noise(2, 4, 97, 131)
    model = make_model()
    conds = prepare(model, x, prompt(1, noise_concat=ramp(97, 131)))
    conds[0][0]["model_conds"].update(ref_latents=listed(ramp(97, 131)), vace_context=regular(noise(1, 1, 2, 3, 97, 131)))
    kept = dict(conds[0][0]["model_conds"])
    before = copy.deepcopy({name: value.cond for name, value in kept.items()})
    for view in views(plan(x, lattice=3)):
        ConditionCropper(x.shape[2:], UNIT).crop(conds[:1], view)
    assert conds[0][0]["model_conds"].keys() == kept.keys()
    for name, value in kept.items():
        assert conds[0][0]["model_conds"][name] is value
        for old, new in zip(*(v if isinstance(v, list) else [v] for v in (before[name], value.cond)), strict=True):
            assert torch.equal(old, new)


def test_a_key_of_our_own_is_handled_first(monkeypatch):
    def only_the_second(cond, view, cropper):
        index = cond.pop("tilework_tile")
        cond.pop("area")
        return cond if view.x == index * 96 else None

    monkeypatch.setitem(cropping.HANDLERS, "tilework_tile", only_the_second)
    conds = [[{"model_conds": {}, "tilework_tile": i, "area": (96, 80, 0, 80 * i)} for i in range(2)]]
    cropped = ConditionCropper((96, 160), UNIT).crop(conds, Rect(0, 96, 96, 64))
    assert cropped == [[{"model_conds": {}}]] and all("tilework_tile" in cond for cond in conds[0])
