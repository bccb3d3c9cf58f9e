"""Fusing predictions: a partition of unity, exact where tiles agree, one chunk at a time."""

import gc
import math
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.fusion.fuse import RULES, fuse, fusion_windows
from tilework.blending.fusion.jitter import offsets, shifted, stride
from tilework.blending.fusion.views import adopt_layout, grid_views, plan_canvas
from tilework.blending.layout.cutting import crop
from tilework.blending.layout.grid import Axis, Rect, plan_axis
from tilework.blending.layout.tile_layout import TileLayout


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@st.composite
def axes(draw):
    lattice = draw(st.sampled_from([1, 2, 4]))
    tile = draw(st.integers(lattice, 100))
    overlap = draw(st.integers(0, tile - lattice))
    size = draw(st.integers(tile, 500))
    axis = Axis(size, tile, plan_axis(size, tile, overlap, lattice))
    places = stride(axis) // lattice
    return axis, draw(st.sampled_from([None, *(lattice * place for place in range(places))]))


def summed(windows, size):
    total = torch.zeros(size)
    for start, weight in windows:
        total[start : start + len(weight)] += weight
    return total


@settings(max_examples=100, deadline=None)
@given(axes(), st.sampled_from(RULES), st.floats(0, 1))
def test_weights_sum_to_one_and_stay_inside_their_tiles(drawn, rule, share):
    axis, offset = drawn
    trim = 0 if axis.overlap is None else int(share * max(axis.overlap - 1, 0) / 2)
    counted, cut = shifted(axis, offset)
    windows = fusion_windows(counted, rule, trim)
    assert len(windows) == len(cut)
    for origin, (start, weight) in zip(cut, windows, strict=True):
        assert weight.dtype == torch.float32 and (weight >= 0).all()
        assert origin <= start and start + len(weight) <= origin + axis.tile
        # A cut begins on the canvas, on the lattice of the fixed grid, and no later than the fixed grid's last.
        assert 0 <= origin <= axis.origins[-1]
    assert torch.allclose(summed(windows, axis.size), torch.ones(axis.size), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rule", RULES)
def test_weights_are_symmetric_and_turn_with_the_tile(rule):
    windows = fusion_windows(Axis(144, 64, (0, 40, 80)), rule)
    for (start, weight), (mirrored_start, mirrored) in zip(windows, reversed(windows), strict=True):
        assert start == 144 - mirrored_start - len(mirrored)
        assert torch.allclose(weight, mirrored.flip(0), atol=1e-7, rtol=1e-5)
    layout = plan_canvas(144, 112, 64, 48, 24, 1, 1)
    turned = plan_canvas(112, 144, 48, 64, 24, 1, 1)
    plain, other = weight_planes(layout, rule), weight_planes(turned, rule)
    columns = len(layout.axes[1].origins)
    for index, plane in enumerate(plain):
        row, column = divmod(index, columns)
        assert torch.allclose(plane, other[column * len(layout.axes[0].origins) + row].T, atol=1e-6, rtol=0)


def weight_planes(layout, rule, trim=0, offset=None, dtype=torch.float32):
    """Every tile's weight over the canvas, as fusing shows it: what comes out where that tile says 1 and the others 0."""
    size = tuple(length // layout.unit for length in layout.canvas)
    views = grid_views(layout, rule, trim, offset)
    planes = []
    for chosen in range(len(views)):
        (plane,) = fuse(
            lambda pictures, chunk, chosen=chosen: [torch.full_like(pictures, float(chunk[0].index == chosen), dtype=dtype)],
            torch.zeros(1, 1, *size),
            views,
        )
        planes.append(plane[0, 0])
    return planes


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("offset", [None, (0, 0), (7, 11)])
def test_fused_weights_sum_to_one_at_every_cell(rule, dtype, offset):
    layout = plan_canvas(97, 131, 48, 64, 16, 1, 1)
    planes = torch.stack(weight_planes(layout, rule, 3, offset, dtype)).double()
    error = float((planes.sum(0) - 1).abs().max())
    print(f"{rule} {dtype}: the sum of all weights is off by {error:.1e} at most")
    assert error <= 1e-6
    assert (planes >= 0).all()


def test_the_bell_is_that_of_mixture_of_diffusers():
    (_, left), (_, right) = fusion_windows(Axis(48, 32, (0, 16)), "gaussian")
    k = torch.arange(48, dtype=torch.float64)
    bells = [torch.exp(-(((k - origin - 15.5) / 32) ** 2) / (2 * 0.01)) for origin in (0, 16)]
    shared = slice(16, 32)
    expected = bells[0][shared] / (bells[0][shared] + bells[1][shared])
    assert torch.allclose(left[16:].double(), expected, atol=1e-7)
    assert (left[:16] == 1).all() and (right[16:] == 1).all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(1, 4, 97, 131), (2, 3, 5, 40, 131)])
