"""Latent Tile Split and Latent Seam Blend through the real server."""

import pytest
from tilework.tests.host.prompts import node
from tilework.tools.server.workflow import WorkflowError as HostRunError


def latent(width=61, height=90, batch=1, channels=4, frames=0, ratio=0, mask="", mask_batch=1, seed=3):
    return node(
        "TileworkTestLatent", width=width, height=height, batch=batch, channels=channels, frames=frames, seed=seed,
        downscale_ratio=ratio, mask=mask, mask_batch=mask_batch,
    )  # fmt: skip


def through(source, via=None, tile=256, overlap=64, downscale=0, method="hann", trim=0, multiple_of=8):
    prompt = {
        "1": source,
        "2": node(
            "TileworkLatentTileSplit", samples=["1", 0], tile_width=tile, tile_height=tile, overlap=overlap,
            multiple_of=multiple_of, downscale=downscale,
        ),
        "4": node("TileworkLatentSeamBlend", tiles=["2", 0], layout=["2", 1], method=method, trim=trim),
        "5": node("TileworkTestCompareLatent", a=["4", 0], b=["1", 0]),
    }  # fmt: skip
    if via is not None:
        prompt["3"] = via
        prompt["4"]["inputs"]["tiles"] = ["3", 0]
    return prompt


@pytest.mark.parametrize("channels", [4, 16, 128])
@pytest.mark.parametrize("frames", [0, 3])
@pytest.mark.parametrize("ratio", [0, 16])
def test_untouched_latents_come_back(report, channels, frames, ratio):
    (said,) = report(through(latent(channels=channels, frames=frames, ratio=ratio, batch=2 if not frames else 1), tile=512), "5")
    assert said["samples_shape_a"] == said["samples_shape_b"] and said["samples_max_abs"] <= 1e-6
    assert said["batch_index_equal"] and said["foreign_kept"]


@pytest.mark.parametrize(("mask", "exact"), [("1x", True), ("8x", True), ("77x100", False)])
@pytest.mark.parametrize(("batch", "mask_batch"), [(1, 1), (2, 1), (2, 2)])
def test_noise_masks_at_any_resolution(report, mask, exact, batch, mask_batch):
    (said,) = report(through(latent(batch=batch, mask=mask, mask_batch=mask_batch)), "5")
    assert said["mask_shape_a"] == said["mask_shape_b"], said
    if exact:
        assert said["mask_max_abs"] <= 1e-6
    assert said["samples_max_abs"] <= 1e-6


@pytest.mark.parametrize("size", [1, 3, 64])
def test_after_the_cores_rebatch(report, size):
    via = node("RebatchLatents", latents=["2", 0], batch_size=size)
    (said,) = report(through(latent(batch=2, mask="8x", mask_batch=2), via=via), "5")
    assert said["samples_max_abs"] <= 1e-6 and said["mask_max_abs"] <= 1e-6 and said["batch_index_equal"]


def test_the_ratio_comes_from_the_latent_then_the_widget_then_8(run_prompt):
    def shown(**options):
        source = latent(ratio=options.pop("ratio", 0))
        return run_prompt(through(source, **options))["2"]["text"][0]

    assert "8 image pixels per latent cell" in shown()
    assert "16 image pixels per latent cell" in shown(downscale=16)
    assert "32 image pixels per latent cell" in shown(ratio=32, downscale=16, tile=512)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tile": 250}, "tile_height 250 is not a whole number of latent cells of 8 px: use 248 or 256"),
        ({"trim": 12}, "trim 12 is not a whole number of latent cells of 8 image pixels: use 8 or 16"),
        ({"trim": 64}, "use a trim of"),
    ],
)
def test_refusals(run_prompt, options, words):
    with pytest.raises(HostRunError, match=words):
        run_prompt(through(latent(), **options))


