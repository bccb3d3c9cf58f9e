"""Tiles that fit the memory."""

import random

import pytest
from tilework.blending.layout.captions import in_words
from tilework.blending.layout.grid import covers, plan_axis
from tilework.blending.layout.tile_layout import TileLayout
from tilework.blending.networks.back_off import BackOff
from tilework.blending.networks.memory_fit import MemoryFit
from tilework.blending.networks.tile_plan import TilePlan, plan_tiles

GB = 1024**3
CARDS = (2, 6, 12, 24)
# A network of 64 channels in float32 that holds ten such planes at once, over 100 MB that are always there.
MODEL = MemoryFit(100 * 1024**2, 10 * 64 * 4)


def computed(width, height, tile_width, tile_height, overlap, multiple_of):
    plan = TileLayout.grid(height, width, tile_height, tile_width, overlap, multiple_of)
    return len(plan), len(plan) * tile_width * tile_height


@pytest.mark.parametrize(("width", "height"), [(8192, 8192), (15000, 5003), (4001, 9999)])
def test_more_memory_never_means_smaller_tiles_or_more_pixels(width, height):
    plans = [plan_tiles(width, height, MODEL, card * GB, overlap=64) for card in CARDS]
    for card, plan in zip(CARDS, plans, strict=True):
        needed = MODEL.needs(plan.tile_width, plan.tile_height, plan.tile_batch)
        tiles, pixels = computed(width, height, plan.tile_width, plan.tile_height, 64, 8)
        print(
            f"{card} GB: {plan.tile_width} x {plan.tile_height}, {tiles} tiles, {in_words(needed)}, {pixels / width / height:.3f} x the pixels"
        )
        assert plan.tile_width % 8 == plan.tile_height % 8 == 0
        assert needed * 1.1 <= card * GB
        chosen = [one for one in plan.candidates if one.chosen]
        assert [(one.size, one.tiles, one.pixels, one.bytes, one.fits) for one in chosen] == [
            ((plan.tile_width, plan.tile_height), tiles, pixels, needed, True)
        ]
    areas = [plan.tile_width * plan.tile_height for plan in plans]
    waste = [computed(width, height, plan.tile_width, plan.tile_height, 64, 8)[1] for plan in plans]
    assert areas == sorted(areas) and areas[0] < areas[-1]
    assert waste == sorted(waste, reverse=True)


def test_a_picture_that_fits_is_one_tile_and_the_margin_decides():
    needed = MODEL.needs(2000, 1504)
    whole = plan_tiles(2000, 1500, MODEL, needed * 1.1, overlap=64)
    assert (whole.tile_width, whole.tile_height) == (2000, 1504)
    less = plan_tiles(2000, 1500, MODEL, needed * 1.1 - 1, overlap=64)
    assert (less.tile_width, less.tile_height) != (2000, 1504)
    assert not less.candidates[0].fits and less.candidates[0].size == (2000, 1504) and less.candidates[0].tiles == 1
    assert plan_tiles(2000, 1500, MODEL, needed, overlap=64, margin=0).tile_width == 2000
    # A picture smaller than the smallest tile is one tile, too.
    assert plan_tiles(20, 30, MODEL, GB, smallest=64) == plan_tiles(64, 64, MODEL, GB, smallest=64)


def brute_force(width, height, fit, room, overlap, multiple_of, smallest, largest):
    """Fewest (pixels, tiles) over every tile on the lattice that fits, each laid out as the grid does it."""
    sides = [side for side in range(multiple_of, largest + 1, multiple_of) if side >= smallest and side - overlap >= multiple_of]
    counts = {axis: {side: len(plan_axis(axis, side, overlap, multiple_of)) for side in sides} for axis in (width, height)}
    found = [
        (counts[width][w] * counts[height][h] * w * h, counts[width][w] * counts[height][h])
        for w in sides
        for h in sides
        if fit.needs(w, h) <= room
    ]
    return min(found, default=None)


