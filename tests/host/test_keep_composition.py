"""Keep Composition, Record Run and Latent Frequency Mix through the real server."""

import pytest
from tilework.tests.host.prompts import node
from tilework.tools.server.workflow import WorkflowError as HostRunError

SMALL, LARGE = {"width": 24, "height": 16}, {"width": 48, "height": 32}


def latent(width, height, channels=4, seed=3, **more):
    options = {"batch": 1, "frames": 0, "downscale_ratio": 0, "mask": "", "mask_batch": 1, **more}
    return node("TileworkTestLatent", width=width, height=height, channels=channels, seed=seed, **options)


def keep(model, method="structure", **more):
    options = {"strength": 1.0, "start": 0.0, "end": 0.8, "filter": "resize", "cutoff": 0.0, "reference": ["small", 0], **more}
    return node("TileworkCanvasGuide", model=model, method=method, **options)


def sampled(model, start, sampler="euler", seed=1):
    return node(
        "KSampler", model=model, seed=seed, steps=3, cfg=1.0, sampler_name=sampler, scheduler="normal", denoise=1.0,
        positive=["prompt", 0], negative=["prompt", 0], latent_image=start,
    )  # fmt: skip


def graph(model, sampler="euler", **more):
    return {
        "base": node("TileworkTestModel", kind="unet"), "prompt": node("TileworkTestPrompt", text="a"),
        "small": latent(**SMALL), "large": latent(**LARGE, seed=4), **more,
        "made": sampled(model, ["large", 0], sampler), "plain": sampled(["base", 0], ["large", 0], sampler),
        "said": node("TileworkTestCompareLatent", a=["made", 0], b=["plain", 0]),
    }  # fmt: skip


def test_it_changes_a_picture_and_with_strength_0_nothing(report):
    (said,) = report(graph(["keep", 0], keep=keep(["base", 0])), "said")
    assert said["samples_max_abs"] > 0.1
    (said,) = report(graph(["keep", 0], keep=keep(["base", 0], strength=0.0)), "said")
    assert said["samples_max_abs"] == 0


def test_flow_takes_the_recorded_run(report):
    more = {
        "record": node("TileworkRecordRun", model=["base", 0]), "seed": latent(**SMALL, seed=7), "small": sampled(["record", 0], ["seed", 0]),
        "keep": keep(["base", 0], "flow", trajectory=["record", 1]),
    }  # fmt: skip
    (said,) = report(graph(["keep", 0], **more), "said")
    assert said["samples_max_abs"] > 0.1


@pytest.mark.parametrize(
    ("sampler", "more", "part"),
    [
        ("uni_pc", {"method": "skip residual"}, "sampler uni_pc never shows the model what it holds"),
        ("euler", {"method": "flow"}, "connect the trajectory of Record Run"),
        ("euler", {"reference": ["wrong", 0]}, "which has other proportions"),
        ("euler", {"method": "structure", "reference": None}, "connect its LATENT to reference"),
        ("euler", {"start": 0.9}, "start 0.9 lies behind end 0.8"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(run_prompt, sampler, more, part):
    prompt = graph(["keep", 0], sampler, keep=keep(["base", 0], **more), wrong=latent(24, 24))
    prompt["keep"]["inputs"] = {name: value for name, value in prompt["keep"]["inputs"].items() if value is not None}
    with pytest.raises(HostRunError, match=part):
        run_prompt(prompt)


def mixed(detail, structure):
    return {
        "detail": detail, "structure": structure,
        "mix": node("TileworkLatentMix", detail=["detail", 0], structure=["structure", 0], filter="haar", cutoff=0.0),
        "said": node("TileworkTestCompareLatent", a=["mix", 0], b=["detail", 0]),
    }  # fmt: skip


def test_a_latent_mixed_with_itself_is_itself_and_keeps_what_it_carries(report, run_prompt):
    (said,) = report(mixed(latent(**LARGE, mask="1x"), latent(**LARGE)), "said")
    assert said["samples_max_abs"] < 1e-5 and said["foreign_kept"] and said["mask_max_abs"] == 0
    (said,) = report(mixed(latent(**LARGE), latent(**SMALL)), "said")
    assert said["samples_max_abs"] > 0.1
    for structure, part in (
        (latent(24, 24), "other proportions"),
        (latent(**SMALL, channels=16), "same model family"),
        (latent(**SMALL, downscale_ratio=16), "image pixels per cell"),
    ):
        with pytest.raises(HostRunError, match=part):
            run_prompt(mixed(latent(**LARGE, downscale_ratio=8), structure))
