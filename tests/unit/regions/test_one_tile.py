"""Tile after tile through one picture: what the next tile sees, what stays, and what does not fit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import TileLayout, compose, cut
from tilework.blending.layout.grid import Rect
from tilework.blending.layout.region_layout import RegionLayout
from tilework.blending.regions.object_tiles import object_layout
from tilework.blending.regions.one_tile import put_tile, take_tile
from tilework.blending.regions.turns import PUT_METHODS, share_of, takeover_sides

LAYOUT = TileLayout.grid(230, 350, 128, 160, 48, 8)  # 3 x 3 tiles; the last ones reach over the canvas


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def picture(height, width, channels=3, batch=1, seed=0):
    out = noise(batch, height, width, channels, seed=seed)
    if channels == 4:
        out[..., 3] = (3 * out[..., 3] - 1).clamp(0, 1)  # as many zeros as ones
    return out


def loop(image, layout, node, method="hann", original=None):
    """`node(tile, mask, index)` over all tiles, one after the other."""
    for index in range(len(layout)):
        tile, mask = take_tile(image, layout, index, original)
        image = put_tile(image, node(tile, mask, index), layout, index, method)
    return image


def pointwise(tile, *_):
    """Not its own inverse, nor idempotent: a pixel that goes through it twice is found out."""
    return (1 - tile).square()


@pytest.mark.parametrize("method", PUT_METHODS)
@pytest.mark.parametrize(("channels", "batch"), [(1, 1), (3, 2), (4, 2)])
def test_a_pointwise_node_gives_the_whole_picture(method, channels, batch):
    image = picture(230, 350, channels, batch)
    out = loop(image, LAYOUT, pointwise, method, original=image)
    worst = float((out - pointwise(image)).abs().max())
    print(f"{method}, {channels} channels: {worst:.1e}")
    assert out.shape == image.shape and worst <= (1e-6 if (method, channels) == ("optimal seam", 4) else 0)


def test_without_the_original_the_overlap_is_worked_on_twice():
    image = picture(230, 350)
    assert float((loop(image, LAYOUT, pointwise) - pointwise(image)).abs().max()) > 0.1


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    tile=st.tuples(st.integers(9, 60), st.integers(9, 60)),
    overlap=st.integers(0, 8),
    multiple_of=st.sampled_from([1, 3, 8]),
    method=st.sampled_from(PUT_METHODS),
    scale=st.sampled_from([1, 2]),
)
@settings(max_examples=40, deadline=None)
def test_any_grid_and_any_method(height, width, tile, overlap, multiple_of, method, scale):
    if min(tile) - overlap < multiple_of:
        overlap = 0
    layout = TileLayout.grid(height, width, *tile, overlap, multiple_of)
    image = picture(height * scale, width * scale, 3)
    before = image.clone()
    assert float((loop(image, layout, pointwise, method, image) - pointwise(image)).abs().max()) <= 1e-6
    assert float((loop(image, layout, lambda tile, *_: tile, method) - image).abs().max()) <= 1e-6, "untouched tiles, no original"
    assert torch.equal(image, before)


def test_the_tile_sees_the_finished_neighbours_and_the_mask_says_what_is_new():
    image = picture(230, 350)
    painted = put_tile(image, torch.zeros(1, 128, 160, 3), LAYOUT, 0)
    tile, mask = take_tile(painted, LAYOUT, 1)
    first, second = LAYOUT.tiles[:2]
    shared = first.x + first.width - second.x
    assert bool((tile[:, :, :shared] == 0).all()) and bool((mask[..., : shared // 2] == 0).all())
    assert bool((mask[..., shared:] == 1).all()) and mask.shape == (1, 128, 160)
    rise = mask[0, 0, shared // 2 : shared]
    assert bool((rise.diff() > 0).all()) and 0 < float(rise[0]) < 0.02 and 0.98 < float(rise[-1]) < 1
    with_original, _ = take_tile(painted, LAYOUT, 1, image)
    counts = (mask > 0)[..., None].expand_as(tile)
    assert torch.equal(with_original[counts], next(t for i, t in enumerate(cut(image, LAYOUT)) if i == 1)[counts])
    assert torch.equal(with_original[~counts], tile[~counts])


def test_the_masks_of_all_tiles_leave_nothing_out():
    """What no tile before has painted is new to the tile, whole; and the last share of every pixel reaches one."""
    painted = torch.zeros(230, 350, dtype=torch.bool)
    counted = torch.zeros(230, 350)
    for index, rect in enumerate(LAYOUT.tiles):
        _, mask = take_tile(picture(230, 350), LAYOUT, index)
        at = (slice(rect.y, rect.y + rect.height), slice(rect.x, rect.x + rect.width))
        there = painted[at]
        mask = mask[0, : there.shape[0], : there.shape[1]]
        assert bool((mask[~there] == 1).all()) and bool((mask[there] < 1).all())
        counted[at] = counted[at] * (1 - mask) + mask
        painted[at] = True
    assert bool(painted.all()) and float((counted - 1).abs().max()) < 1e-6


@pytest.mark.parametrize("method", PUT_METHODS)
def test_what_the_tile_does_not_count_for_stays_bit_for_bit(method):
    image, rect = picture(230, 350, 4), LAYOUT.tiles[4]
    tile, mask = take_tile(image, LAYOUT, 4)
    out = put_tile(image, torch.rand_like(tile), LAYOUT, 4, method)
    stays = torch.ones(230, 350, dtype=torch.bool)
    stays[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width] = mask[0] == 0
    assert torch.equal(out[:, stays], image[:, stays]) and not torch.equal(out, image)


def test_a_border_tile_is_mirrored_and_its_overhang_thrown_away():
    image = picture(230, 350)
    last = LAYOUT.tiles[-1]
    assert last.y + last.height > 230 and last.x + last.width > 350
    tile, mask = take_tile(image, LAYOUT, len(LAYOUT) - 1)
    assert torch.equal(tile[:, 230 - last.y - 2, : 350 - last.x], tile[:, 230 - last.y, : 350 - last.x]), "mirrored at the last row"
    assert mask.shape[1:] == (128, 160) and put_tile(image, tile, LAYOUT, len(LAYOUT) - 1).shape == image.shape


def test_colour_hidden_under_nothing_does_not_bleed():
    """A cut-out beside nothing: the colour under alpha 0 counts for nothing in the ramp."""
    layout = TileLayout.grid(64, 112, 64, 64, 16)
    image = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(1, 64, 112, 4)
    painted = torch.tensor([0.0, 1.0, 0.0, 1.0]).expand(1, 64, 64, 4)
    for method in PUT_METHODS:
        out = put_tile(image, painted, layout, 1, method)
        seen = out[..., 3] > 2e-3
        worst = float((out[seen][:, :3] - torch.tensor([0.0, 1.0, 0.0])).abs().max())
        assert worst < 1e-5, f"{method}: {worst}"


def fading(seed):
    """A node that paints a tone of its own, and fades to what it finds where the mask says that all is known, as an inpainting model does."""
    tones = torch.rand(64, generator=torch.Generator().manual_seed(seed)) - 0.5

    def node(tile, mask, index):
        known = mask[0] == 0
        left, top = (int(known.all(dim).sum()) for dim in (0, 1))  # the columns and the rows that are known from end to end
        own = torch.full_like(tile, float(tones[index]))
        if not left and not top:
            return own
        y, x = torch.meshgrid(*(torch.arange(float(n)) for n in known.shape), indexing="ij")
        across, down = (x - left).clamp(0), (y - top).clamp(0)
        fade, total = torch.ones_like(x), torch.zeros_like(x)
        context = torch.zeros_like(x)
        for away, there, edge in ((across, left, tile[0, :, left - 1, :]), (down, top, tile[0, top - 1, :, :].T)):
            if there:
                fade = fade * (away / away.max())
                near = 1 / (away + 1)  # what is nearer counts for more
                context, total = context + near * edge, total + near
        context = (context / total)[None, ..., None]
        painted = context + (own - context) * fade[None, ..., None]
        return torch.where(known[None, ..., None], tile, painted)

    return node, tones


def largest_steps(layout, seed, method):
    """Of tones that fade, one tile after the other, and of the same tones apart and blended by Hann: in the overlaps."""
    node, tones = fading(seed)
    ours = loop(torch.zeros(1, *layout.canvas, 1), layout, node, method)[0, ..., 0]
    separate = compose([torch.full((1, *layout.tile_size, 1), float(tones[i])) for i in range(len(layout))], layout, "hann")[0, ..., 0]
    ys, xs = ([slice(b, a + axis.tile) for a, b in zip(axis.origins, axis.origins[1:], strict=False)] for axis in layout.axes)
    return [
        max([float(p[:, span].diff(dim=1).abs().max()) for span in xs] + [float(p[span].diff(dim=0).abs().max()) for span in ys])
        for p in (ours, separate)
    ]


@pytest.mark.parametrize("method", PUT_METHODS)
@pytest.mark.parametrize("shape", [(256, 928), (704, 704)], ids=["a row of 4", "3 x 3"])
def test_a_random_tone_that_fades_where_context_is_known(method, shape):
    """The pack's own proportions, an overlap of an eighth of the tile: steps are at most a third of separate tiles plus Hann."""
    layout = TileLayout.grid(*shape, 256, 256, 32)
    steps = [largest_steps(layout, seed, method) for seed in range(3 if method == "optimal seam" else 8)]
    ratios = [ours / theirs for ours, theirs in steps]
    print(f"{method}, {len(layout)} tiles: steps {min(ratios):.3f} to {max(ratios):.3f} of separate tiles and Hann")
    assert max(ratios) <= 1 / 3


