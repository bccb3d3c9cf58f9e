"""Statistics of the whole picture: tiled equals untiled in networks that look at all of it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tilework.blending import TileLayout
from tilework.blending.layout.pieces import cores
from tilework.blending.networks.channels import Channels
from tilework.blending.networks.tiled_run import OutOfMemoryError, TiledRun
from tilework.blending.whole_picture.whole_image import WholeImageStatistics
from tilework.tests.pack.cascaded_unets import CascadedUNets
from tilework.tests.pack.whole_map_layers import LAYERS


class Squeeze(torch.nn.Module):
    """Squeeze-and-excite."""

    def __init__(self, channels):
        super().__init__()
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.gate = torch.nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(4 * self.gate(self.pool(x)))


class Residual(Squeeze):
    """Squeeze-and-excite as a residual network has it."""

    def __init__(self):
        super().__init__(8)

    def forward(self, x):
        return x + super().forward(x)


class Net(torch.nn.Module):
    """A x2 upscaler of radius 5 with an InstanceNorm and a squeeze-and-excite, or what `middle` puts in their place."""

    def __init__(self, *middle):
        super().__init__()
        self.head = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.middle = torch.nn.ModuleList(middle or (torch.nn.InstanceNorm2d(8, affine=True), Squeeze(8)))
        self.between = torch.nn.ModuleList(torch.nn.Conv2d(8, 8, 3, padding=1) for _ in self.middle)
        self.tail = torch.nn.Conv2d(8, 12, 3, padding=1)
        self.eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.3 if parameter.ndim > 1 else 0.2))

    def forward(self, x):
        x = self.head(x)
        for layer, conv in zip(self.middle, self.between, strict=True):
            x = conv(torch.tanh(layer(x)))
        return 0.5 + 0.2 * torch.tanh(F.pixel_shuffle(self.tail(x), 2))


class Call(torch.nn.Module):
    """A layer that is a plain function of the map."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def half_bright(height=96, width=160, seed=0):
    """A picture whose left half is twice as bright."""
    picture = 0.1 + 0.35 * torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed))
    picture[:, :, : width // 2] *= 2
    return picture


def untiled(network, picture):
    return network(picture.movedim(-1, 1)).movedim(1, -1)


def tiled(network, picture, whole_image, tile=48, overlap=24, trim=6, **options):
    layout = TileLayout.grid(picture.shape[1], picture.shape[2], tile, tile, overlap, 8, picture.shape[0])
    run = TiledRun(network, layout, Channels(3, 3, 3), 2, trim, whole_image=whole_image, **options)
    return run(picture), run


def test_instance_norm_and_squeeze_excite():
    network, picture = Net(), half_bright()
    whole = untiled(network, picture)
    pooled, run = tiled(network, picture, True)
    alone, _ = tiled(network, picture, False)
    exact, wrong = (float((result - whole).abs().max()) for result in (pooled, alone))
    print(f"left half twice as bright: {exact:.1e} from untiled, with each tile's own {wrong:.1e}; {run.statistics.passes} passes")
    assert exact <= 1e-4 and wrong > 1e-2
    assert run.statistics.layers == ("instance_norm", "adaptive_avg_pool2d")


@pytest.mark.parametrize("name", LAYERS)
def test_every_way_to_write_it(name):
    function, called = LAYERS[name]
    network, picture = Net(Call(function)), half_bright(seed=4)
    whole = untiled(network, picture)
    pooled, run = tiled(network, picture, True)
    alone, _ = tiled(network, picture, False)
    exact, wrong = (float((result - whole).abs().max()) for result in (pooled, alone))
    print(f"{name}: {exact:.1e}, per tile {wrong:.1e}, called {run.statistics.layers}")
    assert called in run.statistics.layers
    assert exact <= 2e-5 < 1e-3 < wrong


def picture_in_tiles(network, picture, tile, whole_image=True, overlap=40, trim=18, lattice=2, **options):
    layout = TileLayout.grid(picture.shape[1], picture.shape[2], *tile, overlap, lattice)
    run = TiledRun(network, layout, Channels(3, 3, 3), 2, trim, overlap=overlap, whole_image=whole_image, multiple_of=lattice, **options)
    return run(picture), run


@pytest.mark.parametrize("tile", [(80, 80), (64, 96), (96, 48), (48, 48), (44, 60)], ids=lambda tile: f"{tile[1]} x {tile[0]}")
def test_networks_that_pad_inside_and_convolve_without_padding(tile):
    # As many tiles of every size as it takes to have some in the middle.
    height, width = (106, 136) if max(tile) > 60 else (74, 98)
    network, picture = CascadedUNets(), half_bright(height, width, seed=5)
    whole = untiled(network, picture)
    pooled, run = picture_in_tiles(network, picture, tile)
    alone, _ = picture_in_tiles(network, picture, tile, False)
    exact, wrong = (float((result - whole).abs().max()) for result in (pooled, alone))
    print(f"cascaded U-Nets, tiles of {tile[1]} x {tile[0]}: {exact:.1e} from untiled, with each tile's own {wrong:.1e}")
    assert run.statistics.layers == ("mean",) * 4 and not run.statistics.unpooled
    assert exact <= 1e-4 and wrong > 1e-2


@pytest.mark.parametrize("size", [(117, 151), (118, 151)], ids=lambda size: f"{size[1]} x {size[0]}")
def test_what_such_a_network_pads_beyond_the_end_of_the_picture_counts(size):
    network, picture = CascadedUNets(), half_bright(*size, seed=5)
    _, run = picture_in_tiles(network, picture, (64, 80))
    counts = [site.planes[0].count for site in run.statistics._known]
    rows, columns = (side + side % 2 for side in size)
    assert counts == [(rows * a + b) * (columns * a + b) for a, b in ((0.5, 12), (1, 14), (0.5, 3), (1, 2))]


def test_such_a_network_in_smaller_pieces():
    network, picture = CascadedUNets(), half_bright(118, 152, seed=5)

    def tight(batch):
        if batch.shape[2] * batch.shape[3] > 70 * 70:
            raise OutOfMemoryError("fake")
        return network(batch)

    def smaller(plan):
        return replace(plan, tile_height=plan.tile_height - 16, tile_width=plan.tile_width - 16)

    pooled, run = picture_in_tiles(tight, picture, (90, 110), smaller=smaller, tile_batch=1)
    exact = float((pooled - untiled(network, picture)).abs().max())
    print(f"in pieces of {run.plan.tile_width} x {run.plan.tile_height}: {exact:.1e} from untiled")
    assert exact <= 1e-4 and run.plan.tile_height < 90


def test_what_is_local_is_left_alone():
    for layer in (
        torch.nn.BatchNorm2d(8),
        Call(lambda x: F.layer_norm(x.movedim(1, -1), (8,)).movedim(-1, 1)),
        Call(lambda x: x - x.mean(1, keepdim=True)),
        Call(lambda x: x * torch.max(x, torch.zeros_like(x)).max(1, keepdim=True)[0] / x.norm(dim=1, keepdim=True)),
        Call(lambda x: x * (1 + torch.nn.Parameter(torch.ones(1, 8, 3, 3), False).mean())),
    ):
        network = Net(layer)
        pooled, run = tiled(network, half_bright(), True)
        assert run.statistics.layers == () and run.statistics.passes == 1
        assert float((pooled - untiled(network, half_bright())).abs().max()) <= 1e-5


def test_many_layers_in_a_row_settle_before_each_has_had_its_pass():
    network, picture = Net(*[Residual() for _ in range(16)]), half_bright(160, 256, seed=2)
    for conv in network.between:
        conv.weight *= 0.4  # or every layer would multiply rounding by three
    pooled, run = tiled(network, picture, True, 96, 48, 19)
    exact = float((pooled - untiled(network, picture)).abs().max())
    print(f"16 layers: {run.statistics.passes} passes, {exact:.1e} from untiled")
    assert exact <= 1e-4 and run.statistics.passes < 10


def test_batches_of_tiles_and_of_pictures():
    network = Net()
    pictures = torch.cat((half_bright(), half_bright(seed=9).flip(2)))
    whole = torch.cat([untiled(network, picture[None]) for picture in pictures])
    for tile_batch in (1, 4):
        pooled, _ = tiled(network, pictures, True, tile_batch=tile_batch)
        assert float((pooled - whole).abs().max()) <= 1e-4


def test_what_reduces_its_batch_goes_one_by_one_where_pictures_differ():
    network, picture = Net(Call(lambda x: 3 * (x - x.mean()))), half_bright(seed=4)
    picture = torch.cat((picture, 0.3 + 0.7 * torch.rand(1, 96, 160, 1, generator=torch.Generator().manual_seed(6))), 3)
    layout = TileLayout.grid(96, 160, 48, 48, 24, 8)
    results = [TiledRun(network, layout, Channels(4, 3, 3), 2, 6, batch, whole_image=True)(picture) for batch in (1, 4)]
    apart = float((results[0] - results[1]).abs().max())
    print(f"colour and alpha through a mean of everything, alone and together: {apart:.1e} apart")
    assert apart <= 1e-5


def test_the_model_is_as_it_was_after_an_error_too():
    network = Net(torch.nn.BatchNorm2d(8), torch.nn.InstanceNorm2d(8))
    network.middle[0].train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "num_batches" not in name}
    picture = half_bright()

    class Cancelled(BaseException):
        pass

    def cancel(done, total):
        if done > 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        tiled(network, picture, True, watch=cancel)
    tiled(network, picture, True)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    hooks = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules()]
    assert not any(hooks) and torch.overrides._get_current_function_mode_stack() == []


