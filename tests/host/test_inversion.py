"""Picture to Noise through the real server."""

import json

import pytest
from tilework.tests.host.prompts import node
from tilework.tools.server.workflow import WorkflowError as HostRunError

from .test_keep_composition import keep, latent


def graph(kind, channels, **more):
    return {
        "base": node("TileworkTestModel", kind=kind), "prompt": node("TileworkTestPrompt", text="a"),
        "picture": latent(24, 16, channels), "other": latent(24, 16, channels, seed=5),
        "invert": node("TileworkInvert", model=["base", 0], positive=["prompt", 0], latent=["picture", 0], steps=4, scheduler="simple", correction=1),
        "keep": keep(["base", 0], "skip residual", reference=["picture", 0], trajectory=["invert", 2]),
        "guider": node("BasicGuider", model=["base", 0], conditioning=["prompt", 0]),
        "kept": node("BasicGuider", model=["keep", 0], conditioning=["prompt", 0]),
        "sampler": node("KSamplerSelect", sampler_name="euler"),
        "sigmas": node("BasicScheduler", model=["base", 0], scheduler="simple", steps=4, denoise=1.0),
        "made": _sampled("guider", "picture"), "drawn": _sampled("kept", "picture"),
        "said": node("TileworkTestCompareLatent", a=["made", 0], b=["picture", 0]),
        "drawn_said": node("TileworkTestCompareLatent", a=["drawn", 0], b=["picture", 0]), **more,
    }  # fmt: skip


def _sampled(guider, start):
    return node(
        "SamplerCustomAdvanced",
        noise=["invert", 1],
        guider=[guider, 0],
        sampler=["sampler", 0],
        sigmas=["sigmas", 0],
        latent_image=[start, 0],
    )


def test_a_sampler_runs_on_the_noise_and_keep_composition_on_the_way(run_prompt):
    made = run_prompt(graph("unet", 4))
    said, drawn = (json.loads(made[name]["text"][0]) for name in ("said", "drawn_said"))
    assert 0 < said["samples_max_abs"] < float("inf") and 0 < drawn["samples_max_abs"] < float("inf")


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"latent": ["nothing", 0]}, "latent is an empty one"),
        ({"model": ["keep", 0]}, "from before Keep Composition"),
        ({"scheduler": "kl_optimal", "steps": 1}, "no noise level over 0 .its levels are .* need 2 steps"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(run_prompt, more, part):
    prompt = graph("unet", 4, nothing=node("EmptyLatentImage", width=192, height=128, batch_size=1))
    prompt["invert"]["inputs"].update(more)
    prompt["keep"]["inputs"].pop("trajectory")
    with pytest.raises(HostRunError, match=part):
        run_prompt(prompt)


def test_no_noise_is_kept_by_a_mask_of_the_picture(run_prompt):
    prompt = graph("unet", 4)
    prompt |= {
        "nowhere": node("SolidMask", value=0.0, width=192, height=128),
        "masked": node("SetLatentNoiseMask", samples=["picture", 0], mask=["nowhere", 0]),
        "sample": node(
            "KSamplerAdvanced",
            model=["base", 0],
            add_noise="disable",
            noise_seed=0,
            steps=4,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            positive=prompt["invert"]["inputs"]["positive"],
            negative=prompt["invert"]["inputs"]["positive"],
            latent_image=["invert", 0],
            start_at_step=0,
            end_at_step=10000,
            return_with_leftover_noise="disable",
        ),
        "kept_noise": node("TileworkTestCompareLatent", a=["sample", 0], b=["invert", 0]),
    }
    prompt["invert"]["inputs"]["latent"] = ["masked", 0]
    said = json.loads(run_prompt(prompt)["kept_noise"]["text"][0])
    assert said["samples_max_abs"] > 0.1, "the mask held the noise itself"