def test_the_choice_is_the_optimum_that_brute_force_finds():
    generator = random.Random(3)
    refused = 0
    for _ in range(300):
        width, height = generator.randint(1, 900), generator.randint(1, 900)
        multiple_of = generator.choice([1, 8, 16, 24, 64]) if width * height < 40_000 else generator.choice([8, 16, 24, 64])
        overlap = generator.choice([0, 1, 8, 30, 64])
        smallest = generator.choice([1, 32, 64])
        largest = generator.choice([128, 256, 904, 1024])
        model = MemoryFit(generator.choice([0.0, 5000.0]), generator.choice([1.0, 2.5]))
        free = generator.choice([4_000, 20_000, 100_000, 10_000_000]) * 1.0
        limit = min(largest, -(-max(width, height, smallest, overlap + multiple_of) // multiple_of) * multiple_of + multiple_of)
        best = brute_force(width, height, model, free / 1.1, overlap, multiple_of, smallest, limit)
        asked = dict(overlap=overlap, multiple_of=multiple_of, smallest=smallest, largest=largest)
        if best is None:
            refused += 1
            with pytest.raises(ValueError, match=r"not even a tile|leave no room"):
                plan_tiles(width, height, model, free, **asked)
            continue
        plan = plan_tiles(width, height, model, free, **asked)
        tiles, pixels = computed(width, height, plan.tile_width, plan.tile_height, overlap, multiple_of)
        assert (pixels, tiles) == best, (width, height, asked)
        assert smallest <= min(plan.tile_width, plan.tile_height) and max(plan.tile_width, plan.tile_height) <= largest
    assert 10 < refused < 150


def test_covers_are_what_the_grid_lays_out_and_no_shorter_tile_does():
    for size, overlap, step in ((1000, 64, 8), (999, 0, 1), (8192, 128, 64), (100_000, 8, 8)):
        for cover in covers(size, overlap, step, 2 * step if overlap == 0 else overlap + step, -(-size // step) * step):
            assert len(plan_axis(size, cover.tile, overlap, step)) == cover.count
            if cover.tile - step > overlap:
                assert len(plan_axis(size, cover.tile - step, overlap, step)) > cover.count


def test_tiles_go_through_together_where_there_is_room_and_calls_are_evenly_full():
    model = MemoryFit(0.0, 1.0)
    plan = plan_tiles(1024, 1024, model, 256 * 256 * 5 * 1.1, margin=0.1, largest=256, most_batch=64)
    assert (plan.tile_width, plan.tile_height, plan.tile_batch) == (256, 256, 4)
    assert plan_tiles(1024, 1024, model, 256 * 256 * 5 * 1.1, largest=256).tile_batch == 1
    assert plan_tiles(1024, 1024, model, 1e12, largest=256, most_batch=64).tile_batch == 16


def test_what_does_not_fit_says_what_is_free_what_is_needed_and_what_to_do():
    with pytest.raises(
        ValueError, match=r"not even a tile of 64 x 64 px fits: it needs 110 MB and a margin of 10%, and 50 MB are free. Close"
    ):
        plan_tiles(4096, 4096, MODEL, 50 * 1024**2)
    with pytest.raises(ValueError, match="leave no room above the smallest of 264 px"):
        plan_tiles(4096, 4096, MODEL, GB, overlap=256, largest=128)
    for name, value in (("width", 0), ("height", 1 << 21), ("overlap", -1), ("multiple_of", 0), ("smallest", 0), ("most_batch", 0)):
        asked = {"width": 512, "height": 512, name: value}
        with pytest.raises(ValueError, match=name):
            plan_tiles(asked.pop("width"), asked.pop("height"), MODEL, GB, **asked)
    with pytest.raises(ValueError, match="margin"):
        plan_tiles(512, 512, MODEL, GB, margin=-0.5)


def test_backing_off_shrinks_on_the_lattice_five_times_and_then_says_what_to_do():
    plan, back_off = TilePlan(1024, 768, 64, 1), BackOff(multiple_of=8)
    seen = []
    for expected in range(1, 6):
        plan = back_off.next(plan)
        seen.append((plan.tile_width, plan.tile_height))
        assert back_off.count == expected
    assert seen == [(768, 576), (576, 432), (432, 320), (320, 240), (240, 176)]
    with pytest.raises(RuntimeError, match=r"out of memory with tiles of 240 x 176 px, after making them smaller 5 times. Close other"):
        back_off.next(plan)
    assert back_off.count == 5


def test_backing_off_takes_fewer_at_once_first_and_stops_at_the_overlap():
    back_off = BackOff(multiple_of=32, smallest=64)
    plan = back_off.next(TilePlan(256, 256, 128, 4))
    assert (plan.tile_width, plan.tile_batch, back_off.count) == (256, 1, 1)
    plan = back_off.next(plan)
    assert (plan.tile_width, plan.tile_height) == (192, 192)
    plan = back_off.next(plan)
    assert (plan.tile_width, plan.tile_height) == (160, 160)
    with pytest.raises(RuntimeError, match="with an overlap of 128 px they cannot be smaller"):
        back_off.next(plan)


@pytest.mark.parametrize("overlap", [65, 100, 127])
def test_every_size_backed_off_to_can_be_laid_out(overlap):
    plan, back_off = TilePlan(256, 256, overlap, 1), BackOff(multiple_of=32, smallest=32)
    with pytest.raises(RuntimeError, match="cannot be smaller"):
        while True:
            plan = back_off.next(plan)
            TileLayout.grid(1000, 1000, plan.tile_height, plan.tile_width, overlap, 32)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KB"), (50 * 1024**2, "50 MB"), (1.6 * GB, "1.6 GB"), (3000 * GB, "3000 GB")],
)
def test_bytes_in_words(size, words):
    assert in_words(size) == words


@pytest.mark.parametrize("inputs", [(), ("overlap",), ("margin",), ("overlap", "margin")])
@pytest.mark.parametrize(("free", "asked"), [(50 * 1024**2, {}), (GB, {"overlap": 256, "largest": 128})])
def test_a_refusal_names_no_input_that_the_user_does_not_have(inputs, free, asked):
    with pytest.raises(ValueError, match=r"not even a tile|leave no room") as caught:
        plan_tiles(4096, 4096, MODEL, free, inputs=inputs, **asked)
    advice = str(caught.value).replace("a margin of 10%", "").replace("an overlap of 256", "")
    print(advice)
    for name in ("overlap", "margin"):
        assert name in inputs or name not in advice
    assert "multiple_of" not in advice
