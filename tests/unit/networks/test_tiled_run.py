"""A network over a large picture: exact, in batches, with alpha, and when the memory runs out."""

import pytest
import torch
from tilework.blending import TileLayout
from tilework.blending.layout.pieces import snug_grid
from tilework.blending.networks.back_off import BackOff
from tilework.blending.networks.channels import Channels
from tilework.blending.networks.tiled_run import OutOfMemoryError, TiledRun
from tilework.blending.pixels.hidden_color import without_hidden
from tilework.blending.whole_picture.one_at_a_time import OneAtATimeError
from tilework.tests.pack.convolution import ConvolutionStack

RADIUS = 4


class Upscaler:
    """A x2 network of known radius; counts its runs, and has room for so many pixels at once."""

    def __init__(self, channels=3, gives=None, room=None, radius=RADIUS):
        self.gives = gives or channels
        self.network = ConvolutionStack(channels, 4 * self.gives, radius, seed=5)
        self.room, self.runs, self.shapes = room, 0, []

    def __call__(self, batch):
        if self.room is not None and batch.shape[0] * batch.shape[2] * batch.shape[3] > self.room:
            raise OutOfMemoryError("no room")
        self.runs += 1
        self.shapes.append(tuple(batch.shape))
        return torch.nn.functional.pixel_shuffle(0.5 + 0.5 * self.network(2 * batch - 1), 2)


def picture(height=192, width=264, channels=3, batch=1, seed=1):
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(seed))


def untiled(network, image):
    return torch.cat([network(one[None].movedim(-1, 1)).movedim(1, -1) for one in image])


def run(network, image, tile=96, overlap=32, trim=RADIUS, **options):
    layout = TileLayout.grid(image.shape[1], image.shape[2], tile, tile, overlap, 8, image.shape[0])
    takes = network.network.layers[0].in_channels
    made = TiledRun(network, layout, Channels(image.shape[3], takes, network.gives), 2, trim, overlap=overlap, multiple_of=8, **options)
    return made(image), made


def test_with_the_radius_trimmed_tiled_equals_untiled():
    network, image = Upscaler(), picture(batch=2)
    before = image.clone()
    came, _ = run(network, image)
    exact = float((came - untiled(network, image)).abs().max())
    wrong = float((run(network, image, trim=0)[0] - untiled(network, image)).abs().max())
    print(f"largest error {exact:.1e} with trim {RADIUS}, {wrong:.1e} with trim 0")
    assert exact <= 1e-5 < wrong and torch.equal(image, before)


@pytest.mark.parametrize("tile_batch", [2, 5])
def test_batches_of_tiles_give_the_same(tile_batch):
    network, image = Upscaler(), picture()
    came, made = run(network, image, tile_batch=tile_batch)
    assert float((came - untiled(network, image)).abs().max()) <= 1e-5
    assert max(shape[0] for shape in network.shapes) == tile_batch and made.plan.tile_batch == tile_batch


def test_a_picture_smaller_than_a_tile():
    network, image = Upscaler(), picture(24, 40)
    came, _ = run(network, image, tile=64)
    assert came.shape == (1, 48, 80, 3)
    assert float((came - untiled(network, image)).abs()[:, : 48 - 2 * RADIUS, : 80 - 2 * RADIUS].max()) <= 1e-5


@pytest.mark.parametrize("after", [0, 5])
def test_out_of_memory_is_made_up_for_with_pieces_and_shows_nowhere(after):
    network, image = Upscaler(), picture()
    whole = untiled(network, image)
    network.runs, network.shapes = 0, []
    seen = []

    def shrink(done, total):
        if done >= after:
            network.room = 60 * 60
        seen.append(done)

    came, made = run(network, image, smaller=BackOff(8, 32).next, watch=shrink, tile_batch=2)
    exact = float((came - whole).abs().max())
    print(f"memory gone after {after} tiles: now {made.plan.tile_width} px, {network.runs} runs, error {exact:.1e}")
    assert exact <= 1e-5 and made.plan.tile_width < 96 and made.plan.tile_batch == 1
    done = [shape for shape in network.shapes if shape[2:] == (96, 96)]
    assert sum(shape[0] for shape in done) == after + after % 2, "tiles that were done are not done again"
    assert seen == sorted(seen)


