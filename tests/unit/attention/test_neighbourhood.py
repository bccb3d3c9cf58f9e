"""Attention in windows: exactly what dense attention gives where a mask hides all else."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.attention.chunks import Chunks, WindowAttention
from tilework.blending.attention.neighbourhood import neighbourhood_attention
from tilework.blending.attention.token_grid import TokenGrid
from tilework.blending.attention.windows import Windows, half_windows, plan_patches, plan_views

HEADS, DEPTH = 2, 4


def attend(q, k, v, mask=None):
    """The host's form of the answer."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def tokens(count, batch=1, seed=0):
    return torch.randn(3, batch, HEADS, count, DEPTH, generator=torch.Generator().manual_seed(seed)).unbind()


def seen(grid, windows, count):
    """[count, count]: whether a query sees a key; told cell by cell, by another road than the engine's."""
    hidden = torch.zeros(count, count, dtype=torch.bool)
    for y in range(grid.rows):
        for x in range(grid.columns):
            here = grid.first + y * grid.columns + x
            for y2 in range(grid.rows):
                for x2 in range(grid.columns):
                    inside = all(
                        _sees(*axis)
                        for axis in (
                            (y, y2, grid.rows, windows.size[0], windows.patch[0], windows.offset[0]),
                            (x, x2, grid.columns, windows.size[1], windows.patch[1], windows.offset[1]),
                        )
                    )
                    hidden[here, grid.first + y2 * grid.columns + x2] = not inside
    return ~hidden


def _sees(query, key, length, size, patch, offset):
    if size >= length:
        return True
    start = (query + offset) // patch * patch - offset
    begin = max(0, min(start - math.floor((size - patch) / 2), length - size))
    return begin <= key < begin + size


@st.composite
def cases(draw):
    rows, columns, before, behind = (draw(st.integers(*ends)) for ends in ((1, 9), (1, 9), (0, 5), (0, 3)))
    size = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    kind = draw(st.sampled_from(["half", "sliding tiles", "any"]))
    if kind == "half":
        patch = half_windows(size).patch
    elif kind == "sliding tiles":  # an odd number of tiles, the middle one being the query's
        patch = size
        size = tuple(side * draw(st.sampled_from([1, 3])) for side in size)
    else:
        patch = tuple(draw(st.integers(1, side)) for side in size)
    offset = tuple(draw(st.integers(0, side - 1)) for side in patch)
    return TokenGrid(before, rows, columns), behind, Windows(size, patch, offset), draw(st.integers(1, 40)), draw(st.integers(1, 2))


@given(cases())
@settings(max_examples=60, deadline=None)
def test_windows_are_dense_attention_with_a_mask(case):
    grid, behind, windows, keys, batch = case
    count = grid.end + behind
    q, k, v = tokens(count, batch)
    found = neighbourhood_attention(WindowAttention(attend, q, k, v, grid), windows, Chunks(keys))
    assert (found - attend(q, k, v, seen(grid, windows, count))).abs().max() < 1e-6


@given(cases())
@settings(max_examples=12, deadline=None)
def test_a_mask_of_the_host_is_kept(case):
    grid, behind, windows, keys, batch = case
    count = grid.end + behind
    q, k, v = tokens(count, batch)
    seer = seen(grid, windows, count)
    weights = torch.randn(batch, HEADS, count, count, generator=torch.Generator().manual_seed(5))
    for mask in (weights, weights[:, :1], weights[0, 0], weights[:, 0, :1], weights[0, 0, 0]):
        found = neighbourhood_attention(WindowAttention(attend, q, k, v, grid, mask), windows, Chunks(keys))
        full = mask[:, None] if mask.ndim == 3 else mask
        assert (found - attend(q, k, v, full.masked_fill(~seer, -math.inf))).abs().max() < 1e-6


@given(cases())
@settings(max_examples=60, deadline=None)
def test_every_query_is_written_once(case):
    grid, _, windows, _, _ = case
    written = torch.zeros(grid.size)
    for patch in plan_patches(grid.size, windows):
        written[slice(*patch.rows), slice(*patch.columns)] += 1
        sides = [end - start for start, end in (patch.key_rows, patch.key_columns)]
        assert sides == [min(side, length) for side, length in zip(windows.size, grid.size, strict=True)]
        for inner, outer in ((patch.rows, patch.key_rows), (patch.columns, patch.key_columns)):
            assert outer[0] <= inner[0] and inner[1] <= outer[1]
    assert bool((written == 1).all())


