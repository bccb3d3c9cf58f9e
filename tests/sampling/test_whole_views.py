"""What a model is told when it is shown small views of the whole canvas."""

import pytest
import torch
from tilework.blending.fusion.dilated import strided_views
from tilework.blending.fusion.pooled import pooled_view

from ..host.recording import CPU, TILE_KEY, UNIT, TileLayout, make_model, noise, predict, prepare, prompt, ramp, relative, whole_views
from .test_crop_areas import blob
from .test_crop_controls import controlnet
from .test_crop_runs import sample

CELLS = (45, 61)


def views_of(x):
    return whole_views.WholeViews(x.shape[2:], UNIT, CPU), strided_views(tuple(x.shape[-2:]), 3, lattice=2)


def merged(model, conds, x):
    """The predictions of all views, put back."""
    maker, views = views_of(x)
    totals = [torch.full_like(x, torch.nan) for _ in conds]
    for view in views:
        for total, part in zip(totals, predict(model, maker.conds(conds, view), view.gather(x).contiguous()), strict=True):
            view.scatter(part, total)
    return totals


def test_a_pointwise_model_says_of_all_views_what_it_says_of_the_canvas():
    """With masks, areas with their fade, an inpainting picture, a reference and prompts of tiles."""
    x = noise(2, 4, *CELLS)
    model = make_model()
    model.set_inpaint()
    inpaint = {"concat_latent_image": ramp(*CELLS, channels=4), "concat_mask": blob(*CELLS).unsqueeze(1)}
    layout = TileLayout.grid(CELLS[0] * UNIT, CELLS[1] * UNIT, 24 * UNIT, 32 * UNIT, 8 * UNIT, UNIT)
    tiles = [prompt(10 + index, **inpaint, **{TILE_KEY: (layout, index)})[0] for index in range(len(layout))]
    positive = prompt(2, mask=blob(*CELLS) + 0.05, **inpaint) + prompt(3, area=(20, 30, 10, 21), **inpaint) + tiles
    conds = prepare(model, x, positive, prompt(5, **inpaint))
    # What the tiles' prompts say of the whole canvas is what one view of everything makes of them.
    (everything,) = strided_views(CELLS, 1)
    expected = predict(model, whole_views.WholeViews(CELLS, UNIT, CPU).conds(conds, everything), x)
    before = [[dict(cond) for cond in entry] for entry in conds]
    for found, right in zip(merged(model, conds, x), expected, strict=True):
        assert relative(found, right) <= 1e-6
    assert all(now.keys() == then.keys() for entry, old in zip(conds, before, strict=True) for now, then in zip(entry, old, strict=True))
    plain = prepare(model, x, positive[:2], prompt(5, **inpaint))
    for found, right in zip(merged(model, plain, x), predict(model, plain, x), strict=True):
        assert relative(found, right) <= 1e-6


def test_a_hint_is_seen_whole_and_its_time_is_that_of_the_canvas():
    x = noise(1, 4, *CELLS)
    model = make_model()
    control = controlnet(ramp(CELLS[0] * UNIT, CELLS[1] * UNIT), 0.1, (0.0, 0.6))
    gligen = ("position", object(), [("words", 6, 9, 12, 15)])
    conds = prepare(model, x, prompt(1, control=control), prompt(2, control=control))
    conds[0][0]["gligen"] = gligen
    conds[1][0].update(timestep_start=5.0, timestep_end=2.0)
    maker, view = whole_views.WholeViews(CELLS, UNIT, CPU), pooled_view(CELLS, 3)
    made = maker.conds(conds, view)
    hint = made[0][0]["control"].cond_hint_original
    assert hint.shape[-2:] == (15 * UNIT, 21 * UNIT) and hint[0, 0, 0, 0] < 0.05 and hint[0, 0, -1, 0] > 0.95
    assert made[0][0]["control"] is made[1][0]["control"] is maker.conds(conds, view)[0][0]["control"]
    _, height, width, y, x_ = made[0][0]["gligen"][2][0]
    assert (y / 15, height / 15) == pytest.approx((12 / 45, 6 / 45)) and (x_ / 21, width / 21) == pytest.approx((15 / 61, 9 / 61))
    control.timestep_range = (10.0, 4.0)
    at_once, late = maker.conds(conds, view, sigma=4.5), maker.conds(conds, view, sigma=1.5)
    assert len(at_once[1]) == 1 and "timestep_end" not in at_once[1][0] and late[1] == []
    assert late[0][0]["control"].timestep_range == (-1.0, float("inf")) and control.timestep_range == (10.0, 4.0)


def test_references_are_no_larger_than_the_view_and_what_cannot_fit_is_refused():
    import comfy.conds

    x = noise(1, 4, *CELLS)
    conds = prepare(make_model(), x, prompt(1))
    large, small, other = ramp(*CELLS, channels=4), ramp(9, 12, channels=4), ramp(50, 20, channels=4)
    conds[0][0]["model_conds"]["ref_latents"] = comfy.conds.CONDList([large, small, other])
    view = strided_views(CELLS, 3)[4]
    seen = whole_views.WholeViews(CELLS, UNIT, CPU).conds(conds, view)[0][0]["model_conds"]["ref_latents"].cond
    assert torch.equal(seen[0][..., :15, :20], large[..., 1::3, 1::3]) and seen[1] is small and seen[2] is other
    conds[0][0]["model_conds"]["keyframe_idxs"] = comfy.conds.CONDRegular(torch.zeros(1))
    with pytest.raises(ValueError, match="cannot be shown in a small view of the whole picture: LTX"):
        whole_views.WholeViews(CELLS, UNIT, CPU).conds(conds, view)


def test_a_schedule_that_begins_without_any_signal_gives_a_picture():
    """Zero terminal SNR: the first step goes from 4,519 to some 38, and what the blur took off was left in the picture."""
    # Once ComfyUI is set up.
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete
    from tilework.sampling.dilated_views import with_dilated_views
    from tilework.tests.pack.coherence.models import scene_model, scene_prompt

    plain = ModelSamplingDiscrete().patch(scene_model("unet"), "v_prediction", True)[0]
    viewed = with_dilated_views(plain, 256, 256, 1.0, 1.0, False)
    made = [sample(one, noise(1, 4, 64, 64, seed=3), scene_prompt(), scene_prompt(), steps=20) for one in (plain, viewed)]
    spread = [float(one.std()) for one in made]
    print(f"deviation {spread[0]:.2f} without views, {spread[1]:.2f} with them")
    assert not torch.equal(*made) and 0.5 * spread[0] < spread[1] < 1.5 * spread[0]