def test_fusing_is_the_weighted_mean(rule, shape):
    layout = plan_canvas(*shape[-2:], 48, 64, 24, 1, 1)
    canvas = noise(*shape)
    said = {}

    def predict(pictures, chunk):
        for view, part in zip(chunk, pictures.split(shape[0]), strict=True):
            assert torch.equal(part, crop(canvas, view.rect, (-2, -1)))
            said[view.index] = noise(*part.shape, seed=view.index)
        return [torch.cat([said[view.index] for view in chunk]), None]

    fused, nothing = fuse(predict, canvas, grid_views(layout, rule), at_once=3)
    assert nothing is None
    expected = torch.zeros(shape, dtype=torch.float64)
    for view in grid_views(layout, rule):
        weight = view.y.weight.double()[:, None] * view.x.weight.double()
        rows = slice(view.y.start, view.y.start + len(view.y.weight))
        columns = slice(view.x.start, view.x.start + len(view.x.weight))
        inner = said[view.index][..., rows.start - view.rect.y :, columns.start - view.rect.x :][..., : weight.shape[0], : weight.shape[1]]
        expected[..., rows, columns] += inner * weight
    assert torch.allclose(fused.double(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("at_once", [1, 4, 100, lambda left: 2])
@pytest.mark.parametrize("offset", [None, (0, 0), (5, 9)])
def test_predictions_that_agree_come_through_to_the_bit(rule, at_once, offset):
    canvas = noise(2, 4, 97, 131)
    views = grid_views(plan_canvas(97, 131, 48, 64, 16, 1, 1, batch=2), rule, 0, offset)
    (fused,) = fuse(lambda pictures, chunk: [torch.tanh(pictures) * 3], canvas, views, at_once)
    assert torch.equal(fused, torch.tanh(canvas) * 3)


def test_a_tile_over_the_end_sees_the_picture_mirrored_and_counts_inside_only():
    layout = plan_canvas(64 * 8, 97 * 8, 48 * 8, 64 * 8, 16 * 8, 4 * 8, 8)
    assert layout.tiles[-1].x // 8 + 64 == 100
    canvas = noise(1, 2, 64, 97)
    (fused,) = fuse(lambda pictures, chunk: [pictures * 2], canvas, grid_views(layout, "hann"))
    assert torch.equal(fused, canvas * 2)


def test_two_opinions_change_over_monotonically():
    layout = plan_canvas(32, 96, 64, 64, 32, 1, 1)
    for rule in RULES:
        (fused,) = fuse(
            lambda pictures, chunk: [torch.full_like(pictures, float(chunk[0].index))], torch.zeros(1, 1, 32, 96), grid_views(layout, rule)
        )
        line = fused[0, 0, 0]
        assert (line.diff() >= 0).all() and line[31] == 0 and line[64] == 1
        assert torch.equal(fused, fused[..., :1, :].expand_as(fused))


def test_one_chunk_at_a_time_is_held():
    alive = weakref.WeakSet()
    most = 0

    def predict(pictures, chunk):
        nonlocal most
        gc.collect()
        alive.add(pictures)
        most = max(most, len(alive))
        return [pictures * 1]

    fuse(predict, torch.zeros(1, 1, 200, 200), grid_views(plan_canvas(200, 200, 64, 64, 16, 1, 1), "hann"), 3)
    assert most == 1


def test_an_answer_of_another_size_is_refused():
    views = grid_views(plan_canvas(64, 64, 32, 32, 8, 1, 1), "hann")
    with pytest.raises(ValueError, match="must be as large as what it sees"):
        fuse(lambda pictures, chunk: [pictures[..., 1:]], torch.zeros(1, 1, 64, 64), views)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="use one of hann, gaussian, average"):
        fusion_windows(Axis(96, 64, (0, 32)), "linear")


def borders(axis, rule, steps, lattice=1, seed=3):
    """How often each cell is where a tile's weight begins or ends, inside the canvas, over the steps of a run."""
    count = torch.zeros(axis.size + 1, dtype=torch.int64)
    for step in range(steps):
        away = offsets(seed, step, (stride(axis), 0), (lattice, lattice))[0]
        windows = fusion_windows(shifted(axis, away)[0], rule)
        for place in {start for start, _ in windows} | {start + len(weight) for start, weight in windows}:
            count[place] += 1
    return count[1:-1]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("size", "tile", "overlap", "lattice"), [(160, 64, 16, 1), (131, 48, 16, 1), (512, 128, 16, 2), (300, 128, 0, 2)])