def test_a_window_over_the_whole_grid_is_full_attention():
    q, k, v = tokens(4 + 6 * 5)
    grid = TokenGrid(4, 6, 5)
    for size in ((6, 5), (9, 7)):
        found = neighbourhood_attention(WindowAttention(attend, q, k, v, grid), half_windows(size, (1, 1)))
        assert torch.equal(found, attend(q, k, v))


def test_the_published_window():
    """Native 64 tokens on 192: patches of 32, windows that begin 16 before them."""
    patches = plan_patches((192, 192), half_windows((64, 64), (5, 0)))
    spans = {patch.rows: patch.key_rows for patch in patches}
    assert spans[(27, 59)] == (11, 75)
    assert spans[(0, 27)] == (0, 64) and spans[(187, 192)] == (128, 192)


@given(cases())
@settings(max_examples=25, deadline=None)
def test_text_in_every_window(case):
    """Text is turned to each window's origin; what it gets is the mean over the queries' windows."""
    grid, behind, windows, keys, batch = case
    q, k, v = tokens(grid.end + behind, batch)

    def turned(text, origin):
        return text * (1 + 0.1 * origin[0]) + 0.1 * origin[1]

    def turn(text, origins):
        return torch.stack([turned(text, origin) for origin in origins])

    patches = plan_patches(grid.size, windows)
    found = neighbourhood_attention(WindowAttention(attend, q, k, v, grid, None, turn), windows, Chunks(keys))
    if len(patches) == 1:
        assert torch.equal(found, attend(q, k, v))
        return
    first, expected, total = grid.first, attend(q, k, v), torch.zeros(batch, grid.first, HEADS * DEPTH)
    for patch in patches:
        origin = patch.key_rows[0], patch.key_columns[0]
        own, window = grid.numbers(patch.rows, patch.columns), grid.numbers(patch.key_rows, patch.key_columns)
        others = list(range(grid.end, grid.end + behind))
        keys_ = torch.cat((turned(k[:, :, :first], origin), k[:, :, window], k[:, :, others]), 2)
        values = torch.cat((v[:, :, :first], v[:, :, window], v[:, :, others]), 2)
        said = attend(torch.cat((turned(q[:, :, :first], origin), q[:, :, own]), 2), keys_, values)
        expected[:, own] = said[:, first:]
        total += said[:, :first] * (len(own) / (grid.rows * grid.columns))
    expected[:, :first] = total
    assert (found - expected).abs().max() < 1e-6


class Full(Exception):
    """No memory."""


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_out_of_memory_halves_chunks(limit):
    q, k, v = tokens(2 + 8 * 8)
    sizes = []

    def narrow(q, k, v, mask=None):
        # Only the windows': all else is asked with one picture.
        if k.shape[2] == 2 + 16:
            sizes.append(q.shape[0] * q.shape[2])
            if sizes[-1] > limit * 2:
                raise Full
        return attend(q, k, v, mask)

    grid, windows = TokenGrid(2, 8, 8), half_windows((4, 4))
    chunks = Chunks(10_000, too_much=lambda error: isinstance(error, Full))
    found = neighbourhood_attention(WindowAttention(narrow, q, k, v, grid), windows, chunks)
    assert (found - attend(q, k, v, seen(grid, windows, 66))).abs().max() < 1e-6
    assert max(sizes) > limit * 2 >= sizes[-1]
    with pytest.raises(Full):
        neighbourhood_attention(WindowAttention(narrow, q, k, v, grid), windows, Chunks(10_000))


def test_it_stops_between_chunks():
    q, k, v = tokens(8 * 8)
    asked = []

    def stop():
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        neighbourhood_attention(WindowAttention(attend, q, k, v, TokenGrid(0, 8, 8)), half_windows((4, 4)), Chunks(1, stop))


@pytest.mark.parametrize(("windows", "word"), [(Windows((4, 4), (5, 4)), "patch of 5"), (Windows((4, 4), (2, 2), (2, 0)), "offset of 2")])
def test_windows_that_cannot_be_are_refused(windows, word):
    with pytest.raises(ValueError, match=word):
        plan_patches((8, 8), windows)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 100))
def test_views_cover_the_grid(length, size, shift):
    views = plan_views((length, 3), (size, 3), (shift % max(size // 2, 1), 0))
    covered = set()
    for view in views:
        assert view.rows == view.key_rows and view.rows[1] - view.rows[0] == min(size, length)
        covered |= set(range(*view.rows))
    assert covered == set(range(length))
