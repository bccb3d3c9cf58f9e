"""Windows are a partition of unity, for every method, trim, scale and plan."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tilework.blending.layout.grid import Axis, plan_axis
from tilework.blending.layout.mosaic import Mosaic
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.layout.windows import WINDOWS, axis_windows, check_trim, shared


def centres(size, scale=1.0):
    count = round(size * scale)
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (size / max(count, 1))


@st.composite
def axes(draw):
    lattice = draw(st.sampled_from([1, 2, 8]))
    tile = draw(st.integers(lattice, 120))
    overlap = draw(st.integers(0, tile - lattice))
    size = draw(st.integers(1, 600))
    return Axis(size, tile, plan_axis(size, tile, overlap, lattice))


@settings(max_examples=300, deadline=None)
@given(axes(), st.sampled_from(WINDOWS), st.floats(0.2, 4.0), st.floats(0, 1))
def test_weights_sum_to_one_everywhere(axis, method, scale, share):
    at = centres(axis.size, scale)
    assume(len(at) > 0)
    trim = 0 if axis.overlap is None else int(share * max(axis.overlap - 1, 0) / 2)
    windows = axis_windows(axis, at, method, trim)
    total = torch.zeros(len(at), dtype=torch.float64)
    for origin, window in zip(axis.origins, windows, strict=True):
        assert (window.weight > 0).all()
        if len(window.weight):
            assert at[window.start] >= origin and at[window.stop - 1] < origin + axis.tile, "never outside its tile"
        total[window.start : window.stop] += window.weight
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)


@settings(max_examples=200, deadline=None)
@given(axes(), st.sampled_from(WINDOWS))
def test_blending_one_after_another_is_the_weighted_mean(axis, method):
    at = centres(axis.size)
    windows = axis_windows(axis, at, method)
    values = torch.randn(len(windows), len(at), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, running = torch.zeros(len(at), dtype=torch.float64), torch.zeros(len(at), dtype=torch.float64)
    for value, window in zip(values, windows, strict=True):
        span = slice(window.start, window.stop)
        mean[span] += window.weight * value[span]
        running[span] = torch.lerp(running[span], value[span], window.blend)
    assert torch.allclose(mean, running, atol=1e-12)


@pytest.mark.parametrize("method", WINDOWS)
def test_the_image_border_has_no_ramp(method):
    windows = axis_windows(Axis(192, 80, (0, 56, 112)), centres(192), method)
    assert windows[0].weight[0] == 1 and windows[0].start == 0
    assert windows[-1].weight[-1] == 1 and windows[-1].stop == 192


def test_hann_is_the_half_sample_raised_cosine():
    window = axis_windows(Axis(96, 64, (0, 32)), centres(96), "hann")[1]
    expected = torch.sin(math.pi * (torch.arange(32, dtype=torch.float64) + 0.5) / 64).square()
    assert window.start == 32
    assert torch.allclose(window.weight[:32], expected, atol=1e-12)


def test_none_cuts_in_the_middle_of_the_overlap_and_mixes_nothing():
    windows = axis_windows(Axis(96, 64, (0, 32)), centres(96), "none")
    assert [(w.start, w.stop) for w in windows] == [(0, 48), (48, 96)]
    assert not shared(windows, 96).any()
    assert int(shared(axis_windows(Axis(96, 64, (0, 32)), centres(96), "hann"), 96).sum()) == 32


def test_trim_gives_the_untrusted_pixels_no_weight():
    left, right = axis_windows(Axis(96, 64, (0, 32)), centres(96), "average", trim=10)
    assert (left.stop, right.start) == (54, 42)


@pytest.mark.parametrize(("trim", "words"), [(-1, "negative"), (16, "use a trim of 15 or less, or split with an overlap of 33")])
def test_a_trim_that_leaves_no_overlap_is_refused(trim, words):
    layout = TileLayout.grid(64, 96, 64, 64, 32)
    check_trim(layout, 15)
    with pytest.raises(ValueError, match=words):
        check_trim(layout, trim)


@pytest.mark.parametrize(("method", "overlap"), [("hann", 24), ("average", 40), ("hann", 0), ("none", 24)])
def test_seams_are_where_two_or_more_tiles_count(method, overlap):
    layout = TileLayout.grid(150, 211, 64, 80, overlap, 1)
    mosaic = Mosaic(layout, layout.tile_size, method)
    count = torch.zeros(150, 211)
    for y in mosaic.windows[0]:
        for x in mosaic.windows[1]:
            count[y.start : y.stop, x.start : x.stop] += 1
    seams = mosaic.seams(2)
    assert seams.shape == (2, 150, 211) and seams.dtype == torch.float32
    assert torch.equal(seams[0], (count > 1).float()) and torch.equal(seams[1], seams[0])
    assert bool(seams.any()) == (method != "none" and max(axis.overlap for axis in layout.axes) > 0)