def test_jitter_leaves_no_border_in_one_place(rule, size, tile, overlap, lattice):
    axis = Axis(size, tile, plan_axis(size, tile, overlap, lattice))
    most = max(int(borders(axis, rule, 20, lattice, seed).max()) for seed in range(5))
    # A tile's start and another's end may share a column.
    assert most <= 2 * math.ceil(20 / (stride(axis) // lattice)) <= 6
    print(f"{size} cells, tiles of {tile}, {rule}: at most {most} of 20 steps have a border on one column")


def test_jitter_depends_on_seed_and_step_alone():
    ask = ((48, 32), (1, 1))
    run = [offsets(7, step, *ask) for step in range(20)]
    assert run == [offsets(7, step, *ask) for step in range(20)]
    assert run != [offsets(8, step, *ask) for step in range(20)]
    assert len(set(run)) == 20
    assert all(0 <= y < 48 and 0 <= x < 32 for y, x in run)
    assert offsets(7, 3, (0, 33), (2, 2))[0] == 0 and offsets(7, 3, (0, 33), (2, 2))[1] % 2 == 0
    assert offsets(2**64 - 1, 0, *ask)


def test_a_tile_is_never_larger_than_the_canvas():
    layout = plan_canvas(64, 4096, 1024, 1024, 128, 16, 8)
    assert layout.tile_size == (64, 1024) and len(layout.axes[0].origins) == 1
    assert len(plan_canvas(776, 1048, 2048, 2048, 128, 16, 8)) == 1
    cut = TileLayout.grid(800, 1800, 1024, 1024, 128, 8)
    mine = adopt_layout(cut, 100, 225, 8, 8)
    assert mine.tile_size == (800, 1024) and mine.axes[1].origins == cut.axes[1].origins and mine.unit == 8


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((8, 512, 4), "tile_height 8 is smaller than the model's patch of 16 image pixels"),
        ((512, 1000, 64), "tile_width 1000 is not a whole number of times the model's patch of 16 image pixels: use 992 or 1008"),
        ((512, 512, 512), "overlap 512 must be smaller than the tile"),
        ((512, 512, -1), "overlap -1 is negative"),
        (
            (512, 512, 504),
            "tile_height 512 with overlap 504 moves on by 8 px, less than the model's patch of 16 image pixels: use an overlap of 496",
        ),
    ],
)
def test_plans_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(ValueError, match=words):
        plan_canvas(2048, 2048, *sizes, 16, 8)


def test_layouts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="planned for a picture of 1024 x 1024 and this one is 1200 x 1024"):
        adopt_layout(TileLayout.grid(1024, 1024, 512, 512, 64, 8), 128, 150, 8, 8)
    with pytest.raises(ValueError, match="this model's patches are 16 px: split with multiple_of 16"):
        adopt_layout(TileLayout.grid(1000, 1000, 512, 512, 64, 8), 125, 125, 16, 8)


def test_views_know_their_place():
    views = grid_views(plan_canvas(96 * 8, 160 * 8, 48 * 8, 64 * 8, 16 * 8, 8, 8), "hann")
    assert [view.index for view in views] == list(range(9))
    assert views[0].rect == Rect(0, 0, 48, 64) and views[-1].rect == Rect(48, 96, 48, 64)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("offset", [None, (3, 5)])
def test_a_canvas_that_is_joined_to_itself_has_no_first_tile(rule, offset):
    layout = TileLayout.grid(48, 80, 32, 32, 12, 1, wrap=(True, True))
    views = grid_views(layout, rule, 2, offset)
    canvas = noise(1, 3, 48, 80)

    def model(pictures, chunk):
        # What it says depends on where in its tile a cell lies.
        return [pictures + torch.linspace(-1, 1, 32)[:, None] * torch.linspace(0, 1, 32).square()]

    assert torch.equal(fuse(lambda pictures, chunk: [2 * pictures], canvas, views)[0], 2 * canvas)
    turn = [axis.size // len(axis.origins) for axis in layout.axes]
    whole = fuse(model, canvas, views)[0]
    assert not torch.allclose(whole, canvas, atol=0.02)
    again = fuse(model, canvas.roll(turn, (-2, -1)), views)[0]
    assert torch.allclose(again, whole.roll(turn, (-2, -1)), atol=2e-6, rtol=0)


def test_a_layout_that_wraps_off_the_models_patches_is_refused():
    layout = TileLayout.grid(64, 248, 64, 64, 16, 8, wrap=(False, True))
    assert adopt_layout(layout, 8, 31, 8, 8).wrap == (False, True)
    with pytest.raises(
        ValueError, match="wraps around 248 image pixels along x, which is no whole number of this model's patches of 16 px"
    ):
        adopt_layout(TileLayout.grid(64, 248, 64, 64, 16, 16, wrap=(False, True)), 8, 31, 16, 8)
