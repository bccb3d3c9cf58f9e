"""Receptive fields of networks that are known."""

from fractions import Fraction

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.receptive_field.measure import THRESHOLD, measure
from tilework.blending.receptive_field.probe_picture import probe_picture
from torch import nn


def conv(into, out, kernel=3, dilation=1, stride=1, shift=0):
    pad = dilation * (kernel // 2)
    layers = [nn.Conv2d(into, out, kernel, padding=0 if shift else pad, dilation=dilation, stride=stride)]
    if shift:
        layers.insert(0, nn.ZeroPad2d((pad + shift, pad - shift, pad, pad)))
    return nn.Sequential(*layers)


def runner(net):
    net.eval()

    def run(picture):
        with torch.inference_mode():
            return net(picture)

    return run


def by_every_pixel(net, scale, channels=3, side=48):
    """The radius that follows from which input pixels each output pixel depends on, whatever the border's place."""
    net = net.double().eval()
    picture = torch.rand(1, channels, side, side, dtype=torch.float64, requires_grad=True)
    out = net(picture)
    worst = 0
    middle = out.shape[-1] // 2
    for place in range(middle - 4, middle + 4):
        for axis in (2, 3):
            index = [0, slice(None), middle, middle]
            index[axis] = place
            (gradient,) = torch.autograd.grad(out[tuple(index)].sum(), picture, retain_graph=True)
            touched = torch.nonzero(gradient[0].abs().amax(0).amax(3 - axis)).flatten()
            low, high = place / scale, (place + 1) / scale
            # Kept is x >= border: the pixel's own cell begins at floor(low); kept is x < border: it ends at ceil(high).
            worst = max(worst, low.__floor__() - int(touched[0]), int(touched[-1]) + 1 - high.__ceil__())
    return worst


STACKS = {
    "pointwise": (lambda: conv(3, 3, 1), 1, 0),
    "three 3 x 3": (lambda: nn.Sequential(conv(3, 8), nn.ReLU(), conv(8, 8), nn.ReLU(), conv(8, 3)), 1, 3),
    "dilated 1 2 4": (lambda: nn.Sequential(conv(3, 8), conv(8, 8, 3, 2), conv(8, 3, 3, 4)), 1, 7),
    "5 x 5 dilated 3": (lambda: nn.Sequential(conv(3, 8, 5, 3), conv(8, 3, 5)), 1, 8),
    "asymmetric": (lambda: nn.Sequential(conv(3, 8, shift=1), conv(8, 3, shift=1)), 1, 4),
    "x2": (lambda: nn.Sequential(conv(3, 8), nn.Upsample(scale_factor=2), conv(8, 3)), 2, 2),
    "x1.5": (lambda: nn.Sequential(conv(3, 8, stride=2), nn.Upsample(scale_factor=3), conv(8, 3)), Fraction(3, 2), None),
    "stride 2 and back": (lambda: nn.Sequential(conv(3, 8, stride=2), conv(8, 8), nn.Upsample(scale_factor=2), conv(8, 3)), 1, 5),
    "stride 4 and back": (lambda: nn.Sequential(conv(3, 8, stride=2), conv(8, 8, stride=2), nn.Upsample(scale_factor=4), conv(8, 3)), 1, 7),
    "to a quarter": (lambda: nn.Sequential(conv(3, 8, stride=2), conv(8, 8, stride=2), conv(8, 4)), Fraction(1, 4), None),
}


@pytest.mark.parametrize("name", STACKS)
def test_it_is_exact_on_stacks_of_convolutions(name):
    build, scale, known = STACKS[name]
    torch.manual_seed(3)
    net = build()
    expected = by_every_pixel(net, Fraction(scale))
    assert known is None or expected == known
    field = measure(runner(net), scale=scale, threshold=1e-6, dtype=torch.float64)
    print(
        f"{name}: radius {field.radius}, known {expected}, sides {field.sides}, lattice {field.lattice}, suggested {field.overlap}/{field.trim}"
    )
    if Fraction(scale) < 1:
        # Borders on the lattice only, and so the distances: the next output pixel is untouched.
        step = field.lattice
        assert field.full_known and -(-field.full_radius // step) == -(-expected // step)
    else:
        assert (field.radius, field.full_radius, field.full_known) == (expected, expected, True)
    assert not field.sees_everything and not field.statistics
    assert field.overlap >= 2 * field.trim + 1 or field.trim == 0


def test_each_side_is_its_own():
    torch.manual_seed(3)
    # Sees two pixels to the left, none to the right, one up and down.
    field = measure(runner(nn.Sequential(conv(3, 8, shift=1)).double()), threshold=1e-6, dtype=torch.float64)
    assert field.sides == (2, 0, 1, 1) and field.radius == 2


def test_lattices_are_found_out():
    torch.manual_seed(0)
    for depth, lattice in ((0, 1), (1, 2), (2, 4), (3, 8)):
        layers = [conv(3, 8), *[conv(8, 8, stride=2) for _ in range(depth)], nn.Upsample(scale_factor=2**depth), conv(8, 3)]
        assert measure(runner(nn.Sequential(*layers)), threshold=1e-3).lattice == lattice


class ResidualDense(nn.Module):
    """ESRGAN's block (Wang et al. 2018): dense convolutions, scaled and added."""

    def __init__(self, width, grow):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width + i * grow, grow if i < 4 else width, 3, padding=1) for i in range(5))

    def forward(self, x):
        seen = [x]
        for layer in self.layers[:-1]:
            seen.append(nn.functional.leaky_relu(layer(torch.cat(seen, 1)), 0.2))
        return x + 0.2 * self.layers[-1](torch.cat(seen, 1))


