"""Tiled VAE Encode and Tiled VAE Decode on the running server."""

import json

import pytest
from tilework.tests.host.prompts import node, source
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import fetch

MODES = ["exact", "statistics", "fast"]


def vae(kind="kl"):
    return node("TileworkTestVAE", kind=kind)


def latent(width=40, height=24, channels=4, frames=0, batch=1, mask=""):
    return node(
        "TileworkTestLatent", width=width, height=height, batch=batch, channels=channels, frames=frames, seed=3,
        downscale_ratio=0, mask=mask, mask_batch=1,
    )  # fmt: skip


def decode(samples=("2", 0), mode="exact", tile=128, **more):
    inputs = {"mode": mode, "tile_width": tile, "tile_height": tile, "overlap": -1, **more}
    return node("TileworkTiledVAEDecode", samples=list(samples), vae=["1", 0], **inputs)


def encode(pixels=("2", 0), mode="exact", tile=128, **more):
    inputs = {"mode": mode, "tile_width": tile, "tile_height": tile, "overlap": -1, **more}
    return node("TileworkTiledVAEEncode", pixels=list(pixels), vae=["1", 0], **inputs)


def compare(a, b):
    return node("TileworkTestCompare", a=[a, 0], b=[b, 0])


def compare_latent(a, b):
    return node("TileworkTestCompareLatent", a=[a, 0], b=[b, 0])


def refused(run_prompt, prompt):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    print(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["kl", "taesd"])
def test_a_batch_with_a_mask_decodes_as_vae_decode_does(report, kind):
    prompt = {"1": vae(kind), "2": latent(batch=2, mask="8x"), "3": decode(), "4": node("VAEDecode", samples=["2", 0], vae=["1", 0])}
    (said,) = report({**prompt, "9": compare("3", "4")}, "9")
    assert said["shape_a"] == said["shape_b"] == [2, 192, 320, 3]
    assert said["max_abs"] < 1e-5 and said["dtype_a"] == "float32" and said["contiguous_a"]


def test_frames_in_the_batch_decode_as_vae_decode_does(report):
    prompt = {"1": vae("svd"), "2": latent(batch=4), "3": decode(tile=512), "4": node("VAEDecode", samples=["2", 0], vae=["1", 0])}
    (said,) = report({**prompt, "9": compare("3", "4")}, "9")
    assert said["shape_a"] == said["shape_b"] == [4, 192, 320, 3]
    assert said["max_abs"] < 1e-5


def test_a_narrow_picture_is_decoded_in_whole_tiles(report):
    prompt = {
        "1": vae("stranger"), "2": latent(width=116, height=12), "3": decode(tile=512),
        "4": node("VAEDecode", samples=["2", 0], vae=["1", 0]),
    }  # fmt: skip
    (said,) = report({**prompt, "9": compare("3", "4")}, "9")
    assert said["shape_a"] == said["shape_b"] == [1, 96, 928, 3]
    assert said["max_abs"] < 1e-2


@pytest.mark.parametrize("kind", ["kl", "taesd"])
def test_an_odd_picture_encodes_as_vae_encode_does(report, kind):
    picture = source(211, 149, batch=2, channels=4, kind="smooth")
    prompt = {"1": vae(kind), "2": picture, "3": encode(tile=64), "4": node("VAEEncode", pixels=["2", 0], vae=["1", 0])}
    (said,) = report({**prompt, "9": compare_latent("3", "4")}, "9")
    assert said["samples_shape_a"] == said["samples_shape_b"] == [2, 4, 18, 26]
    assert said["samples_max_abs"] < 1e-3 and said["samples_mean_abs"] < 1e-4
    assert said["keys_a"] == said["keys_b"]


def test_a_video_latent_decodes_to_frames(report):
    prompt = {
        "1": vae("wan"), "2": latent(channels=16, frames=2, width=16, height=10), "3": decode(tile=0),
        "4": node("VAEDecode", samples=["2", 0], vae=["1", 0]),
    }  # fmt: skip
    (said,) = report({**prompt, "9": compare("3", "4")}, "9")
    assert said["shape_a"] == said["shape_b"] == [5, 80, 128, 3]
    assert said["max_abs"] < 1e-5


