"""Nodes that change the tiles' size stand between split and blend without a size being typed."""

import pytest
from tilework.tests.host.prompts import node, roundtrip, source


@pytest.mark.parametrize("scale", [0.5, 2.0, 3.0, 4.0])
def test_whole_scales_equal_the_whole_picture_resized(report, scale):
    prompt = roundtrip(
        source(600, 400, kind="smooth"), via=node("TileworkTestResize", image=["2", 0], scale=scale, mode="bicubic"), tile=256
    )
    prompt["6"] = node("TileworkTestResize", image=["1", 0], scale=scale, mode="bicubic")
    prompt["5"]["inputs"]["b"] = ["6", 0]
    (said,) = report(prompt, "5")
    assert said["shape_a"] == said["shape_b"] == [1, round(400 * scale), round(600 * scale), 3]
    assert said["mean_abs"] <= 1e-3


@pytest.mark.parametrize(("scale", "shown"), [(1.1, "1.1"), (1.37, "1.37"), (1.5, "1.5"), (2.37, "2.37"), (0.75, "0.75")])
def test_the_scale_found_is_shown(run_prompt, scale, shown):
    prompt = roundtrip(source(600, 400), via=node("TileworkTestResize", image=["2", 0], scale=scale, mode="bicubic"), tile=256)
    text = run_prompt(prompt)["4"]["text"][0]
    assert f"scale {shown} (from the tiles)" in text
    assert f"final size {round(600 * scale)} x {round(400 * scale)}" in text


def test_a_typed_scale_is_used(run_prompt):
    prompt = roundtrip(source(600, 400), via=node("TileworkTestResize", image=["2", 0], scale=1.37, mode="bicubic"), tile=256)
    prompt["4"]["inputs"]["scale"] = 1.37
    assert "scale 1.37 (as typed)" in run_prompt(prompt)["4"]["text"][0]


def test_the_core_scales_tiles_too(report):
    prompt = roundtrip(
        source(600, 400, kind="smooth"), via=node("ImageScaleBy", image=["2", 0], upscale_method="bicubic", scale_by=1.5), tile=256
    )
    prompt["6"] = node("ImageScaleBy", image=["1", 0], upscale_method="bicubic", scale_by=1.5)
    prompt["5"]["inputs"]["b"] = ["6", 0]
    (said,) = report(prompt, "5")
    assert said["shape_a"] == said["shape_b"] and said["mean_abs"] <= 1e-3


def test_the_exactness_law_on_the_host(report):
    prompt = roundtrip(source(600, 400), via=node("TileworkTestConv", image=["2", 0], radius=6, seed=0), tile=256, overlap=28)
    prompt["6"] = node("TileworkTestConv", image=["1", 0], radius=6, seed=0)
    prompt["5"]["inputs"]["b"] = ["6", 0]
    (untrimmed,) = report(prompt, "5")
    prompt["4"]["inputs"]["trim"] = 6
    (trimmed,) = report(prompt, "5")
    print(f"largest error: trim 6 {trimmed['max_abs']:.1e}, trim 0 {untrimmed['max_abs']:.1e}")
    assert trimmed["max_abs"] <= 1e-5 < untrimmed["max_abs"]
