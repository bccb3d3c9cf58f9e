"""Receptive fields of networks that look at the whole picture: seen, named, and measured without it."""

import pytest
import torch
from tilework.blending.receptive_field.measure import measure
from tilework.blending.receptive_field.probe_picture import probe_picture
from tilework.blending.receptive_field.report import headline, report_text
from tilework.blending.whole_picture.frozen import FrozenStatistics
from tilework.blending.whole_picture.suspects import statistics_modules
from tilework.tests.pack.whole_map_layers import LAYERS
from torch import nn

from .test_receptive_field import conv, runner


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
