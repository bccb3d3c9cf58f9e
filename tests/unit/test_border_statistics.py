"""Statistics of pictures whose sides are no multiples of what a network works in: what it fills them up with counts as it does untiled."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tilework.blending import TileLayout
from tilework.blending.channels import Channels
from tilework.blending.tiled_run import OutOfMemoryError, TiledRun
from tilework.tests.pack.cascaded_unets import CascadedUNets
from tilework.tests.unit.test_whole_image import Call, Net, Squeeze, half_bright, untiled

# Every remainder by four, in one direction and the other.
SIZES = [(117, 151), (118, 152), (119, 149)]


class Filled(torch.nn.Module):
    """A network of windows: sides are filled up to multiples of `step` on the inside, and what comes of that is cut off again."""

    def __init__(self, network, step):
        super().__init__()
        self.network, self.step = network, step

    def forward(self, x):
        height, width = x.shape[2:]
        filled = F.pad(x, (0, -width % self.step, 0, -height % self.step), "reflect")
        return self.network(filled)[..., : 2 * height, : 2 * width]


def squeezed():
    return Net(Squeeze(8), torch.nn.InstanceNorm2d(8))


def brightest():
    return Net(Call(lambda x: x * torch.tanh(x.amax((2, 3), keepdim=True))))


# name -> (network, its scale, lattice, overlap, trim)
NETWORKS = {
    "U-Nets x2": (CascadedUNets, 2, 2, 40, 18),
    "U-Nets x3": (lambda: CascadedUNets(scale=3), 3, 4, 40, 16),
    "U-Nets x3, usual lattice": (lambda: CascadedUNets(scale=3), 3, 8, 40, 16),
    "filled up to 4": (lambda: Filled(squeezed(), 4), 2, 8, 24, 6),
    "filled up to 16": (lambda: Filled(squeezed(), 16), 2, 16, 32, 6),
    "brightest, filled up to 16": (lambda: Filled(brightest(), 16), 2, 16, 32, 6),
}


class Tight:
    """A network that is out of memory beyond `room` pixels."""

    def __init__(self, network, room=None):
        self.network, self.room = network, room

    def __call__(self, batch):
        if self.room is not None and batch.shape[2] * batch.shape[3] > self.room:
            raise OutOfMemoryError("fake")
        return self.network(batch)


def smaller(plan):
    return replace(plan, tile_height=plan.tile_height - 16, tile_width=plan.tile_width - 16)


@pytest.mark.parametrize("room", [None, 72 * 72], ids=["tiles", "pieces"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]} x {size[0]}")
@pytest.mark.parametrize("name", NETWORKS)
def test_tiled_is_untiled_at_every_size(name, size, room):
    make, scale, lattice, overlap, trim = NETWORKS[name]
    network, picture = make(), half_bright(*size, seed=5)
    whole = untiled(network, picture)
    layout = TileLayout.grid(*size, 80, 80 if room is None else 96, overlap, lattice)
    run = TiledRun(
        Tight(network, room),
        layout,
        Channels(3, 3, 3),
        scale,
        trim,
        overlap=overlap,
        whole_image=True,
        multiple_of=lattice,
        smaller=smaller,
    )
    exact = float((run(picture) - whole).abs().max())
    print(f"{name}, {size[1]} x {size[0]}, {len(layout)} tiles: {exact:.1e} from untiled")
    assert exact <= 2e-5 and not run.mirrored and run.statistics.layers


@pytest.mark.parametrize("size", [(117, 151), (119, 146)], ids=lambda size: f"{size[1]} x {size[0]}")
def test_what_the_host_fills_a_picture_up_with_counts(size):
    """A network that says what it takes is given no other sides: the host fills up the whole picture, and each tile at its end."""
    network, picture = squeezed(), half_bright(*size, seed=5)
    filled = F.pad(picture.movedim(-1, 1), (0, -size[1] % 16, 0, -size[0] % 16), "reflect").movedim(1, -1)
    whole = untiled(network, filled)[:, : 2 * size[0], : 2 * size[1]]
    layout = TileLayout.grid(*size, 80, 80, 32, 16)
    run = TiledRun(network, layout, Channels(3, 3, 3), 2, 6, overlap=32, whole_image=True, multiple_of=16, cut_to=16)
    exact = float((run(picture) - whole).abs().max())
    print(f"{size[1]} x {size[0]}, filled up by the host: {exact:.1e} from untiled")
    assert exact <= 2e-5