def test_out_of_memory_with_statistics_of_the_image():
    from tilework.tests.unit.whole_picture.test_whole_image import Net, half_bright

    network, image = Net(), half_bright(144, 160)
    whole = network(image.movedim(-1, 1)).movedim(1, -1)
    calls = []

    def tight(batch):
        calls.append(batch.shape)
        if len(calls) > 3 and batch.shape[2] > 64:
            raise OutOfMemoryError
        return network(batch)

    layout = TileLayout.grid(144, 160, 96, 96, 32, 8)
    made = TiledRun(tight, layout, Channels(3, 3, 3), 2, 6, multiple_of=8, smaller=BackOff(8, 40).next, whole_image=True)
    exact = float((made(image) - whole).abs().max())
    print(f"statistics of the image, memory gone in the first pass: {exact:.1e}")
    assert exact <= 1e-4 and made.plan.tile_width < 96


@pytest.mark.parametrize("whole_image", [False, True])
def test_one_tile_over_everything_that_does_not_fit_after_all(whole_image):
    from tilework.tests.unit.whole_picture.test_whole_image import Net, half_bright

    network, image = Net() if whole_image else Upscaler(), half_bright(144, 160)
    whole = network(image.movedim(-1, 1)).movedim(1, -1)

    def tight(batch):
        if batch.shape[2] > 96:
            raise OutOfMemoryError
        return network(batch)

    layout = TileLayout.grid(144, 160, 144, 160, 8, 8)
    made = TiledRun(tight, layout, Channels(3, 3, 3), 2, 6, overlap=32, multiple_of=8, smaller=BackOff(8, 40).next, whole_image=whole_image)
    exact = float((made(image) - whole).abs().max())
    assert exact <= 1e-5 and made.plan.tile_width < 160 and (made.statistics is not None) == whole_image


def test_it_gives_up_in_words_after_five_times():
    network, image = Upscaler(room=0), picture()
    back_off = BackOff(8, 8)
    with pytest.raises(RuntimeError, match="out of memory with tiles of"):
        run(network, image, smaller=back_off.next, tile=192, overlap=9)
    assert back_off.count == 5
    with pytest.raises(OutOfMemoryError):
        run(network, image)


def cut_out(height=160, width=200, seed=2):
    """RGBA: an opaque disc with a soft rim, the colour under the rest being `hidden`."""
    image = picture(height, width, 4, seed=seed)
    y, x = torch.meshgrid(torch.arange(height) - 70.0, torch.arange(width) - 80.0, indexing="ij")
    image[..., 3] = ((50 - (x * x + y * y).sqrt()) / 3).clamp(0, 1)
    return image


def test_hidden_colour_does_not_bleed_and_alpha_stays_whole():
    network, image = Upscaler(), cut_out()
    other = image.clone()
    other[..., :3] = torch.where(other[..., 3:] == 0, torch.tensor([0.0, 1.0, 0.0]), other[..., :3])
    broken = image.clone()
    broken[0, 0, 0] = torch.tensor([float("nan"), float("inf"), 0.0, 0.0])
    came, green, mended = (run(network, one)[0] for one in (image, other, broken))
    seen = came[..., 3] >= 1 / 1024
    assert came.shape == (1, 320, 400, 4)
    assert float((came - green).abs()[..., :3][seen].max()) == 0 and torch.equal(came[..., 3], green[..., 3])
    assert torch.equal(came[seen], mended[seen])
    twice = image[..., 3].repeat_interleave(2, 1).repeat_interleave(2, 2)
    opaque = -torch.nn.functional.max_pool2d(-twice, 5, 1, 2) == 1
    clear = torch.nn.functional.max_pool2d(twice, 5, 1, 2) == 0
    assert bool((came[..., 3][opaque] == 1).all()) and bool((came[..., 3][clear] == 0).all())
    # Far inside, where no transparency is in reach, the colour is that of the picture without alpha.
    inside = -torch.nn.functional.max_pool2d(-twice, 33, 1, 16) == 1
    assert float((came[..., :3] - untiled(network, image[..., :3]))[inside].abs().max()) <= 1e-5
    # And what nobody sees is still there.
    hidden = torch.nn.functional.max_pool2d(twice, 9, 1, 4) == 0
    plain = torch.nn.functional.interpolate(image[..., :3].movedim(-1, 1), scale_factor=2, mode="bilinear").movedim(1, -1)
    assert float((came[..., :3] - plain)[hidden].abs().max()) <= 1e-6