def esrgan(seed):
    """x2, two blocks, random; brought to a picture's contrast."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        ResidualDense(12, 8),
        ResidualDense(12, 8),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(12, 3, 3, padding=1),
    ).eval()
    with torch.inference_mode():
        for layer in (layer for layer in net.modules() if isinstance(layer, nn.Conv2d)):
            layer.weight.mul_(1.5)
        spread = float(net(probe_picture(64, 64)).std())
        net[-1].weight.mul_(0.2 / spread)
        net[-1].bias.mul_(0.2 / spread)
    return net


def tiled_error(run, scale, overlap, trim, seed):
    """Largest difference of tiled to untiled, in a picture whose tiles overlap by just so much."""
    tile = 2 * overlap + 24
    height, width = 2 * tile - overlap, 3 * tile - 2 * overlap
    picture = probe_picture(height, width, seed=seed)
    layout = TileLayout.grid(height, width, tile, tile, overlap)
    assert [axis.overlap for axis in layout.axes] == [overlap, overlap]
    tiles = (run(part.movedim(-1, 1)).movedim(1, -1) for part in cut(picture.movedim(1, -1), layout))
    whole = run(picture).movedim(1, -1)
    assert whole.shape[1] == height * scale
    return float((compose(tiles, layout, "hann", trim=trim) - whole).abs().max())


@pytest.mark.parametrize("seed", range(3))
def test_what_is_suggested_makes_tiled_equal_untiled_and_half_of_it_does_not(seed):
    run = runner(esrgan(seed))
    field = measure(run, scale=2, strip=0)
    errors = {}
    for overlap, trim in (
        (field.overlap, field.trim),
        (max(field.overlap // 2, 2 * (field.trim // 2) + 1), field.trim // 2),
        (field.overlap // 2, 0),
    ):
        errors[overlap, trim] = max(tiled_error(run, 2, overlap, trim, content) for content in (7, 8))
    print(f"radius {field.radius}, full {field.full_radius}: " + ", ".join(f"{k}: {v * 255:.3f} levels" for k, v in errors.items()))
    suggested, *halves = errors.values()
    assert 0 < field.radius <= field.trim < field.full_radius
    assert suggested <= THRESHOLD and all(half > THRESHOLD for half in halves)


def test_a_faint_trace_from_far_away_is_found_by_the_strips():
    class Far(nn.Module):
        def forward(self, x):
            return x + 1e-3 * torch.roll(x, 200, -1)

    field = measure(runner(Far()), strip=2048)
    assert field.full_known and not field.sees_everything
    # The roll joins the picture's ends: what it moves in comes from its far side.
    assert field.radius == 0 or field.full_radius >= 200


def test_lengths_of_a_latent_become_image_pixels():
    torch.manual_seed(0)
    cells = measure(runner(nn.Sequential(conv(4, 8), nn.Upsample(scale_factor=8), conv(8, 3))), 4, 8, 1e-4, lattice=1)
    pixels = cells.stretched(8)
    assert (
        cells.radius == 2
        and pixels.radius == 16
        and pixels.lattice == 8
        and pixels.scale == 1
        and len(pixels.profile) == 8 * len(cells.profile)
    )


def test_the_probe_is_told_of_and_grows_with_the_influence():
    seen, sides = [], []
    # The mean over 81 x 81 pixels: as strong at its end as in its middle.
    net = nn.Sequential(nn.AvgPool2d((81, 1), 1, (40, 0)), nn.AvgPool2d((1, 81), 1, (0, 40)))
    run = runner(net)

    def watched(picture):
        sides.append(picture.shape[-1])
        return run(picture)

    field = measure(watched, watch=lambda done, planned: seen.append((done, planned)))
    assert field.full_radius == 40 and field.full_known and not field.sees_everything and max(sides) == 256
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1)) == list(range(1, len(sides) + 1))
    assert all(done <= planned for done, planned in seen)


def test_what_cannot_be_measured_is_said():
    with pytest.raises(ValueError, match=r"made 64 x 64 px out of 128 x 128 px, and its scale is said to be 1"):
        measure(lambda picture: picture[..., ::2, ::2])
    with pytest.raises(ValueError, match="NaN or Inf"):
        measure(lambda picture: picture / 0)
    for threshold in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="threshold"):
            measure(lambda picture: picture, threshold=threshold)


def test_the_probe_is_a_picture():
    picture = probe_picture(96, 160, 3, seed=4)
    assert picture.shape == (1, 3, 96, 160) and float(picture.min()) >= 0 and float(picture.max()) <= 1
    assert torch.equal(picture, probe_picture(96, 160, 3, seed=4)) and not torch.equal(picture, probe_picture(96, 160, 3, seed=5))
    assert 0.1 < float(picture.std()) < 0.35 and abs(float(picture.mean()) - 0.5) < 0.15
