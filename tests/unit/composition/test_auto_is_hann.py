"""What a new Seam Blend starts with owes: nothing that Hann windows do is lost where the tiles agree, nor made worse where they do not."""

import gc
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending import Mosaic, TileLayout, compose, cut
from tilework.blending.composition.rows import RowBlend
from tilework.blending.composition.survey import CONTENT, EQUAL, TONE, Survey, survey

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(batch, height, width, channels):
    """A picture that any resampling leaves nearly as it is."""
    small = noise(batch, channels, 4, 4, seed=height * width)
    return F.interpolate(small, size=(height, width), mode="bicubic").clamp(0, 1).movedim(1, -1)


class Told(Sequence):
    """Tiles that count how often they are gone over."""

    def __init__(self, tiles):
        self.tiles, self.rounds = tiles, 0

    def __len__(self):
        return len(self.tiles)

    def __getitem__(self, index):
        return self.tiles[index]

    def __iter__(self):
        self.rounds += 1
        return iter(self.tiles)


def same_as_hann(tiles, layout, **options):
    told = Told(tiles)
    out = compose(told, layout, "auto", **options)
    assert torch.equal(out, compose(tiles, layout, "hann", **options))
    assert told.rounds == 1, "one look is enough where nothing is wrong"


PLANS = (
    st.integers(1, 90), st.integers(1, 90), st.integers(8, 60), st.integers(8, 60), st.floats(0, 0.95), st.sampled_from([1, 2, 4]),
)  # fmt: skip


def plan(height, width, tile_height, tile_width, share, multiple_of):
    return TileLayout.grid(height, width, tile_height, tile_width, int(share * (min(tile_height, tile_width) - multiple_of)), multiple_of)


@settings(max_examples=75, deadline=None)
@given(*PLANS, st.sampled_from([1, 3, 4]), st.sampled_from([1, 2, 3]), st.sampled_from([1, 2, 5]), st.booleans())
def test_tiles_that_agree_are_blended_as_hann_does_bit_for_bit(
    height, width, tile_height, tile_width, share, multiple_of, channels, scale, batch, rounded
):
    layout = plan(height, width, tile_height, tile_width, share, multiple_of)
    tiles = cut(noise(batch, height, width, channels), layout)
    tiles = [tile.repeat_interleave(scale, 1).repeat_interleave(scale, 2) for tile in tiles]
    if rounded:
        tiles = [tile + 1e-6 * (noise(*tile.shape, seed=i) - 0.5) for i, tile in enumerate(tiles)]
    same_as_hann(tiles, layout)


