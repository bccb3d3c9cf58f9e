"""VAEs that tile by themselves, through both ways of tiling a VAE, inside the test's own process."""

import pytest
import tilework.tests.host.recording as recording
import torch
from tilework.models.vae.tiles import VAETiles
from tilework.models.vae.tiling import decode, encode
from tilework.tests.pack.vaes import SELF_TILING, tiny

CHANNELS = {"seedvr2": (16, 8), "minimax h3": (24, 16)}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=SELF_TILING)
def family(request):
    return request.param, tiny(request.param)


@pytest.fixture(scope="module")
def seedvr2():
    return tiny("seedvr2")


def latent(kind, height=6, width=9, frames=2):
    return recording.noise(1, CHANNELS[kind][0], frames, height, width, seed=4)


def frames(vae, height, width):
    return torch.rand(5, height, width, 3, generator=torch.Generator().manual_seed(1))


def same(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype
    assert float((a - b).abs().max()) < 1e-6


def test_one_tile_over_all_decodes_as_untiled(family):
    kind, vae = family
    wanted = vae.decode(latent(kind))
    image, outcome = decode(vae, latent(kind), VAETiles())
    same(image, wanted.reshape(-1, *wanted.shape[-3:]))
    ratio = CHANNELS[kind][1]
    assert image.shape == (5, 6 * ratio, 9 * ratio, 3) and outcome.layout.canvas == (6 * ratio, 9 * ratio)
    assert "tiles by itself" in outcome.lines[0] and outcome.grid == (1, 1), "the grid it takes is not known"


def test_one_tile_over_all_encodes_as_untiled(family):
    kind, vae = family
    ratio = CHANNELS[kind][1]
    picture = frames(vae, 4 * ratio, 5 * ratio)
    before = picture.clone()
    samples, outcome = encode(vae, picture, VAETiles())
    same(samples, vae.encode(picture))
    assert torch.equal(picture, before)
    assert samples.ndim == 5 and outcome.layout.canvas == (4 * ratio, 5 * ratio)


def test_tiles_are_those_that_the_host_is_asked_for(seedvr2):
    cells, picture, tiles = latent("seedvr2"), frames(seedvr2, 48, 72), VAETiles("exact", 64, 64, 16)
    wanted = seedvr2.decode_tiled(cells, tile_x=8, tile_y=8, overlap=2)
    assert float((wanted - seedvr2.decode(cells)).abs().max()) > 1e-3, "in tiles, this VAE is another"
    same(decode(seedvr2, cells, tiles)[0], wanted.reshape(-1, *wanted.shape[-3:]))
    same(encode(seedvr2, picture, tiles)[0], seedvr2.encode_tiled(picture, tile_x=64, tile_y=64, overlap=16))


def test_a_picture_of_no_whole_cells_is_encoded(seedvr2):
    picture = frames(seedvr2, 45, 70)[:1]
    same(encode(seedvr2, picture, VAETiles())[0], seedvr2.encode(picture))


@pytest.mark.parametrize("count", [1, 3])
def test_folded_frames_are_decoded_as_the_host_decodes_them(seedvr2, count):
    cells = latent("seedvr2", frames=count)
    folded = cells.reshape(1, -1, *cells.shape[-2:])
    wanted = seedvr2.decode(folded)
    same(wanted, seedvr2.decode(cells))
    same(decode(seedvr2, folded, VAETiles())[0], wanted.reshape(-1, *wanted.shape[-3:]))


def test_folded_frames_are_refused_where_the_host_decodes_none(family):
    kind, vae = family
    channels = CHANNELS[kind][0]
    odd = recording.noise(1, channels + 8, 6, 9)
    with pytest.raises(ValueError, match="samples has 4 dimensions and this VAE takes 5"):
        decode(vae, odd, VAETiles())
    if kind == "minimax h3":
        with pytest.raises(ValueError, match="samples has 4 dimensions and this VAE takes 5"):
            decode(vae, recording.noise(1, channels, 6, 9), VAETiles())
    with pytest.raises(ValueError, match=f"samples has 8 channels and this VAE takes {channels}"):
        decode(vae, recording.noise(1, 8, 2, 6, 9), VAETiles())


def test_a_vae_of_pictures_takes_no_folded_frames():
    with pytest.raises(ValueError, match="4 dimensions and this VAE takes 5"):
        decode(tiny("wan"), recording.noise(1, 32, 6, 9), VAETiles())


def test_out_of_memory_asks_for_smaller_tiles(seedvr2, monkeypatch):
    model, asked = seedvr2.first_stage_model, []
    run = model.decode_tiled

    def short(z, tile_x, tile_y, overlap):
        asked.append((tile_x, tile_y, overlap))
        if tile_x > 8:
            raise torch.cuda.OutOfMemoryError("faked: out of memory")
        return run(z, tile_x=tile_x, tile_y=tile_y, overlap=overlap)

    monkeypatch.setattr(model, "decode_tiled", short)
    image, outcome = decode(seedvr2, latent("seedvr2", 6, 12), VAETiles("exact", 96, 96, 16))
    assert image.shape == (5, 48, 96, 3)
    assert [one[0] for one in asked] == [12, 9, 8] and {one[2] for one in asked} == {2}
    assert f"memory ran out {len(asked) - 1} times" in outcome.lines[-1]

    monkeypatch.setattr(model, "decode_tiled", lambda z, **tiles: short(z, 99, 99, 0))
    with pytest.raises(RuntimeError, match="Close other programs that use the memory"):
        decode(seedvr2, latent("seedvr2"), VAETiles())


def test_sizes_that_cannot_be(seedvr2):
    cells = latent("seedvr2")
    with pytest.raises(ValueError, match="overlap 64 must be smaller than the tile of 64 px: use 32 or less"):
        decode(seedvr2, cells, VAETiles("exact", 64, 128, 64))
    with pytest.raises(ValueError, match="tile_width 100 is not a whole number of this VAE's latent cells of 8 px"):
        decode(seedvr2, cells, VAETiles("exact", 100))
    cells[0, 0, 1, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="samples has NaN in it"):
        decode(seedvr2, cells, VAETiles())
    image, outcome = decode(seedvr2, latent("seedvr2"), VAETiles("exact", overlap=600))
    assert image.shape == (5, 48, 72, 3) and "overlap 600 px" in outcome.lines[1], "tiles that are not typed have room for it"