def painted_by(layout):
    """How much of each pixel comes from a tile in the end."""
    total = torch.zeros(layout.canvas)
    for index, rect in enumerate(layout.here):
        share = share_of(takeover_sides(layout, index), rect.height, rect.width)
        part = total[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        share = share[: part.shape[0], : part.shape[1]]
        part.copy_(part * (1 - share) + share)
    return total


def test_a_region_takes_over_within_its_ramp_and_its_core_is_its_own():
    layout = RegionLayout((200, 300), (Rect(0, 40, 80, 100),), cores=(Rect(0, 60, 60, 60),), ramps=(10,))
    share = share_of(takeover_sides(layout, 0), 80, 100)
    assert float(share[:60, 20:80].min()) == 1, "the core, up to the border of the picture"
    assert float(share[:, :10].max()) == float(share[:, 90:].max()) == float(share[70:].max()) == 0, "nothing beyond the ramp"
    assert 0 < float(share[30, 12]) < float(share[30, 18]) < 1


def test_objects_that_ramps_miss_come_from_one_tile_in_a_loop_too():
    there = np.zeros((512, 960), bool)
    there[200:300, 440:500] = True
    layout = object_layout((512, 960), (512, 512), 64, 8, there).layout
    picture = torch.zeros(1, 512, 960, 1)
    for index in range(len(layout)):
        tile, _ = take_tile(picture, layout, index)
        picture = put_tile(picture, torch.full_like(tile, index + 1.0), layout, index)
    assert len(picture[0][torch.from_numpy(there)].unique()) == 1


@given(
    tile=st.integers(40, 90),
    overlap=st.integers(2, 16),
    own=st.lists(st.tuples(st.integers(0, 150), st.integers(0, 250), st.integers(8, 50), st.integers(8, 50)), max_size=3),
    ramp=st.integers(0, 9),
)
@settings(max_examples=20, deadline=None)
def test_tiles_that_cover_the_picture_leave_nothing_of_it_below(tile, overlap, own, ramp):
    """A grid with regions of any size painted over it: all of it is painted, overlaps and corners."""
    grid = TileLayout.grid(200, 300, tile, tile, overlap)
    regions = tuple(Rect(*one) for one in own)
    cores = tuple(Rect(r.y + 2, r.x + 3, r.height - 4, r.width - 5) for r in regions)
    layout = RegionLayout((200, 300), (*grid.tiles, *regions), grid_tiles=len(grid), cores=cores, ramps=(ramp,) * len(regions))
    assert float(painted_by(layout).min()) >= 1 - 1e-6


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index": 9}, "index 9 is not a tile of the layout, which has 9 tiles, numbered 0 to 8"),
        ({"index": -1}, "index -1 is not a tile of the layout"),
        ({"image": torch.zeros(1, 230, 300, 3)}, "not one scale for both sides"),
        ({"tile": torch.zeros(1, 256, 320, 3)}, "tile 4 was taken as 160 x 128 and came back 320 x 256: the picture has one size"),
        ({"tile": torch.zeros(1, 120, 160, 3)}, "came back 160 x 120: a VAE crops what is no multiple of 8"),
        ({"tile": torch.zeros(1, 128, 160, 4)}, "tile 4 is 160 x 128 with 4 channels"),
        ({"tile": torch.zeros(2, 128, 160, 3)}, "tile 4 came back as a batch of 2 and image is a batch of 1"),
        ({"tile": torch.full((1, 128, 160, 3), float("nan"))}, "tile 4 has NaN in it"),
        ({"image": torch.full((1, 230, 350, 3), float("inf"))}, "image at tile 4 has Inf in it"),
        ({"method": "gradient"}, "method 'gradient' is not known: use one of hann, linear, optimal seam"),
        ({"image": torch.zeros(1, 230, 350, 4)}, "put its alpha back"),
    ],
)
def test_what_does_not_fit_is_refused(change, words):
    given = {"image": torch.zeros(1, 230, 350, 3), "tile": torch.zeros(1, 128, 160, 3), "layout": LAYOUT, "index": 4, **change}
    with pytest.raises(ValueError) as caught:
        put_tile(**given)
    print(caught.value)
    assert words in str(caught.value)


def test_an_original_of_another_picture_is_refused():
    with pytest.raises(ValueError, match="connect the very picture that the first tile was taken from"):
        take_tile(torch.zeros(1, 230, 350, 3), LAYOUT, 0, torch.zeros(1, 230, 340, 3))
    with pytest.raises(ValueError, match="tiles are taken one at a time within the picture only"):
        takeover_sides(TileLayout.grid(230, 350, 96, 96, 24, 1, wrap=(False, True)), 0)
    with pytest.raises(ValueError, match="no ramp that tiles take over by"):
        takeover_sides(LAYOUT, 1, "gaussian")