@settings(max_examples=40, deadline=None)
@given(*PLANS, st.sampled_from([1, 3, 4]), st.sampled_from([0.7, 1.1, 1.37, 1.5, 2.25]), st.sampled_from([1, 2]))
def test_also_between_pixels(height, width, tile_height, tile_width, share, multiple_of, channels, scale, batch):
    layout = plan(height, width, tile_height, tile_width, share, multiple_of)
    size = [max(1, round(side * scale)) for side in layout.tile_size]
    level = noise(batch, 1, 1, channels)
    tiles = [level.expand(batch, *size, channels).contiguous() for _ in layout.tiles]
    same_as_hann(tiles, layout, scale=scale if layout.tile_size[0] > 8 else 0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_rounding_to_another_type_is_no_disagreement(dtype, channels):
    layout = TileLayout.grid(200, 260, 96, 96, 24, 8)
    for trim in (0, 5):
        tiles = [(tile + 1e-4 * (i % 2)).to(dtype) for i, tile in enumerate(cut(noise(1, 200, 260, channels), layout))]
        same_as_hann(tiles, layout, trim=trim)


def test_one_tile_and_tiles_that_do_not_overlap():
    same_as_hann([noise(1, 80, 80, 3)], TileLayout.grid(80, 80, 80, 80, 24, 1))
    layout = TileLayout.grid(160, 160, 80, 80, 0, 1)
    same_as_hann([noise(1, 80, 80, 3, seed=i) for i in range(4)], layout)


def test_tiles_that_all_lie_beside_their_place_agree_all_the_same():
    layout = TileLayout.grid(200, 260, 96, 96, 24, 8)
    image = noise(1, 220, 280, 3)
    same_as_hann([image[:, r.y + 5 : r.y + 101, r.x + 7 : r.x + 103].clone() for r in layout.tiles], layout)


def test_numbers_too_large_to_square_are_no_obstacle():
    layout = TileLayout.grid(160, 160, 96, 96, 32, 1)
    tiles = [torch.full((1, 96, 96, 3), value) for value in (1e30, -1e30, 3e38, 0.0)]
    assert torch.isfinite(compose(tiles, layout, "auto")).all()


def test_nothing_is_held_on_to():
    """A composer that refers to itself would keep the picture until Python looks for such rings."""
    layout, tiles, _ = wrong_in_one_place(CONTENT)
    gc.collect()
    gc.disable()
    try:
        compose(tiles, layout, "auto")
        assert not [thing for thing in gc.get_objects() if type(thing) in (Survey, RowBlend)]
    finally:
        gc.enable()


def test_colour_that_cannot_be_seen_is_no_disagreement():
    layout = TileLayout.grid(200, 200, 96, 96, 24, 8)
    alpha = torch.zeros(1, 200, 200, 1)
    alpha[:, :, 100:] = 1
    tiles = list(cut(torch.cat((noise(1, 200, 200, 3) * alpha, alpha), 3), layout))
    tiles = [
        torch.where(tile[..., 3:] > 0, tile, torch.cat((noise(*tile.shape[:3], 3, seed=i), tile[..., 3:]), 3))
        for i, tile in enumerate(tiles)
    ]
    same_as_hann(tiles, layout)


def near_sides(layout, index, reach):
    """[h, w, 1]: 1 at the sides of a tile that face another, 0 from `reach` pixels on."""
    lines = []
    for axis, start in zip(layout.axes, (layout.tiles[index].y, layout.tiles[index].x), strict=True):
        line = torch.arange(axis.tile)
        before, after = (line if start else line + reach), (line.flip(0) if start + axis.tile < axis.size else line + reach)
        lines.append(torch.minimum(before, after))
    return (1 - torch.minimum(lines[0][:, None], lines[1])[..., None] / reach).clamp_min(0)


@pytest.mark.parametrize("overlap", [32, 64])
@pytest.mark.parametrize("rough", [False, True])
def test_what_is_wrong_at_the_border_of_every_tile_is_left_to_the_windows(overlap, rough):
    """A network does not see past its tile: its last pixels are wrong, and windows hardly count them. That is no tone step and no content."""
    size = 4 * 128 - 3 * overlap
    layout = TileLayout.grid(size, size, 128, 128, overlap, 1)
    tiles = []
    for i, tile in enumerate(cut(smooth(1, size, size, 3) * 0.5 + 0.2 + 0.05 * noise(1, size, size, 3), layout)):
        wrong = near_sides(layout, i, overlap // 8) * (noise(1, 128, 128, 3, seed=i) if rough else 1 + i % 2)
        tiles.append(tile + 0.1 * wrong)
    found = survey(tiles, Mosaic(layout, (128, 128)))
    assert {f.choice for f in found} == {EQUAL}, max(found, key=lambda f: f.detail)
    same_as_hann(tiles, layout)


def wrong_in_one_place(kind, channels=3):
    """Tiles of 3 x 4 that agree but for what one of them shows, and the output pixels that no overlap of it reaches."""
    layout = TileLayout.grid(256, 336, 96, 96, 16, 1)
    image = 0.3 + 0.3 * noise(1, 256, 336, channels)
    if channels == 4:
        image[..., 3] = 1
    tiles = [tile.clone() for tile in cut(image, layout)]
    if kind == CONTENT:
        tiles[5][..., :3] = 0.3 + 0.3 * noise(1, 96, 96, 3, seed=9)[..., : min(channels, 3)]
    elif kind == TONE:
        tiles[5][..., :3] += 0.05
    aside = torch.ones(256, 336, dtype=torch.bool)
    rect = layout.tiles[5]
    aside[rect.y : rect.y + 96, rect.x : rect.x + 96] = False
    return layout, tiles, aside


@pytest.mark.parametrize("channels", [1, 3])
def test_a_cut_leaves_the_overlaps_that_agree_as_hann_has_them(channels):
    layout, tiles, aside = wrong_in_one_place(CONTENT, channels)
    found = survey(tiles, Mosaic(layout, (96, 96)))
    assert {(f.first, f.second) for f in found if f.choice == CONTENT} == {(4, 5), (1, 5), (5, 6), (5, 9)}
    out, plain = compose(tiles, layout, "auto"), compose(tiles, layout, "hann")
    assert torch.equal(out[:, aside], plain[:, aside])
    assert not torch.equal(out, plain)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", [CONTENT, TONE])
def test_each_picture_of_a_batch_is_decided_for_itself(kind, channels):
    layout, wrong, _ = wrong_in_one_place(kind, channels)
    _, right, _ = wrong_in_one_place(None, channels)
    tiles = [torch.cat((a, b, a)) for a, b in zip(right, wrong, strict=True)]
    said = []
    out, plain = compose(tiles, layout, "auto", tell=said.extend), compose(tiles, layout, "hann")
    assert torch.equal(out[0], plain[0]) and torch.equal(out[2], plain[2])
    assert torch.equal(out[1:2], compose(wrong, layout, "auto")) and not torch.equal(out[1], plain[1])
    assert {f.picture for f in said if f.choice == kind} == {1}
    assert "picture 1" in next(str(f) for f in said if f.choice == kind)


def test_a_difference_in_alpha_alone_asks_for_no_correction_of_colour():
    layout = TileLayout.grid(200, 200, 96, 96, 24, 8)
    colour = noise(1, 200, 200, 3) * 0.2 + 0.4
    tiles = [torch.cat((tile, torch.full((1, 96, 96, 1), 0.7 + 0.05 * (i % 2))), 3) for i, tile in enumerate(cut(colour, layout))]
    same_as_hann(tiles, layout)


def test_what_was_found_is_told_before_anything_is_mended():
    layout, tiles, _ = wrong_in_one_place(TONE)
    told, at = Told(tiles), []
    compose(told, layout, "auto", tell=lambda found: at.append((told.rounds, len(found))))
    assert at == [(1, 17)] and told.rounds == 4, "once to blend, and once a channel to correct"


@pytest.fixture(scope="module")
def benchmarks():
    """The scenes of benchmarks/ and their figures; that folder is no package."""
    sys.path.insert(0, str(BENCHMARKS))
    yield import_module("mosaics"), import_module("seam_figures")
    sys.path.remove(str(BENCHMARKS))


@pytest.mark.parametrize("setting", [(192, 48, 3), (160, 32, 3)], ids=str)
@pytest.mark.parametrize("scene", ["studio", "brushed", "textures", "shifted"])
def test_never_worse_than_hann_on_the_scenes_of_the_benchmark(benchmarks, scene, setting):
    mosaics, figures = benchmarks
    made = getattr(mosaics, scene)(mosaics.plan(*setting))
    auto, hann = (compose(made.tiles, made.layout, method) for method in ("auto", "hann"))
    floor = figures.line_step(made.seamless, made.truth, made.layout)
    step = [figures.line_step(out, made.truth, made.layout) for out in (auto, hann)]
    print(f"{scene} {setting}: line step {step[0]:.3f}, hann {step[1]:.3f}, never in tiles {floor:.3f}")
    # Texture does not cancel altogether along so short a boundary; what it leaves differs from picture to picture.
    assert step[0] <= (1.02 * step[1] if made.smooth_faults else 1.2 * max(step[1], floor))
    if made.smooth_faults:
        for figure in (figures.local_step, figures.error_without_mean):
            values = [figure(out, made.truth) for out in (auto, hann)]
            print(f"  {figure.__name__} {values[0]:.3f}, hann {values[1]:.3f}")
            assert values[0] <= 1.02 * values[1]
    else:
        kept, blurred = (figures.ghosting(out, made.seamless, made.layout, made.disagree) for out in (auto, hann))
        print(f"  {kept}, hann {blurred}")
        for ours, theirs in zip(kept, blurred, strict=True):
            assert abs(math.log(ours)) <= max(abs(math.log(theirs)), 0.02)
        assert kept.inside > 0.95