def test_tiles_of_one_alpha_cost_no_more_than_they_must():
    network, image = Upscaler(), cut_out(96, 320)
    image[..., 3] = 0
    image[:, :, :40, 3] = 1
    run(network, image)
    tiles = len(TileLayout.grid(96, 320, 96, 96, 32, 8))
    assert network.runs < tiles
    image[..., 3] = 1
    network.runs = 0
    came, _ = run(network, image)
    assert network.runs == tiles and bool((came[..., 3] == 1).all())


def test_glass_keeps_its_colour():
    """Half-transparent all over: nothing is hidden, so nothing is filled up."""
    image = cut_out()[0]
    image[..., 3] = 0.4
    assert torch.equal(without_hidden(image, torch.zeros(3)), image[..., :3])


@pytest.mark.parametrize(
    ("channels", "takes", "gives", "result"),
    [
        (1, 1, 1, 1),
        (1, 3, 3, 1),
        (1, 1, 3, 3),
        (1, 4, 4, 1),
        (3, 1, 1, 3),
        (3, 4, 4, 3),
        (3, 3, 1, 1),
        (4, 4, 4, 4),
        (4, 1, 1, 4),
        (4, 3, 3, 4),
    ],
)
def test_pictures_and_networks_of_any_channels(channels, takes, gives, result):
    network = Upscaler(takes, gives)
    came, made = run(network, picture(104, 120, channels))
    assert came.shape == (1, 208, 240, result) == (1, 208, 240, made.channels.result) and bool(torch.isfinite(came).all())


@pytest.mark.parametrize("bad", [(3, 1, 3), (4, 3, 1), (2, 3, 3), (3, 6, 3)])
def test_channels_that_do_not_go_together_are_refused(bad):
    with pytest.raises(ValueError, match=r"channels|grey"):
        Channels(*bad)


def test_nan_is_named_with_its_tile():
    image = picture()
    image[0, 100, 200, 1] = float("nan")
    with pytest.raises(ValueError, match=r"tile 6 has NaN in it as it goes into the model"):
        run(Upscaler(), image)
    network = Upscaler()

    def overflows(batch):
        came = network(batch)
        return came * float("inf") if network.runs == 8 else came

    layout = TileLayout.grid(192, 264, 96, 96, 32, 8)
    with pytest.raises(ValueError, match=r"tile 7 has Inf in it as it came out of the model .*fp32 or bf16"):
        TiledRun(overflows, layout, Channels(3, 3, 3), 2)(picture())


def test_a_model_of_another_scale_is_refused():
    with pytest.raises(ValueError, match="192 x 192 with 3 channels of a tile of 96 x 96, and 384 x 384 with 3 channels"):
        layout = TileLayout.grid(192, 264, 96, 96, 32, 8)
        TiledRun(Upscaler(), layout, Channels(3, 3, 3), 4)(picture())


