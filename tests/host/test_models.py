"""The test models and the test-only nodes do on a real server what they are said to do."""

import importlib.util
import io
from pathlib import Path

import numpy
import pytest
import requests
import torch
from PIL import Image
from tilework.tools.server.workflow import WorkflowError as HostRunError

from .prompts import node, source

TRAINER = Path(__file__).resolve().parents[1] / "pack" / "train_upscaler.py"
UPSCALER = "tilework_tiny_x2.safetensors"
KINDS = {"conv denoiser": 4, "unet": 4, "dit": 16}


@pytest.fixture(scope="module")
def trainer():
    """The training script as a module: what it was trained by is what it is measured by."""
    spec = importlib.util.spec_from_file_location("train_upscaler", TRAINER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def latent(kind, seed=3, frames=0):
    return node(
        "TileworkTestLatent", width=24, height=16, batch=1, channels=KINDS[kind], frames=frames, seed=seed,
        downscale_ratio=0, mask="", mask_batch=1,
    )  # fmt: skip


def sampler(model, latent_image, seed=1, denoise=1.0, positive=1):
    return node(
        "KSampler", model=[model, 0], positive=[model, positive], negative=[model, 2], latent_image=latent_image,
        seed=seed, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal", denoise=denoise,
    )  # fmt: skip


def sampled(kind, **options):
    """Model "1", latent "2", sampler "3"."""
    return {"1": node("TileworkTestModel", kind=kind), "2": latent(kind), "3": sampler("1", ["2", 0], **options)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_samples_and_decodes(report, kind):
    prompt = sampled(kind)
    prompt["4"] = node("VAEDecode", samples=["3", 0], vae=["1", 3])
    prompt["5"] = node("TileworkTestCompareLatent", a=["3", 0], b=["2", 0])
    prompt["6"] = node("TileworkTestCompare", a=["4", 0], b=["7", 0])
    prompt["7"] = source(24 * 8, 16 * 8, kind="grey")
    (said,) = report(prompt, "5")
    assert said["samples_shape_a"] == said["samples_shape_b"] == [1, KINDS[kind], 16, 24]
    assert said["samples_max_abs"] > 1, "finite, and not what went in"
    (said,) = report(prompt, "6")
    assert said["shape_a"] == [1, 16 * 8, 24 * 8, 3]
    assert said["mean_abs"] > 0.02 and said["max_abs"] <= 0.5, "a picture, neither plain grey nor out of range"


@pytest.mark.parametrize("kind", KINDS)
def test_models_are_the_same_each_time_and_hear_the_noise_and_the_prompt(report, kind):
    prompt = sampled(kind)
    # The same model, but written so that the host does not take it from its cache.
    prompt["11"] = node("TileworkTestModel", kind=kind, radius=2, seed=0)
    prompt["12"] = sampler("11", ["2", 0])
    for number, other in {"13": sampler("1", ["2", 0], seed=2), "14": sampler("1", ["2", 0], positive=2)}.items():
        prompt[number] = other
    for number in ("12", "13", "14"):
        prompt[f"2{number}"] = node("TileworkTestCompareLatent", a=["3", 0], b=[number, 0])
    again, noise, words = (report(prompt, f"2{number}")[0]["samples_max_abs"] for number in ("12", "13", "14"))
    assert again == 0 and noise > 0.01 and words > 1e-4


def test_the_conv_denoiser_answers_to_the_latent_and_takes_video(report):
    prompt = {
        "1": node("TileworkTestModel", kind="conv denoiser", radius=4, seed=9),
        "2": latent("conv denoiser", seed=1, frames=3),
        "3": latent("conv denoiser", seed=2, frames=3),
        "4": sampler("1", ["2", 0], denoise=0.5),
        "5": sampler("1", ["3", 0], denoise=0.5),
        "6": node("TileworkTestCompareLatent", a=["4", 0], b=["5", 0]),
    }
    (said,) = report(prompt, "6")
    assert said["samples_shape_a"] == [1, 4, 3, 16, 24] and said["samples_max_abs"] > 0.01


def fetched(server, run_prompt, prompt, at):
    """The one picture that preview node `at` shows, as float32 [3, H, W]."""
    (shown,) = run_prompt(prompt)[at]["images"]
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{server.url}/view", params=shown, timeout=30)
    answer.raise_for_status()
    with Image.open(io.BytesIO(answer.content)) as picture:
        return torch.from_numpy(numpy.array(picture.convert("RGB"))).movedim(-1, 0).float() / 255


def upscale(image):
    """Load the trained upscaler as "u", run it as "v"."""
    return {
        "u": node("UpscaleModelLoader", model_name=UPSCALER),
        "v": node("ImageUpscaleWithModel", upscale_model=["u", 0], image=image),
    }


@pytest.mark.parametrize(("kernel", "gain"), [("bicubic", 1.0), ("area", 0.7)])
def test_the_upscaler_beats_bicubic_on_a_photograph_it_has_not_seen(server, run_prompt, trainer, kernel, gain):
    truth = trainer.photograph(trainer.HELD_OUT)
    assert trainer.HELD_OUT not in trainer.PHOTOGRAPHS
    levels = (trainer.smaller(truth, kernel) * 255).round().byte()
    stream = io.BytesIO()
    Image.fromarray(levels.movedim(0, -1).numpy()).save(stream, "PNG")
    with requests.Session() as session:
        session.trust_env = False
        picture = {"image": (f"astronaut_{kernel}.png", stream.getvalue(), "image/png")}
        session.post(f"{server.url}/upload/image", files=picture, data={"overwrite": "true"}, timeout=30).raise_for_status()
    prompt = {"1": node("LoadImage", image=f"astronaut_{kernel}.png"), **upscale(["1", 0]), "9": node("PreviewImage", images=["v", 0])}
    learned = trainer.psnr(fetched(server, run_prompt, prompt, "9"), truth)
    plain = trainer.psnr(trainer.bicubic(levels.float() / 255), truth)
    print(f"astronaut halved by {kernel}: bicubic {plain:.2f} dB, the upscaler {learned:.2f} dB")
    assert learned > plain + gain


def test_the_upscaler_leaves_a_plain_grey_alone_but_not_at_the_border(report):
    prompt = {"1": source(64, 64, kind="grey"), **upscale(["1", 0]), "2": source(128, 128, kind="grey"), "3": source(96, 96, kind="grey")}
    prompt["4"] = node("ImageCrop", image=["v", 0], width=96, height=96, x=16, y=16)
    prompt["5"] = node("TileworkTestCompare", a=["4", 0], b=["3", 0])
    prompt["6"] = node("TileworkTestCompare", a=["v", 0], b=["2", 0])
    (inside,), (all_of_it,) = report(prompt, "5"), report(prompt, "6")
    print(f"a plain grey is off by {255 * inside['max_abs']:.2f} of 255 inside and {255 * all_of_it['max_abs']:.1f} at the border")
    assert inside["max_abs"] < 0.5 / 255 and all_of_it["max_abs"] > 2 / 255


def test_the_upscalers_receptive_radius_is_as_stated(trainer):
    torch.manual_seed(0)
    network = trainer.new_network().double()
    radius, side = trainer.RECEPTIVE_RADIUS, 2 * trainer.RECEPTIVE_RADIUS + 5
    before = torch.rand(1, 3, side, side).double()
    after = before.clone()
    after[..., side // 2, side // 2] += 0.5
    with torch.no_grad():
        change = (network(after) - network(before)).abs().amax(dim=(0, 1, 2))
    touched = torch.nonzero(change).flatten()
    first, last = (side // 2 - radius) * trainer.SCALE, (side // 2 + radius + 1) * trainer.SCALE - 1
    assert (int(touched[0]), int(touched[-1])) == (first, last)


def test_a_cut_short_training_says_so_and_is_written_whole(trainer, tmp_path, capsys):
    file = tmp_path / "folder" / "model.safetensors"
    trainer.main(["--out", str(file), "--steps", "1000000", "--seconds", "0.5"])
    said = capsys.readouterr().out
    assert "stopped at the limit of 0.5 s" in said and "not repeatable" in said
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_pictures_are_what_they_say(report, run_prompt):
    prompt = {"1": source(40, 30, 2, 4), "2": node("TileworkTestCount", images=["1", 0])}
    assert report(prompt, "2") == [{"count": 1, "shapes": [[2, 30, 40, 4]]}]
    prompt = {"1": node("TileworkTestImageList", sizes="64x48, 5x9", seed=1), "2": node("TileworkTestCount", images=["1", 0])}
    assert report(prompt, "2") == [{"count": 2, "shapes": [[1, 48, 64, 3], [1, 9, 5, 3]]}]
    prompt["1"]["inputs"]["sizes"] = "64 by 48"
    with pytest.raises(HostRunError, match="is not a size: write two numbers with an x in between"):
        run_prompt(prompt)


LIST = {"1": node("TileworkTestImageList", sizes="64x48,64x48,32x32", seed=4)}


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        (node("TileworkTestPoison", images=["1", 0], index=1, value="nan"), [0, None, 0]),
        (node("TileworkTestPoison", images=["1", 0], index=0, value="inf"), [None, 0, 0]),
        (node("TileworkTestStretch", images=["1", 0], index=2), [0, 0, None]),
        (node("TileworkTestDrop", images=["1", 0], index=2), [0, 0, None]),
        (node("TileworkTestDtype", image=["1", 0], dtype="float32"), [0, 0, 0]),
        (node("TileworkTestSlow", image=["1", 0], seconds=0.1), [0, 0, 0]),
    ],
    ids=["nan", "inf", "stretch", "drop", "dtype", "slow"],
)
def test_one_item_is_changed_and_the_source_is_not(report, broken, expected):
    said = report({**LIST, "2": broken, "3": node("TileworkTestCompare", a=["2", 0], b=["1", 0])}, "3")
    assert [one["max_abs"] for one in said] == expected
    # The pictures of the list, which the host has kept, beside the same ones made anew.
    fresh = node("TileworkTestImageList", sizes="64x48,64x48,32x32 ", seed=4)
    said = report({**LIST, "2": fresh, "3": node("TileworkTestCompare", a=["1", 0], b=["2", 0])}, "3")
    assert [one["max_abs"] for one in said] == [0, 0, 0]


def test_shapes_and_types_are_reported_not_raised(report):
    prompt = {
        "1": source(40, 30),
        "2": node("TileworkTestResize", image=["1", 0], scale=1.5, mode="area"),
        "3": node("TileworkTestDtype", image=["2", 0], dtype="bfloat16"),
        "4": node("TileworkTestCompare", a=["1", 0], b=["3", 0]),
    }
    (said,) = report(prompt, "4")
    assert said["shape_a"] == [1, 30, 40, 3] and said["shape_b"] == [1, 45, 60, 3] and said["max_abs"] is None
    assert said["dtype_a"] == "float32" and said["dtype_b"] == "bfloat16" and said["contiguous_a"] is True
