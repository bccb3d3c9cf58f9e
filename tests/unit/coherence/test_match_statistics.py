"""Statistics of an enlarged latent made those of the small one."""

import torch
import torch.nn.functional as functional
from tilework.blending.coherence.few_steps import slerp
from tilework.blending.coherence.match_statistics import match_channel_statistics, match_tile_statistics


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def of_tiles(latent, grid):
    mean = functional.adaptive_avg_pool2d(latent, grid)
    return mean, (functional.adaptive_avg_pool2d(latent.square(), grid) - mean.square()).sqrt()


def small():
    """Noise whose contrast and tone change over the picture."""
    ramp = torch.linspace(0.5, 2.0, 48)
    return noise(2, 4, 48, 48) * ramp + 2 * ramp[:, None]


def test_tiles_of_an_enlarged_latent_have_the_small_ones_statistics_and_no_edges():
    reference = small()
    large = functional.interpolate(reference, scale_factor=4, mode="bicubic", align_corners=False)
    grid = (6, 6)
    (_, spread), (mean_to, spread_to) = of_tiles(large, grid), of_tiles(reference, grid)
    before = (spread / spread_to - 1).abs().mean()
    matched = match_tile_statistics(large, reference, 32)
    found, found_spread = of_tiles(matched, grid)
    after, off = (found_spread / spread_to - 1).abs(), (found - mean_to).abs() / spread_to
    print(f"spread off by {before:.3f} before, {after.mean():.1e} (at most {after.max():.1e}) after; means by at most {off.max():.1e}")
    assert before > 0.1 and after.mean() < 0.01 and after.max() < 0.03 and off.max() < 0.03


def test_no_tile_has_an_edge():
    """Of a checkerboard the amplitude is the factor: it goes from one tile's to the next one's without a step."""
    board = (torch.arange(192)[:, None] + torch.arange(192)) % 2 * 2.0 - 1
    reference = noise(1, 1, 96, 96) * torch.where(torch.arange(96) < 48, 0.5, 2.0)
    factor = match_tile_statistics(board.view(1, 1, 192, 192), reference, 32).diff(dim=-1).abs() / 2
    print(f"from {factor.min():.2f} to {factor.max():.2f}, by at most {factor.diff(dim=-1).abs().max():.2f} from cell to cell")
    assert factor.max() > 1.7 and factor.min() < 0.7 and factor.diff(dim=-1).abs().max() < 0.2


def test_channels_have_them_exactly_and_flat_ones_only_move():
    reference = small()
    matched = match_channel_statistics(noise(2, 4, 60, 80, seed=3) * 0.1 - 5, reference)
    for found, right in zip(torch.std_mean(matched, (-2, -1)), torch.std_mean(reference, (-2, -1)), strict=True):
        assert torch.allclose(found, right, rtol=1e-3)
    flat = match_channel_statistics(torch.ones(1, 4, 8, 8), reference[:1])
    assert torch.allclose(flat.std((-2, -1)), torch.zeros(1, 4), atol=1e-6)
    same = match_tile_statistics(reference, reference, 16)
    assert torch.allclose(same, reference, atol=1e-5)
    video = small()[:, :, None].expand(-1, -1, 3, -1, -1)
    assert match_tile_statistics(video, video[:1], 16).shape == video.shape and match_channel_statistics(video, video).shape == video.shape


def test_slerp_keeps_the_spread_of_noise_and_its_ends():
    a, b = noise(3, 4, 32, 32, seed=1), noise(3, 4, 32, 32, seed=2)
    assert torch.equal(slerp(a, b, 0.0), a) and torch.allclose(slerp(a, b, 1.0), b, atol=1e-6)
    assert abs(float(slerp(a, b, 0.5).std()) - 1) < 0.02 < 1 - float((0.5 * (a + b)).std())
    assert torch.allclose(slerp(a, a, 0.3), a, atol=1e-6) and torch.allclose(slerp(a, 0 * a, 0.5), 0.5 * a)
