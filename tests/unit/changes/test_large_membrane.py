"""Over a large area the surface is solved in cells and mended at its border: exact there, smooth inside, in little memory."""

import pytest
import torch
from tilework.blending.changes import large_membrane, membrane, paste
from tilework.blending.changes.edited_view import EditedView
from tilework.blending.changes.large_membrane import add_large_membrane
from tilework.blending.changes.membrane import harmonic
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

SIZE = (260, 331)


@pytest.fixture(autouse=True)
def _as_if_large(monkeypatch):
    """Cells of six pixels and tiles of twelve cells, as an area of thousands of pixels has them."""
    monkeypatch.setattr(large_membrane, "CELLS", SIZE[0] * SIZE[1] // 32)
    monkeypatch.setattr(large_membrane, "_TILE", 12)
    monkeypatch.setattr(paste, "_SMALL", 1 << 10)


def blob(holes=0.0):
    """A round area that leaves the picture at one side, with bays and a hole, and single pixels left out, bool [h, w]."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in SIZE), indexing="ij")
    inside = (x - 0.5) ** 2 + y**2 < 0.45 + 0.1 * torch.sin(9 * y) * torch.cos(11 * x)
    inside &= (x - 0.4) ** 2 + (y + 0.1) ** 2 > 0.02
    return inside & (torch.rand(SIZE, generator=torch.Generator().manual_seed(2)) >= holes)


def around(inside):
    return (torch.nn.functional.max_pool2d(inside[None].float(), 3, 1, 1)[0] > 0) & ~inside


def added(values, inside):
    target = torch.zeros(*SIZE, len(values))
    border = around(inside)
    add_large_membrane(target, inside, border, lambda window: values[(slice(None), *window)])
    return target.movedim(-1, 0), border


def grain(seed=0):
    return 0.02 * torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("rough", "holes", "largest", "mean"), [(0.0, 0.0, 1.0, 0.12), (1.0, 0.0005, 12.0, 0.7)])
def test_it_is_the_surface_of_single_pixels_to_a_part_of_a_level(rough, holes, largest, mean):
    """Where the border's differences are grain of five levels, within a few cells of it to less than that."""
    y, x = (torch.linspace(0, 1, side) for side in SIZE)
    inside = blob(holes)
    values = 0.06 * torch.stack((x * x - y[:, None] ** 2, x + y[:, None])) + rough * grain()
    found, border = added(values, inside)
    wanted = harmonic(torch.where(border, values, torch.zeros(())), inside)
    off = (found - wanted)[:, inside].abs() * 255
    print(f"off by at most {float(off.max()):.2f} levels, in the mean {float(off.mean()):.3f}")
    assert not found[:, ~inside].any()
    assert float(off.max()) < largest and float(off.mean()) < mean


def test_next_to_the_border_it_follows_it_as_the_surface_of_single_pixels_does():
    inside, values = blob(0.0005), grain(1) + 0.03
    found, border = added(values, inside)
    wanted = harmonic(torch.where(border, values, torch.zeros(())), inside)
    steps = [torch.cat([_steps(one, values, inside, border, dim) for dim in (1, 2)]).abs().mean() * 255 for one in (found, wanted)]
    print(f"mean step over the border: {steps[0]:.2f} levels, in single pixels {steps[1]:.2f}")
    assert steps[0] < 1.1 * steps[1]


def _steps(found, values, inside, border, dim):
    """Differences between pixels at the border and their neighbours inside, along one axis."""
    whole = torch.where(inside, found, values)
    pairs = inside & border.roll(1, dim - 1)
    pairs.narrow(dim - 1, 0, 1).zero_()
    return (whole - whole.roll(1, dim))[:, pairs].flatten()


def test_one_value_at_the_border_is_that_value_everywhere_and_tiles_do_not_show(monkeypatch):
    inside = blob()
    found, _ = added(torch.full((2, *SIZE), 0.05), inside)
    assert float((found[:, inside] - 0.05).abs().max()) < 2e-6
    values = grain(4)
    first = added(values, inside)[0]
    monkeypatch.setattr(large_membrane, "_TILE", 1000)
    whole = added(values, inside)[0]
    print(f"tiles differ by {float((first - whole).abs().max()) * 255:.4f} levels")
    assert float((first - whole).abs().max()) < 0.05 / 255


class _Held(TorchDispatchMode):
    """The most bytes of tensors that were alive after any operation."""

    def __init__(self):
        super().__init__()
        self.alive, self.most = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, (tuple, list)) else (out,):
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                self.alive[storage.data_ptr()] = (StorageWeakRef(storage), storage.nbytes())
        self.alive = {key: value for key, value in self.alive.items() if not value[0].expired()}
        self.most = max(self.most, sum(size for _, size in self.alive.values()))
        return out


def test_pasting_most_of_a_picture_holds_few_planes(monkeypatch):
    """Beside inputs, output and labels: what lies over the area in bits and bytes, not the surface in single pixels."""
    side = 512
    for module in (large_membrane, paste):
        monkeypatch.setattr(module, "_ROWS_PIXELS", side * 8)
    monkeypatch.setattr(large_membrane, "CELLS", side * side // 64)
    monkeypatch.setattr(large_membrane, "_TILE", 8)
    monkeypatch.setattr(membrane, "_MOST_CYCLES", 1)  # how often something is done does not change what it takes
    y, x = (torch.linspace(0, 1, side) for side in (side, side))
    original = (0.5 + 0.4 * torch.sin(9 * x + 7 * y[:, None]))[..., None].repeat(1, 1, 3)
    edited = original * 0.95 + 0.02
    weight = torch.zeros(side, side)
    weight[10:-10, 10:-10] = 1.0
    out = original.clone()
    with _Held() as held:
        paste.paste(original, EditedView(edited, (side, side)), weight, None, True, out)
    planes = held.most / (4 * side * side) - 10  # three pictures and the weight
    print(f"{planes:.2f} planes beside inputs and output")
    assert torch.equal(out[weight == 0], original[weight == 0])
    assert float((out - original)[10:-10, 10].abs().mean()) * 255 < 0.1, "next to the border it is as light as the original"
    assert planes < 3