def test_a_latent_is_cut_like_its_photograph_and_decoded_tiles_blend_as_pictures(run_prompt):
    prompt = {
        "1": node("TileworkTestImage", width=512, height=384, batch=1, channels=3, seed=1, kind="smooth"),
        "2": node("TileworkTileSplit", image=["1", 0], tile_width=256, tile_height=256, overlap=64, multiple_of=8),
        "3": latent(width=64, height=48),
        "6": node(
            "TileworkLatentTileSplit",
            samples=["3", 0],
            tile_width=64,
            tile_height=64,
            overlap=0,
            multiple_of=8,
            downscale=0,
            layout=["2", 1],
        ),
        "7": node("TileworkTestModel", kind="conv denoiser"),
        "8": node("VAEDecode", samples=["6", 0], vae=["7", 3]),
        "4": node("TileworkSeamBlend", tiles=["8", 0], layout=["6", 1], method="hann", trim=0, scale=0.0),
        "5": node("PreviewImage", images=["4", 0]),
    }
    text = run_prompt(prompt)["4"]["text"][0]
    assert "final size 512 x 384" in text and "scale 1 (from the tiles)" in text


def in_process(code):
    """Run `code` with the nodes at hand, in a process that has the host but no server."""
    import subprocess
    import sys
    from pathlib import Path

    from tilework.tools.setup.environment import find_host

    root = str(Path(__file__).resolve().parents[2])
    setup = f"""
import sys, tempfile
sys.path.insert(0, {str(find_host().comfy)!r}); sys.argv = ["x", "--cpu"]
import comfy.options; comfy.options.enable_args_parsing()
import importlib.util, torch, folder_paths
folder_paths.set_temp_directory(tempfile.mkdtemp())
spec = importlib.util.spec_from_file_location("tilework", {root!r} + "/__init__.py", submodule_search_locations=[{root!r}])
pack = importlib.util.module_from_spec(spec); sys.modules["tilework"] = pack; spec.loader.exec_module(pack)
from tilework.nodes.split import LatentTileSplit, TileSplit
from tilework.nodes.blend import LatentSeamBlend, SeamBlend
def split(**latent):
    return LatentTileSplit.execute(latent, 128, 128, 32, 8, 0).result
def refusal(**latent):
    try: split(**latent)
    except ValueError as error: return str(error)
z = torch.zeros
"""
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_odd_latents_are_refused_in_words():
    said = in_process(
        """
s = torch.rand(2, 4, 40, 40)
for latent in ({}, {"samples": z(1, 0, 9, 9)}, {"samples": z(1, 4, 0, 9, 9)}, {"samples": z(1, 1, 4096)},
        {"samples": s, "noise_mask": z(40)}, {"samples": s, "noise_mask": z(1, 0, 0)}, {"samples": s, "noise_mask": "mask"},
        {"samples": s, "noise_mask": z(2, 40, 40) / 0}, {"samples": s, "downscale_ratio_spacial": 0.5}):
    print(refusal(**latent))
"""
    )
    words = ["not a latent", "no side of 0", "no side of 0", "no plane to cut", *["noise mask of samples is"] * 3]
    words += ["noise mask of samples has NaN", "0.5 image pixels per cell"]
    for line, expected in zip(said, words, strict=True):
        assert expected in line, (line, expected)


def test_batch_index_is_put_together_or_dropped_and_bool_masks_work():
    said = in_process(
        """
with torch.inference_mode():
    for index in ([3, 4], torch.tensor([3, 4]), [7], None):
        tiles, layout, _ = split(samples=torch.rand(2, 4, 40, 40), batch_index=index, noise_mask=torch.rand(2, 91, 71) > 0.5)
        (out,) = LatentSeamBlend.execute(tiles, [layout], ["hann"], [0]).result[0]
        print(out.get("batch_index"), tuple(out["noise_mask"].shape))
"""
    )
    assert said == ["[3, 4] (2, 91, 71)", "[3, 4] (2, 91, 71)", "None (2, 91, 71)", "None (2, 91, 71)"]
