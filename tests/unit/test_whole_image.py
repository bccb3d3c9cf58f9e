"""Statistics of the whole picture: tiled equals untiled in networks that look at all of it."""

import pytest
import torch
import torch.nn.functional as F
from tilework.blending import TileLayout
from tilework.blending.channels import Channels
from tilework.blending.pieces import cores
from tilework.blending.tiled_run import TiledRun
from tilework.blending.whole_image import WholeImageStatistics


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


LAYERS = {
    "group norm": (lambda x: F.group_norm(x, 4), "group_norm"),
    "instance norm, functional": (lambda x: F.instance_norm(x), "instance_norm"),
    "batch norm without stored statistics": (lambda x: F.batch_norm(x, None, None, training=True), "batch_norm"),
    "group norm of torch itself": (lambda x: torch.group_norm(x, 4), "group_norm"),
    "instance norm of torch itself": (
        lambda x: torch.instance_norm(x, None, None, None, None, True, 0.1, 1e-5, False),
        "instance_norm",
    ),
    "mean of both": (lambda x: x * 4 * x.mean((2, 3), keepdim=True), "mean"),
    "mean, numbers": (lambda x: x * 4 * torch.mean(x, [-1, -2])[..., None, None], "mean"),
    "mean in two steps": (lambda x: x * 4 * x.mean(3).mean(2)[..., None, None], "mean"),
    "sum in two steps over the size": (
        lambda x: x * 4 * x.sum(3, keepdim=True).sum(2, keepdim=True) / (x.shape[2] * x.shape[3]),
        "sum",
    ),
    "mean of the flattened map": (lambda x: x * 4 * x.flatten(2).mean(2)[..., None, None], "mean"),
    "contrast": (lambda x: x * (x.std((2, 3), keepdim=True) + x.var((2, 3), unbiased=False, keepdim=True)), "std"),
    "variance and mean": (lambda x: (x - (m := torch.var_mean(x, (2, 3), keepdim=True))[1]) * (m[0] + 0.01).rsqrt(), "var_mean"),
    "max": (lambda x: x * torch.sigmoid(F.adaptive_max_pool2d(x, 1)), "adaptive_max_pool2d"),
    "amax": (lambda x: x * torch.sigmoid(x.amax((2, 3), keepdim=True)), "max"),
    "pool at half size": (lambda x: x * 4 * F.adaptive_avg_pool2d(F.avg_pool2d(x, 2), 1), "adaptive_avg_pool2d"),
    "window as large as the map": (lambda x: x * 4 * F.avg_pool2d(x, x.shape[2:]), "avg_pool2d"),
    "norm, as in a global response norm": (
        lambda x: x * (g := x.norm(p=2, dim=(2, 3), keepdim=True)) / (g.mean(1, keepdim=True) + 1e-6),
        "norm",
    ),
    "norm of torch itself": (lambda x: x / (torch.norm(x, dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) ** 0.5 + 0.1), "norm"),
    "vector norm": (
        lambda x: x / (torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True) / (x.shape[2] * x.shape[3]) ** 0.5 + 0.1),
        "norm",
    ),
    "norm of the flattened map, channels last": (
        lambda x: x * (g := torch.linalg.norm(x.flatten(2).transpose(1, 2), dim=1)[..., None, None]) / g.mean(1, keepdim=True),
        "norm",
    ),
    "norm of everything": (lambda x: 2 * x / (x.norm() / x.numel() ** 0.5), "norm"),
    "mean of everything": (lambda x: 3 * (x - x.mean()), "mean"),
    "sum of everything over the size": (lambda x: 3 * (x - torch.sum(x) / x.numel()), "sum"),
    "contrast of everything": (lambda x: x / x.std() + x * x.var(False), "std"),
    "mean of all channels": (lambda x: 3 * (x - x.mean((1, 2, 3), keepdim=True)), "mean"),
    "mean of all channels, channels last": (lambda x: 3 * (x - x.movedim(1, -1).mean((1, 2, 3))[:, None, None, None]), "mean"),
    "max of everything": (lambda x: x / x.max(), "max"),
    "max with its place, flattened": (lambda x: x * torch.sigmoid(x.flatten(2).max(-1).values[..., None, None]), "max"),
    "max with its place, in two steps": (lambda x: x * torch.sigmoid(x.max(2)[0].max(2)[0][..., None, None]), "max"),
    "min with its place, in two steps": (lambda x: x * torch.sigmoid(x.min(3, keepdim=True)[0].min(2, keepdim=True)[0]), "min"),
    "layer norm over everything": (lambda x: F.layer_norm(x, x.shape[1:]), "layer_norm"),
    "layer norm over both directions": (lambda x: torch.layer_norm(x, x.shape[2:]), "layer_norm"),
    "channels last": (lambda x: x * 4 * x.movedim(1, -1).mean((1, 2))[..., None, None], "mean"),
}


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
