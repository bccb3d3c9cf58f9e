"""The right and the bottom border of a tiled picture, whatever its sides are multiples of."""

import pytest
import torch
from tilework.blending import TileLayout
from tilework.blending.networks.back_off import BackOff
from tilework.blending.networks.channels import Channels
from tilework.blending.networks.tiled_run import OutOfMemoryError, TiledRun
from tilework.tests.unit.networks.test_tiled_run import RADIUS, Upscaler, picture, run, untiled


class Picky(Upscaler):
    """Takes sides that are multiples of `step` only; `quietly`: makes something of another size of others."""

    def __init__(self, step, quietly=False):
        super().__init__()
        self.step, self.quietly = step, quietly

    def __call__(self, batch):
        if any(side % self.step for side in batch.shape[2:]):
            if not self.quietly:
                raise RuntimeError("shape '[1, 12, 8]' is invalid for input of size 97")
            return super().__call__(batch[..., :-1, :-1])
        return super().__call__(batch)


@pytest.mark.parametrize("size", [(300, 420), (301, 423), (150, 97), (24, 41)])
@pytest.mark.parametrize("tile_batch", [1, 4])
def test_the_right_and_bottom_border_is_the_untiled_one(size, tile_batch):
    network, image = Upscaler(), picture(*size)
    came, made = run(network, image, tile_batch=tile_batch)
    error = (came - untiled(network, image)).abs()
    print(f"{size}: {float(error.max()):.1e}, shapes {sorted(set(network.shapes))}")
    assert float(error.max()) <= 1e-5 and not made.mirrored


def test_the_border_is_the_untiled_one_where_memory_runs_out():
    network, image = Upscaler(), picture(173, 211)
    whole = untiled(network, image)
    network.room = 60 * 60
    came, made = run(network, image, smaller=BackOff(8, 32).next)
    assert float((came - whole).abs().max()) <= 1e-5 and made.plan.tile_width < 96


@pytest.mark.parametrize("room", [None, 70 * 70])
def test_the_border_is_the_untiled_one_with_statistics_of_the_image(room):
    from tilework.tests.unit.whole_picture.test_whole_image import Net, half_bright

    network, image = Net(), half_bright(149, 203)
    whole = network(image.movedim(-1, 1)).movedim(1, -1)

    def tight(batch):
        if room is not None and batch.shape[2] * batch.shape[3] > room:
            raise OutOfMemoryError
        return network(batch)

    layout = TileLayout.grid(149, 203, 96, 96, 32, 8)
    made = TiledRun(tight, layout, Channels(3, 3, 3), 2, 6, multiple_of=8, smaller=BackOff(8, 40).next, whole_image=True)
    assert float((made(image) - whole).abs().max()) <= 1e-4


def test_the_border_of_alpha_is_the_untiled_one():
    # Colour is filled up where it is hidden, tile by tile, and so differs a little everywhere; alpha goes through as it is.
    image = torch.cat((picture(100, 141), picture(100, 141, 1, seed=5)), -1)
    came, _ = run(Upscaler(), image)
    one = TiledRun(Upscaler(), TileLayout.grid(100, 141, 100, 141, 0), Channels(4, 3, 3), 2)(image)
    assert came.shape == (1, 200, 282, 4) and float((came - one)[..., 3].abs().max()) <= 1e-5


def test_a_border_tile_is_as_large_as_the_network_asks():
    network, image = Picky(4), picture(150, 202)
    came, made = run(network, image, cut_to=4)
    assert not made.mirrored and {side % 4 for shape in network.shapes for side in shape[2:]} == {0}
    # As the host does it: what is wanting is the picture mirrored.
    padded = torch.nn.functional.pad(image.movedim(-1, 1), (0, 2, 0, 2), "reflect").movedim(1, -1)
    assert float((came - untiled(network, padded)[:, :300, :404]).abs().max()) <= 1e-5


@pytest.mark.parametrize("quietly", [False, True])
@pytest.mark.parametrize("room", [None, 60 * 60])
def test_a_network_that_takes_no_such_sides_is_given_whole_tiles(quietly, room):
    network, image = Picky(8, quietly), picture(150, 203)
    whole = untiled(Upscaler(), image)
    network.room = room
    came, made = run(network, image, smaller=BackOff(8, 32).next)
    error = (came - whole).abs()[:, : 300 - 2 * RADIUS, : 406 - 2 * RADIUS]
    assert made.mirrored and float(error.max()) <= 1e-5


def test_what_fails_for_another_reason_says_so():
    class Broken(Upscaler):
        def __call__(self, batch):
            raise RuntimeError("expected scalar type Half but found Float")

    with pytest.raises(RuntimeError, match="expected scalar type Half"):
        run(Broken(), picture(90, 131))


@pytest.mark.parametrize("size", [(12, 200), (40, 200), (200, 13), (1, 190), (99, 131)])
@pytest.mark.parametrize("fails_at", [(1,), (2, 4)])
def test_memory_that_runs_out_at_a_narrow_end_changes_nothing(size, fails_at):
    """A tile that is cut off to a side of no more than the overlap is cut along its other side alone."""
    network, image, calls = Upscaler(), picture(*size), []

    def tight(batch):
        calls.append(batch.shape)
        if len(calls) in fails_at:
            raise OutOfMemoryError
        return network(batch)

    layout = TileLayout.grid(*size, 96, 96, 24, 8)
    made = TiledRun(tight, layout, Channels(3, 3, 3), 2, RADIUS, overlap=24, multiple_of=8, smaller=BackOff(8, 32).next)
    assert float((made(image) - untiled(network, image)).abs().max()) <= 1e-5
    assert not made.mirrored and made.plan.tile_width < 96
