"""Bands of two attentions, and tiles that see the whole canvas."""

import pytest
import torch
import torch.nn.functional as F
from tilework.blending.attention.chunks import Chunks, WindowAttention
from tilework.blending.attention.global_tokens import attention_beside, canvas_tokens
from tilework.blending.attention.scale_fusion import low_of_first, scale_fused_attention
from tilework.blending.attention.token_grid import TokenGrid, check_grid_fits
from tilework.blending.attention.windows import plan_views


def attend(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def tokens(count, batch=1, seed=0):
    return torch.randn(3, batch, 2, count, 4, generator=torch.Generator().manual_seed(seed)).unbind()


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_equal_branches_come_back():
    one = noise(2, 12, 9, 200)
    assert torch.equal(low_of_first(one, one, (3, 2)), one)


def test_what_is_coarse_is_the_firsts_and_what_is_fine_the_seconds():
    local, everywhere = noise(1, 12, 12, 3), noise(1, 12, 12, 3, seed=1)
    fused = low_of_first(local, everywhere, (2, 2))
    assert (low_of_first(local, everywhere + 7, (2, 2)) - fused).abs().max() < 1e-5, "a constant of the second is coarse"
    assert (low_of_first(local + 7, everywhere, (2, 2)) - fused - 7).abs().max() < 1e-5, "a constant of the first is kept"
    finest = ((torch.arange(12)[:, None] + torch.arange(12)) % 2 * 2.0 - 1)[None, ..., None]
    assert (low_of_first(local + finest, everywhere, (2, 2)) - fused).abs().max() < 0.1, "the finest of the first goes"
    assert (low_of_first(local, everywhere + finest, (2, 2)) - fused - finest).abs().max() < 0.1, "the finest of the second stays"
    assert torch.equal(low_of_first(local, everywhere, (1, 1)).round(decimals=4), local.round(decimals=4)), "one tap is no filter"


def test_a_grid_of_the_trained_size_is_plain():
    q, k, v = tokens(3 + 6 * 4)
    assert torch.equal(scale_fused_attention(WindowAttention(attend, q, k, v, TokenGrid(3, 6, 4)), (6, 4)), attend(q, k, v))


@pytest.mark.parametrize("keys", [1, 4096])
def test_it_is_the_mean_of_windows_and_everything(keys):
    grid, (q, k, v) = TokenGrid(3, 9, 8), tokens(3 + 72 + 2, 2)
    found = scale_fused_attention(WindowAttention(attend, q, k, v, grid), (4, 4), (1, 0), Chunks(keys))
    everything = attend(q, k, v)
    local, counts = torch.zeros(2, 9, 8, 8), torch.zeros(9, 8, 1)
    for view in plan_views((9, 8), (4, 4), (1, 0)):
        own = grid.numbers(view.rows, view.columns)
        kept = torch.cat((torch.arange(3), own, torch.arange(75, 77)))
        local[:, slice(*view.rows), slice(*view.columns)] += attend(q[:, :, own], k[:, :, kept], v[:, :, kept]).unflatten(1, (4, 4))
        counts[slice(*view.rows), slice(*view.columns)] += 1
    fused = low_of_first(local / counts, everything[:, 3:75].unflatten(1, (9, 8)), (3, 2))
    assert (found[:, 3:75] - fused.flatten(1, 2)).abs().max() < 1e-6
    assert torch.equal(found[:, :3], everything[:, :3]) and torch.equal(found[:, 75:], everything[:, 75:])


def test_further_tokens_count_by_their_share():
    (q, k, v), (_, k2, v2) = tokens(10, 2), tokens(6, 2, seed=1)
    plain = attend(q, k, v)
    assert torch.equal(attention_beside(attend, q, k, v, (k2, v2), 0.0), plain)
    assert (attention_beside(attend, q, k, v, (k2, v2), 1e-9) - plain).abs().max() < 1e-6
    assert (attention_beside(attend, q, k, v, (k, v), 1.0) - plain).abs().max() < 1e-6, "doubled keys change nothing"
    # Every further token three times over is a share of three; a third of that, and each counts once.
    thrice = attention_beside(attend, q, k, v, (k2.repeat(1, 1, 3, 1), v2.repeat(1, 1, 3, 1)), 1 / 3)
    assert (thrice - attention_beside(attend, q, k, v, (k2, v2), 1.0)).abs().max() < 1e-6


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_further_tokens_beside_a_mask(ndim):
    (q, k, v), (_, k2, v2) = tokens(10, 2), tokens(6, 2, seed=1)
    mask = noise(2, 2, 10, 10)[(0,) * (4 - ndim) if ndim < 3 else (slice(None), 0) if ndim == 3 else ()]
    full = mask[:, None] if ndim == 3 else mask
    full = F.pad(full.expand(2, 2, 10, 10), (0, 6))
    expected = attend(q, torch.cat((k, k2), 2), torch.cat((v, v2), 2), full)
    assert (attention_beside(attend, q, k, v, (k2, v2), 1.0, mask) - expected).abs().max() < 1e-6
    kept = attention_beside(attend, q, k, v, (k2, v2), 1.0, mask > 0)
    seen = F.pad((mask[:, None] if ndim == 3 else mask).expand(2, 2, 10, 10) > 0, (0, 6), value=True)
    assert (kept - attend(q, torch.cat((k, k2), 2), torch.cat((v, v2), 2), seen)).abs().max() < 1e-6


def test_few_tokens_of_the_canvas_are_kept():
    grid = TokenGrid(2, 8, 6)
    numbers = torch.arange(51.0).view(1, 1, 51, 1)
    assert canvas_tokens(numbers, grid).flatten().tolist() == list(range(2, 50))
    assert canvas_tokens(numbers, grid, most=12).flatten().tolist() == [2 + y * 6 + x for y in (1, 3, 5, 7) for x in (1, 3, 5)]


def test_what_cannot_be_is_refused():
    q, k, v = tokens(10)
    with pytest.raises(ValueError, match=r"share of 1\.5"):
        attention_beside(attend, q, k, v, (k, v), 1.5)
    with pytest.raises(ValueError, match="3 x 4 tokens from token 2"):
        check_grid_fits(TokenGrid(2, 3, 4), 13)