def test_attention_is_named_and_not_pooled():
    def attend(x):
        tokens = x.flatten(2).transpose(1, 2)[:, None]
        return x + F.scaled_dot_product_attention(tokens, tokens, tokens)[:, 0].transpose(1, 2).view_as(x)

    _, run = tiled(Net(Call(attend)), half_bright(48, 64), True, 32, 16, 4)
    assert run.statistics.unpooled == ("attention over the whole tile",)


def test_different_ways_for_different_tiles_are_refused():
    def fickle(x):
        return F.instance_norm(x) if float(x.mean()) > 0 else x.mean((2, 3), keepdim=True) * x

    network = Net(Call(fickle))
    network.head.weight.zero_()
    network.head.weight[:, :, 1, 1] = 1.0
    network.head.bias.fill_(-1.6)
    with pytest.raises(ValueError, match="use statistics = tile"):
        tiled(network, half_bright(), True)


@pytest.mark.parametrize("size", [(96, 160, 48, 24, 8), (100, 77, 40, 11, 4), (37, 500, 64, 1, 1), (64, 64, 64, 8, 8)])
def test_cores_fill_the_picture_once(size):
    height, width, tile, overlap, lattice = size
    layout = TileLayout.grid(height, width, tile, tile, overlap, lattice)
    count = torch.zeros(height, width)
    for rect, core in zip(layout.tiles, cores(layout), strict=True):
        assert core.y >= 0 and core.x >= 0 and core.y + core.height <= tile and core.x + core.width <= tile
        count[rect.y + core.y : rect.y + core.y + core.height, rect.x + core.x : rect.x + core.x + core.width] += 1
    assert bool((count == 1).all())


def test_statistics_settle_at_once_where_there_are_none():
    statistics = WholeImageStatistics()
    with statistics.pass_over():
        pass
    assert statistics.settled and statistics.layers == ()
