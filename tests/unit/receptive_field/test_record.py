"""A measured receptive field goes into JSON and comes back; what else is in a file is refused."""

import copy
import json
from dataclasses import fields

import pytest
import torch
from tilework.blending.networks.network_identity import identity
from tilework.blending.receptive_field.measure import measure
from tilework.blending.receptive_field.record import from_record, to_record
from torch import nn


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.InstanceNorm2d(8), nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4)).eval()


@pytest.fixture(scope="module")
def field():
    net = network().requires_grad_(False)
    return measure(net, scale=4, network=net, strip=0)


def test_it_comes_back(field):
    again = from_record(json.loads(json.dumps(to_record(field), allow_nan=False)))
    for one in fields(field):
        was, now = getattr(field, one.name), getattr(again, one.name)
        if one.name == "profiles":
            assert was.keys() == now.keys() and all(torch.equal(was[kind], now[kind]) for kind in was)
        elif one.name == "influence":
            assert was.shape == now.shape and torch.allclose(was, now, rtol=1e-3, atol=1e-6)
        else:
            assert was == now and type(was) is type(now), one.name


def test_a_fine_map_is_kept_coarser(field):
    from dataclasses import replace

    fine = torch.rand(1024, 1024)
    record = to_record(replace(field, influence=fine))
    again = from_record(record).influence
    assert len(json.dumps(record)) < 300_000 and again.shape == fine.shape and bool((again >= fine * 0.999).all())


BROKEN = {
    "version": ("version", 99),
    "a word": ("radius", "4"),
    "negative": ("radius", -1),
    "huge": ("trim", 10**30),
    "a truth for a number": ("overlap", True),
    "NaN": ("floor", float("nan")),
    "no lattice": ("lattice", 0),
    "no scale": ("scale", [1, 0]),
    "three sides": ("sides", [1, 2, 3]),
    "a list": ("profiles", []),
    "no profile": ("profiles", {"mirrored": [], "nothing": [], "other picture": [], "cut": []}),
    "many names": ("statistics", ["x"] * 1000),
    "control letters": ("cleared", ["\x1b[2J"]),
    "a number for names": ("cleared", 3),
    "a huge map": ("influence", {"shape": [256, 256], "by": 1 << 40, "data": ""}),
    "a short map": ("influence", {"shape": [2, 2], "by": 1, "data": "AAAA"}),
    "no base64": ("influence", {"shape": [1, 1], "by": 1, "data": "?!"}),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_record_is_refused(field, case):
    record = copy.deepcopy(to_record(field))
    name, value = BROKEN[case]
    record[name] = value
    with pytest.raises(ValueError, match=r"."):
        from_record(record)


@pytest.mark.parametrize("record", [None, [], {}, 3, "x", {"version": 1}])
def test_what_is_no_record_at_all_is_refused(record):
    with pytest.raises(ValueError, match=r"."):
        from_record(record)


def test_the_same_network_is_known_again_and_another_is_not():
    known = identity(network())
    assert known == identity(network()) == identity(copy.deepcopy(network()))
    other = network()
    with torch.no_grad():
        other[0].weight[0, 0, 0, 0] += 1e-6
    dilated = network()
    dilated[0].dilation = dilated[0].padding = (2, 2)
    set_up = network()
    set_up[3].strength = 0.5
    swapped = nn.Sequential(*[network()[index] for index in (0, 2, 1, 3)])
    found = [identity(net) for net in (other, dilated, set_up, swapped, network().half(), network().train())]
    assert len({known, *found}) == 7


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.int8, torch.bool, torch.complex64]
)
def test_numbers_of_every_kind_are_read(dtype):
    net = nn.Module()
    net.register_buffer("numbers", torch.ones(3, 4).to(dtype).T)
    net.register_buffer("one", torch.ones(()).to(dtype))
    net.register_buffer("none", torch.ones(0).to(dtype))
    assert identity(net) is not None


def test_quantised_numbers_are_read_and_what_cannot_be_read_is_not_known():
    net = nn.Module()
    net.register_buffer("numbers", torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8))
    channels = nn.Module()
    channels.register_buffer("numbers", torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8))
    assert None not in (identity(net), identity(channels)) and identity(net) != identity(channels)
    assert identity(network().to("meta")) is None
    sparse = nn.Module()
    sparse.register_buffer("numbers", torch.eye(3).to_sparse())
    assert identity(sparse) is None
