"""What measuring costs, and what it says where it had to stop."""

import pytest
import torch
from tilework.blending.receptive_field.measure import measure
from tilework.blending.receptive_field.report import headline, report_text
from torch import nn

PASS = 256 * 256
BUDGET = 12 * PASS


def counted(net):
    """The network as it is run, and the pixels that it was given."""
    net.eval()
    seen = []

    def run(picture):
        seen.append(picture.shape[-1] * picture.shape[-2])
        with torch.inference_mode():
            return net(picture)

    return run, seen


def conv(into, out, stride=1, dilation=1):
    return nn.Conv2d(into, out, 3, stride, dilation, dilation)


def small(depth=1):
    torch.manual_seed(0)
    return nn.Sequential(conv(3, 8), *[conv(8, 8, 2) for _ in range(depth)], nn.Upsample(scale_factor=2**depth), conv(8, 3))


class Mean(nn.Module):
    """The mean over a box of `side` pixels: as strong at its end as in its middle."""

    def __init__(self, side):
        super().__init__()
        self.net = nn.Sequential(nn.AvgPool2d((side, 1), 1, (side // 2, 0)), nn.AvgPool2d((1, side), 1, (0, side // 2)))

    def forward(self, x):
        return self.net(x)


class Fading(nn.Module):
    """What lies `d` pixels away counts exp(-d / `length`), up to 80 pixels."""

    def __init__(self, length=8):
        super().__init__()
        self.register_buffer("fade", torch.exp(-torch.arange(-80, 81).abs() / length))
        self.fade /= self.fade.sum()

    def forward(self, x):
        down = nn.functional.conv2d(x, self.fade.reshape(1, 1, -1, 1).repeat(3, 1, 1, 1), padding=(80, 0), groups=3)
        return nn.functional.conv2d(down, self.fade.reshape(1, 1, 1, -1).repeat(3, 1, 1, 1), padding=(0, 80), groups=3)


class LessMean(nn.Module):
    def forward(self, x):
        return x - x.mean((2, 3), keepdim=True)


NETWORKS = {
    "one step": lambda: small(0),
    "steps of 2": lambda: small(1),
    "steps of 8": lambda: small(3),
    "norm": lambda: nn.Sequential(conv(3, 8), nn.InstanceNorm2d(8), conv(8, 3)),
    "mean": lambda: nn.Sequential(conv(3, 8), LessMean(), conv(8, 3)),
    "box of 81": lambda: Mean(81),
    "box of 201": lambda: Mean(201),
    "box of 601": lambda: Mean(601),
    "fading": Fading,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_never_costs_more_than_the_budget(name):
    net = NETWORKS[name]()
    run, seen = counted(net)
    field = measure(run, threshold=1e-3, network=net, budget=BUDGET, strip=768, largest=1024)
    print(f"{name}: {sum(seen) / PASS:.2f} passes, radius {field.radius} ({field.radius_known}), lattice {field.lattice}")
    assert sum(seen) == field.spent <= BUDGET


@pytest.mark.parametrize("name", ["one step", "steps of 2", "steps of 8", "norm", "mean"])
def test_what_ends_near_is_found_as_without_a_budget(name):
    net = NETWORKS[name]()
    limited, free = (measure(counted(net)[0], threshold=1e-3, network=net, **more) for more in ({"budget": BUDGET, "strip": 768}, {}))
    for what in ("radius", "trim", "lattice", "sees_everything", "radius_known", "cut_only"):
        assert getattr(limited, what) == getattr(free, what), what
    assert limited.radius_known and not limited.cut_only


def test_what_ends_far_away_is_followed_in_tiles_that_are_cut_out():
    net = Mean(201)
    field = measure(counted(net)[0], threshold=1e-6, budget=BUDGET, strip=768, largest=1024, dtype=torch.float64)
    assert (field.radius, field.sides, field.lattice) == (100, (100, 100, 100, 100), 1)
    assert field.radius_known and field.cut_only and len(field.profile) == 192
    words = report_text(field, "the model", "REMEDY")
    assert "cut out" in words and "at least" not in headline(field)


def test_an_end_that_the_budget_does_not_reach_is_said_to_be_farther():
    field = measure(counted(Fading(4))[0], threshold=1e-5, budget=1.4 * PASS, strip=768, largest=1024)
    assert not field.radius_known and not field.full_known and field.radius == 32
    assert headline(field).startswith("radius at least 32 px: ")
    words = report_text(field, "the model", "REMEDY")
    print(words)
    assert "at least 32 px into the tile" in words and "farther" in words and "equals untiled" not in words
    assert "Measured with 1.3 times the work of a picture of 256 x 256 px" in words


def test_where_all_influence_ends_is_taken_where_that_is_all_that_is_known():
    field = measure(counted(Fading(4))[0], threshold=1e-5, budget=2 * PASS, strip=768, largest=1024)
    assert not field.radius_known and field.full_known and field.trim == field.full_radius > field.radius
    words = report_text(field, "the model", "REMEDY")
    assert "at least 32 px" in words and "tiled then equals untiled" in words


def test_the_lattice_is_found_in_long_windows_too():
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.far, self.near = Mean(161), small(3)

        def forward(self, x):
            return self.far(x) + self.near(x)

    torch.manual_seed(0)
    field = measure(counted(Wide())[0], threshold=1e-4, budget=BUDGET, strip=768, largest=1024)
    print(field.radius, field.lattice, field.spent / PASS)
    assert field.cut_only and field.lattice == 8


def test_a_cheap_lattice_comes_first():
    run, seen = counted(small(0))
    measure(run, threshold=1e-3)
    # The probe with its four windows, and a tile shifted by one pixel beside one that is not.
    assert len(seen) == 5 + 2
