"""Bytes alive at once, counted without running anything."""

import pytest
import torch
from tilework.blending.networks.live_memory import META, peak_bytes, without_numbers
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1))


def at(side, device=META):
    return torch.zeros(1, 3, side, side, device=device)


def test_what_is_alive_at_once_is_counted():
    net = without_numbers(net := network(), net).eval()
    # Given, and two of the wide ones.
    plane = 100 * 100 * 4
    assert peak_bytes(net, at(100)) == (3 + 16 + 16) * plane
    assert peak_bytes(lambda x: x.reshape(1, 3, -1).mT, at(100)) == 3 * plane, "views are no memory"
    assert peak_bytes(lambda x: [net[0](x) for _ in range(5)], at(100)) == (3 + 5 * 16) * plane, "what is kept is alive"


def test_it_is_the_same_with_numbers():
    net = network()
    assert peak_bytes(net, at(40, "cpu")) == peak_bytes(without_numbers(net, net), at(40))


def test_a_large_picture_costs_nothing():
    net = without_numbers(net := network(), net)
    assert peak_bytes(net, at(100_000)) == (3 + 16 + 16) * 4 * 100_000**2


def test_parts_of_an_operation_are_seen():
    def attend(x):
        tokens = x.flatten(2).mT
        return torch.softmax(tokens @ tokens.mT, -1) @ tokens

    assert peak_bytes(attend, at(32)) >= 2 * 1024 * 1024 * 4
    assert peak_bytes(lambda x: nn.functional.group_norm(x, 1), at(32)) >= 2 * 3 * 32 * 32 * 4


class Odd(nn.Module):
    """Keeps a tensor as a plain attribute and counts its runs."""

    def __init__(self):
        super().__init__()
        self.inner, self.plain, self.runs = network(), torch.rand(1, 3, 1, 1), []
        self.register_buffer("mean", torch.rand(3, 1, 1).half())
        self.tied = self.inner[0].weight

    def forward(self, x):
        self.runs.append(tuple(x.shape))
        return self.inner(x * self.plain + self.mean)


def test_the_network_itself_is_left_alone():
    net = Odd()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    bare = without_numbers(net, net)
    peak_bytes(bare, at(64))
    assert net.runs == [] and bare.runs == [(1, 3, 64, 64)] and bare.tied is bare.inner[0].weight
    assert all(value.device == META for value in [*bare.parameters(), *bare.buffers(), bare.plain])
    assert all(torch.equal(value, before[name]) and value.device.type == "cpu" for name, value in net.state_dict().items())


def test_hooks_are_not_told_of_runs_that_are_none():
    net, told = network(), []
    net.register_forward_pre_hook(lambda module, given: told.append("before"))
    net[0].register_forward_hook(lambda module, given, made: told.append("after"))
    peak_bytes(without_numbers(net, net), at(32))
    assert told == [] and len(net._forward_pre_hooks) == len(net[0]._forward_hooks) == 1
    net(at(8, "cpu"))
    assert told == ["before", "after"]


def test_in_inference_mode_too():
    with torch.inference_mode():
        net = network()
        assert peak_bytes(without_numbers(net, net), at(100)) == peak_bytes(net, at(100, "cpu")) == 35 * 40_000


def test_a_network_that_looks_at_numbers_cannot_be_counted_so():
    class Looks(nn.Module):
        def forward(self, x):
            return x * 2 if float(x.mean()) > 0 else x

    net = Looks()
    with pytest.raises(RuntimeError, match="meta"):
        peak_bytes(without_numbers(net, net), at(8))
    assert peak_bytes(net, at(8, "cpu")) >= 3 * 8 * 8 * 4
