"""Area prompts and masks: a tiled prediction equals the untiled one."""

import copy

import pytest
import torch

from ..host.recording import ConditionCropper, Rect, make_model, noise, plan, predict, prepare, prompt, relative, tiled, views

SHAPES = [(1, 4, 96, 160), (2, 16, 97, 131), (1, 16, 1, 64, 96), (1, 16, 5, 40, 72)]
BOUND = 1e-5


def blob(height, width, seed=0):
    """A soft mask [1, h, w] that is zero in places."""
    y = torch.linspace(-2, 2, height).view(-1, 1)
    x = torch.linspace(-2, 2, width).view(1, -1)
    return torch.relu(torch.sin(3 * y + seed) * torch.cos(2 * x + seed) + 0.1).unsqueeze(0)


def soft(x, seed=0):
    """A mask on canvas `x`, with as many dimensions as the host makes of one there."""
    mask = blob(*x.shape[-2:], seed=seed)
    return mask if x.ndim == 4 else mask.unsqueeze(1)


def positives(x):
    """Named lists of conditions, every kind the host knows."""
    height, width = x.shape[-2:]
    area = (height // 2, width // 3, height // 5, width // 4)
    base = prompt(1)
    frames = () if x.ndim == 4 else (x.shape[2],)
    start = () if x.ndim == 4 else (0,)
    several = [(height - 20, 30, 20, 7), (33, width - 11, 0, 11), (5, 6, height - 5, width - 6), (3, 200, 7, 0)]
    soft_mask, other = soft(x), soft(x, seed=1)
    lists = {
        "area": base + prompt(2, area=area),
        "area and strengths": prompt(1, strength=0.4) + prompt(2, area=area, strength=1.7, mask_strength=0.2),
        "areas that overlap": base + [entry for i, one in enumerate(several) for entry in prompt(i + 2, area=one)],
        "areas alone": prompt(2, area=area) + prompt(3, area=several[0]),
        "percentage": base + prompt(2, area=("percentage", *[1.0] * len(frames), 0.37, 0.61, *[0.0] * len(frames), 0.21, 0.33)),
        "mask": base + prompt(2, mask=soft_mask, mask_strength=0.7),
        "masks alone": prompt(1, mask=soft_mask, strength=2.0) + prompt(2, mask=other),
        "area and mask": base
        + prompt(2, area=area, mask=soft_mask[:, :1] if frames else soft_mask, mask_strength=0.6)
        + prompt(3, area=area),
        "default": prompt(2, mask=soft_mask, strength=0.5) + prompt(1, default=True),
    }
    if frames and x.shape[2] > 1:
        # The host cannot narrow a mask of one frame to an area in time.
        lists["area and mask"] = base + prompt(2, area=area, mask=soft_mask.expand(1, x.shape[2], height, width))
        lists["area in time"] = base + prompt(2, area=(3, *area[:2], 1, *area[2:]))
        lists["mask in time"] = base + prompt(2, mask=soft_mask * torch.linspace(0.2, 1, x.shape[2]).view(1, -1, 1, 1))
    elif not frames:
        lists["bounds of a mask"] = base + prompt(2, mask=torch.relu(soft_mask - 0.5), set_area_to_bounds=True)
        lists["mask of another size"] = base + prompt(2, mask=blob(300, 200))
    if x.shape[0] == 2:
        lists["a mask per picture"] = base + prompt(2, mask=torch.cat([soft_mask, other]))
    return lists, start


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lattice", [1, 3])
def test_tiled_equals_untiled(shape, lattice):
    x = noise(*shape, seed=4)
    model = make_model(shape[1])
    layout = plan(x, lattice=lattice)
    assert len(layout) > 1
    worst = {}
    for name, positive in positives(x)[0].items():
        conds = prepare(model, x, positive, prompt(7))
        whole = predict(model, conds, x)
        worst[name] = max(relative(a, b) for a, b in zip(tiled(model, conds, x, layout), whole, strict=True))
    print(f"{shape}, lattice {lattice}, {len(layout)} tiles: " + ", ".join(f"{name} {error:.1e}" for name, error in worst.items()))
    assert max(worst.values()) <= BOUND


def test_an_area_that_is_only_clipped_is_not_enough():
    """What the mask is for: the host would fade a clipped area at the cut too."""
    x = noise(1, 4, 96, 160, seed=4)
    model = make_model()
    conds = prepare(model, x, prompt(1) + prompt(2, area=(60, 100, 20, 30)), prompt(7))

    def clip(given, view):
        cropped = ConditionCropper(x.shape[2:], 8).crop(given, view)
        for before, after in zip(given, cropped, strict=True):
            for cond in list(after):
                area = next(c for c in before if c["uuid"] == cond["uuid"]).get("area")
                if area is None:
                    continue
                y, x_ = max(area[2], view.y), max(area[3], view.x)
                sizes = min(area[0] + area[2], view.y + view.height) - y, min(area[1] + area[3], view.x + view.width) - x_
                cond.pop("mask", None)
                cond["area"] = (*sizes, y - view.y, x_ - view.x)
        return cropped

    whole = predict(model, conds, x)[0]
    wrong = relative(tiled(model, conds, x, plan(x), crop=clip)[0], whole)
    right = relative(tiled(model, conds, x, plan(x))[0], whole)
    print(f"area clipped to the tile: {wrong:.2g}; area as a mask of the canvas: {right:.1e}")
    assert wrong > 1e-3 and right <= BOUND


def test_where_nothing_counts_the_tile_is_what_the_host_makes_of_it():
    """Untiled, the host gives zero where no condition counts; a tile that no condition reaches runs no model and is the same."""
    x = noise(1, 4, 96, 160, seed=4)
    model = make_model()
    conds = prepare(model, x, prompt(2, area=(30, 30, 5, 5)))
    whole = predict(model, conds, x)[0]
    cropper = ConditionCropper(x.shape[2:], 8)
    layout = plan(x)
    model.diffusion_model.seen.clear()
    assert relative(tiled(model, conds, x, layout, cropper)[0], whole) <= BOUND
    reached = [len(cropper.crop(conds, view)[0]) for view in views(layout)]
    print(f"conditions per tile: {reached}, calls of the model: {len(model.diffusion_model.seen)}")
    assert float(whole[..., 60:, 60:].abs().max()) == 0.0
    assert sum(reached) == len(model.diffusion_model.seen) < len(layout)


def test_nothing_given_is_changed_and_one_tile_is_the_untiled_run():
    x = noise(2, 16, 97, 131, seed=4)
    model = make_model(16)
    conds = prepare(model, x, positives(x)[0]["area and mask"], prompt(7))
    before = copy.deepcopy(conds)
    cropper = ConditionCropper(x.shape[2:], 8)
    whole = cropper.crop([*conds, None], Rect(0, 0, 97, 131))
    for view in views(plan(x, lattice=3)):
        cropper.crop([*conds, None], view)
    for was, entries in zip(before, conds, strict=True):
        for old, new in zip(was, entries, strict=True):
            assert old.keys() == new.keys() and old.get("area") == new.get("area")
            for key in ("mask", "cross_attn"):
                assert key not in old or torch.equal(old[key], new[key])
    assert whole[2] is None
    for a, b in zip(predict(model, whole[:2], x), predict(model, conds, x), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("view", [Rect(96, 0, 8, 8), Rect(-1, 0, 8, 8), Rect(0, 0, 0, 8)])
def test_a_tile_off_the_canvas_is_refused(view):
    with pytest.raises(ValueError, match="does not begin on the latent of 160 x 96"):
        ConditionCropper((96, 160), 8).crop([[]], view)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="'some' is not known: use one of crop, whole"):
        ConditionCropper((96, 160), 8, "some")
    with pytest.raises(ValueError, match="no plane"):
        ConditionCropper((160,), 8)
    with pytest.raises(ValueError, match="mask is 20 x 10 cells and the latent 160 x 96"):
        ConditionCropper((96, 160), 8).crop([[{"mask": torch.ones(1, 10, 20), "model_conds": {}}]], Rect(0, 0, 48, 64))