def test_a_snug_grid_has_as_many_tiles_and_fewer_pixels():
    plain, snug = TileLayout.grid(4096, 4096, 512, 512, 32, 8), snug_grid(4096, 4096, 512, 512, 32, 8)
    assert len(plain) == len(snug) == 81 and snug.tile_size == (488, 488)
    assert all(axis.overlap >= 32 for axis in snug.axes)
    for height, width, tile, overlap, lattice in (
        (1000, 77, 100, 7, 4),
        (513, 512, 512, 0, 8),
        (100, 100, 512, 32, 8),
        (333, 1000, 90, 30, 1),
    ):
        plain, snug = TileLayout.grid(height, width, tile, tile, overlap, lattice), snug_grid(height, width, tile, tile, overlap, lattice)
        assert len(snug) <= len(plain) and all(a <= b for a, b in zip(snug.tile_size, plain.tile_size, strict=True))


def test_statistics_of_the_image_with_alpha_are_those_of_the_colour_that_is_seen():
    from tilework.tests.unit.whole_picture.test_whole_image import Net, half_bright

    image = half_bright()
    opaque = torch.cat((image, torch.ones_like(image[..., :1])), -1)
    results = []
    for picture_of in (image, opaque):
        layout = TileLayout.grid(96, 160, 48, 48, 24, 8)
        run_of = TiledRun(Net(), layout, Channels(picture_of.shape[3], 3, 3), 2, 6, whole_image=True)
        results.append(run_of(picture_of))
    assert float((results[0] - results[1][..., :3]).abs().max()) <= 1e-6 and bool((results[1][..., 3] == 1).all())


class OneOnly(Upscaler):
    """Takes one tile at a time; `quietly`: makes one picture of several instead of an error."""

    def __init__(self, quietly):
        super().__init__()
        self.quietly, self.failed = quietly, 0

    def __call__(self, batch):
        self.failed += len(batch) > 1
        if len(batch) > 1 and not self.quietly:
            raise OneAtATimeError("tensor a must match tensor b")
        return super().__call__(batch[:1])


@pytest.mark.parametrize("quietly", [False, True])
def test_a_network_that_takes_one_tile_at_a_time_is_given_one(quietly):
    network, image = OneOnly(quietly), picture(batch=2)
    came, made = run(network, image, tile_batch=4)
    assert float((came - untiled(network, image)).abs().max()) <= 1e-5
    assert network.failed == 1 and made.one_at_a_time and made.plan.tile_batch == 1


def test_progress_stays_within_its_maximum_when_one_tile_must_be_cut_and_pooled():
    from tilework.tests.unit.whole_picture.test_whole_image import Net, half_bright

    network, image, seen = Net(), torch.cat([half_bright(144, 160, seed) for seed in (0, 1)]), []

    def tight(batch):
        if batch.shape[2] > 96:
            raise OutOfMemoryError
        return network(batch)

    layout = TileLayout.grid(144, 160, 144, 160, 8, 8, 2)
    TiledRun(
        tight, layout, Channels(3, 3, 3), 2, 6, overlap=32, multiple_of=8, smaller=BackOff(8, 40).next, whole_image=True,
        watch=lambda done, total: seen.append((done, total)),
    )(image)  # fmt: skip
    print(seen)
    assert all(done <= total for done, total in seen) and seen[-1][0] == seen[-1][1]


@pytest.mark.parametrize("size", [(96, 96), (90, 70), (192, 264)])
def test_a_network_that_works_in_place_leaves_the_picture_alone(size):
    class InPlace(Upscaler):
        def __call__(self, batch):
            came = super().__call__(batch)
            batch.zero_()
            return came

    image = picture(*size)
    before = image.clone()
    run(InPlace(), image)
    assert torch.equal(image, before)


@pytest.mark.parametrize(("wrong", "words"), [(lambda x: x[0], r"shape \(3, 192, 192\)"), (lambda x: (x,), "a tuple")])
def test_what_is_no_picture_is_refused_in_words(wrong, words):
    class Wrong(Upscaler):
        def __call__(self, batch):
            return wrong(super().__call__(batch))

    with pytest.raises(ValueError, match=words):
        run(Wrong(), picture())