@pytest.mark.parametrize(("kind", "channels", "ratio"), [("seedvr2", 16, 8), ("minimax h3", 24, 16)])
def test_a_vae_that_tiles_by_itself_is_left_to_do_so(server, run_prompt, kind, channels, ratio):
    prompt = {
        "1": vae(kind), "2": latent(channels=channels, frames=2, width=9, height=6),
        "3": decode(tile=0), "4": node("VAEDecode", samples=["2", 0], vae=["1", 0]), "5": compare("3", "4"),
        "12": source(9 * ratio, 6 * ratio, batch=5, kind="smooth"),
        "13": encode(("12", 0), tile=0), "14": node("VAEEncode", pixels=["12", 0], vae=["1", 0]), "15": compare_latent("13", "14"),
    }  # fmt: skip
    outputs = run_prompt(prompt)
    (pictures,), (latents,) = ([json.loads(text) for text in outputs[key]["text"]] for key in ("5", "15"))
    assert pictures["shape_a"] == pictures["shape_b"] == [5, 6 * ratio, 9 * ratio, 3] and pictures["max_abs"] < 1e-6
    assert latents["samples_shape_a"] == latents["samples_shape_b"] == [1, channels, 2, 6, 9] and latents["samples_max_abs"] < 1e-6
    for key in ("3", "13"):
        (picture,), (said,) = outputs[key]["images"], outputs[key]["text"]
        assert len(fetch(server.url, picture)) > 1000 and "tiles by itself" in said


def test_seedvr2_in_tiles_and_folded_is_the_hosts_own(report):
    core = {"tile_size": 64, "overlap": 16, "temporal_size": 64, "temporal_overlap": 8}
    prompt = {
        "1": vae("seedvr2"), "2": latent(channels=48, width=9, height=6),
        "3": decode(tile=64, overlap=16), "4": node("VAEDecodeTiled", samples=["2", 0], vae=["1", 0], **core),
        "9": compare("3", "4"),
    }  # fmt: skip
    (said,) = report(prompt, "9")
    assert said["shape_a"] == said["shape_b"] == [9, 48, 72, 3] and said["max_abs"] < 1e-6


def test_the_node_shows_the_grid_and_every_mode_runs(server, run_entry):
    prompt = {"1": vae(), "2": latent()}
    prompt |= {str(10 + i): decode(mode=mode) for i, mode in enumerate(MODES)}
    prompt |= {str(20 + i): encode((str(10 + i), 0), mode) for i, mode in enumerate(MODES)}
    prompt |= {str(30 + i): node("TileworkTestCompareLatent", a=[str(20 + i), 0], b=["2", 0]) for i in range(3)}
    outputs = run_entry(prompt)["outputs"]
    for key in (str(first + i) for first in (10, 20) for i in range(3)):
        (picture,), (said,) = outputs[key]["images"], outputs[key]["text"]
        assert len(fetch(server.url, picture)) > 1000
        assert "6 tiles of 128 x 128 (3 x 2)" in said


def test_planned_tiles_run(report):
    prompt = {"1": vae(), "2": latent(), "3": decode(tile=0), "4": node("VAEDecode", samples=["2", 0], vae=["1", 0])}
    (said,) = report({**prompt, "9": compare("3", "4")}, "9")
    assert said["max_abs"] < 1e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tile_width": 100}, "tile_width 100 is not a whole number of this VAE's latent cells of 8 px: use 96 or 104"),
        ({"tile_height": -8}, "tile_height -8 is not a tile size: use 0 to have it planned"),
        ({"overlap": -5}, "overlap -5 is negative: use -1 to take it from the VAE"),
        ({"mode": "sharp"}, "'sharp' not in ['exact', 'statistics', 'fast']"),
    ],
)
def test_what_cannot_be_reaches_the_user(run_prompt, change, words):
    prompt = {"1": vae(), "2": latent(), "3": decode(**change), "4": node("TileworkTestCount", images=["3", 0])}
    said = refused(run_prompt, prompt)
    assert "TileworkTiledVAEDecode" in said and words in said


def test_latents_gone_bad_and_of_other_models(run_prompt):
    prompt = {"1": vae(), "2": latent(batch=2), "5": node("TileworkTestPoisonLatent", samples=["2", 0]), "3": decode(("5", 0))}
    prompt["4"] = node("TileworkTestCount", images=["3", 0])
    assert "latent 1: NaN (4 values) in tile 5, the first at row 23, column 39" in refused(run_prompt, prompt)
    prompt = {"1": vae(), "2": latent(channels=16), "3": decode(), "4": node("TileworkTestCount", images=["3", 0])}
    assert "samples has 16 channels and this VAE takes 4" in refused(run_prompt, prompt)
