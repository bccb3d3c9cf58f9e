"""Receptive fields of networks that are known."""

from fractions import Fraction

import pytest
import torch
from tilework.blending import TileLayout, compose, cut
from tilework.blending.receptive_field.measure import THRESHOLD, measure
from tilework.blending.receptive_field.probe_picture import probe_picture
from tilework.blending.receptive_field.report import headline, report_text
from tilework.blending.whole_picture.frozen import FrozenStatistics
from tilework.blending.whole_picture.suspects import statistics_modules
from tilework.tests.pack.whole_map_layers import LAYERS
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


class SqueezeExcite(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate = nn.Sequential(nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.gate(self.pool(x))


class Attend(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x):
        small = nn.functional.avg_pool2d(x, 4)
        tokens = small.flatten(2).mT
        answer = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + nn.functional.interpolate(answer.mT.reshape(small.shape), scale_factor=4)


class LessMean(nn.Module):
    def forward(self, x):
        return x - x.mean((2, 3), keepdim=True)


class WholeMap(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Windows(nn.Module):
    """Attention that stays inside of windows of 8."""

    def __init__(self, width):
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)

    def forward(self, x):
        b, c, h, w = x.shape
        tokens = x.reshape(b, c, h // 8, 8, w // 8, 8).permute(0, 2, 4, 3, 5, 1).reshape(-1, 64, c)
        answer = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return x + answer.reshape(b, h // 8, w // 8, 8, 8, c).permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


def with_inside(module):
    torch.manual_seed(2)
    return nn.Sequential(conv(3, 8), nn.ReLU(), module, conv(8, 3))


def used_batch_norm():
    norm = nn.BatchNorm2d(8)
    with torch.no_grad():
        norm(torch.randn(4, 8, 16, 16) * 3 + 1)
    return norm


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (lambda: nn.InstanceNorm2d(8), "InstanceNorm (1)"),
        (lambda: nn.GroupNorm(4, 8), "GroupNorm (1)"),
        (lambda: SqueezeExcite(8), "squeeze-and-excitation (1)"),
        (lambda: Attend(8), "attention (1)"),
        (lambda: nn.BatchNorm2d(8, track_running_stats=False), "BatchNorm without stored statistics (1)"),
    ],
    ids=["InstanceNorm", "GroupNorm", "SE", "attention", "BatchNorm without statistics"],
)
def test_whole_image_statistics_are_seen_and_named(module, name):
    torch.manual_seed(2)
    net = with_inside(module())
    field = measure(runner(net), network=net, strip=512)
    assert field.sees_everything and field.floor > 0 and field.statistics == (name,)
    # Two convolutions of 3 x 3: the same radius as without it.
    assert field.radius == 2 and field.trim == 2
    words = report_text(field, "the model", "REMEDY")
    assert "Whole-image statistics: yes" in words and name in words and "REMEDY" in words and "whole picture" in headline(field)


def test_batch_norm_as_it_is_run_is_cleared():
    net = with_inside(used_batch_norm())
    field = measure(runner(net), network=net)
    assert not field.sees_everything and field.floor == 0 and field.statistics == () and field.full_radius == 2
    assert field.cleared == ("BatchNorm with stored statistics (1)",)
    words = report_text(field, "the model", "REMEDY")
    assert "Whole-image statistics: none. Harmless: BatchNorm with stored statistics (1)." in words and "REMEDY" not in words
    # The very same module in training mode is another matter.
    net.train()
    assert statistics_modules(net) == {"BatchNorm without stored statistics": 1}
    field = measure(lambda picture: net(picture).detach(), network=net)
    assert field.sees_everything and field.statistics == ("BatchNorm without stored statistics (1)",)


def test_attention_in_windows_is_no_statistic_of_the_picture():
    torch.manual_seed(2)
    net = with_inside(Windows(8))
    field = measure(runner(net), network=net)
    assert not field.sees_everything and field.lattice == 8 and field.cleared == ("attention (1)",)
    assert 2 < field.full_radius <= 10


def test_what_no_known_module_explains_is_said_to_be_unexplained():
    net = with_inside(LessMean())
    field = measure(runner(net), network=net)
    assert field.sees_everything and field.statistics == () and field.radius == 2
    assert "None of its modules is of a type that is known to do so" in report_text(field, "the model", "REMEDY")


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


def test_a_cancel_in_the_middle_goes_through_and_leaves_the_network_as_it_was():
    net = with_inside(Attend(8))
    run, left = runner(net), 16

    def cancelled(picture):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return run(picture)

    before = run(probe_picture(64, 64))
    with pytest.raises(KeyboardInterrupt):
        measure(cancelled, network=net)
    assert not any(module._forward_hooks for module in net.modules())
    assert torch.equal(run(probe_picture(64, 64)), before)


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


@pytest.mark.parametrize("name", LAYERS)
def test_every_way_to_look_at_the_whole_map_is_held_still(name):
    torch.manual_seed(2)
    net = nn.Sequential(conv(3, 8), nn.Tanh(), WholeMap(LAYERS[name][0]), conv(8, 3))
    field = measure(runner(net), network=net, size=64, largest=128, strip=256)
    # Two convolutions of 3 x 3, whatever is between them.
    assert field.sees_everything and (field.radius, field.overlap, field.trim, field.full_radius) == (2, 5, 2, 2)


def test_measuring_leaves_stored_statistics_as_they_are():
    net = with_inside(nn.BatchNorm2d(8)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    run = lambda picture: net(picture).detach()  # noqa: E731
    frozen = FrozenStatistics(net)
    for _ in range(2):
        with frozen.run(probe_picture(32, 32)):
            run(probe_picture(32, 32))
    after = net.state_dict()
    assert frozen.noted and all(torch.equal(after[name], value) for name, value in before.items() if "num_batches" not in name)


def blind_in_the_middle(radius):
    """Probes with a black middle, which a gate does not change."""

    def content(height, width, seed):
        picture = probe_picture(height, width, seed=seed)
        y, x = height // 2, width // 2
        picture[..., y - radius : y + radius, x - radius : x + radius] = 0
        return picture

    return content


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool, self.weigh, self.gate = nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.Sigmoid()

    def forward(self, x):
        return x * self.gate(4 * self.weigh(self.pool(x)))


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_that_everything_is_seen_does_not_hang_on_the_few_pixels_in_the_middle(radius):
    torch.manual_seed(0)
    net = Gate()
    field = measure(runner(net), network=net, content=blind_in_the_middle(radius), strip=0)
    assert field.sees_everything and field.statistics == ("squeeze-and-excitation (1)",)


def test_an_end_of_the_influence_is_no_end_because_of_the_few_pixels_in_the_middle():
    class Faint(nn.Module):
        def forward(self, x):
            return x + 1e-3 * x * x.mean((2, 3), keepdim=True)

    field = measure(runner(Faint()), content=blind_in_the_middle(1), size=64, largest=64, strip=0, threshold=0.1)
    assert field.sees_everything or not field.full_known


@pytest.mark.parametrize("reach", [12, 20])
def test_a_wide_decay_is_no_sight_of_everything(reach):
    class Decay(nn.Module):
        def forward(self, x):
            kernel = torch.exp(-torch.arange(-120, 121).abs() / reach)
            kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)
            x = nn.functional.conv2d(nn.functional.pad(x, (120, 120, 0, 0)), kernel, groups=3)
            return nn.functional.conv2d(nn.functional.pad(x, (0, 0, 120, 120)), kernel.transpose(2, 3), groups=3)

    assert not measure(runner(Decay()), strip=0, largest=256, lattice=1).sees_everything
