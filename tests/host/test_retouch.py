"""Frequency Separation, Frequency Join and Transfer Retouch through the real server."""

import pytest
from tilework.tests.host.prompts import node, source
from tilework.tools.server.workflow import WorkflowError as HostRunError


def separated(bands=4, mode="spline", gains="1, 1, 1, 1, 1", **picture):
    """Picture 1, bands 2, joined 3, compared 4 with the picture."""
    return {
        "1": source(90, 70, **picture),
        "2": node("TileworkBandSplit", image=["1", 0], bands=bands, face=0, mode=mode),
        "3": node("TileworkBandJoin", bands=["2", 0], residual=["2", 1], gains=gains),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
    }


def transferred(**more):
    """Picture 1, its inverse 2, transferred 3, compared 4 with the picture and 5 with the inverse."""
    inputs = {"preset": "gains", "gains": "0, 0, 0", "face": 0, "quiet": 0.0, **more}
    return {
        "1": source(90, 70),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("TileworkRetouchMerge", original=["1", 0], retouched=["2", 0], **inputs),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
        "5": node("TileworkTestCompare", a=["3", 0], b=["2", 0]),
        "6": node("SolidMask", value=1.0, width=64, height=64),
    }


@pytest.mark.parametrize(
    "settings",
    [{"batch": 2, "channels": 4}, {"mode": "gaussian", "gains": "1, 1"}],
)
def test_signed_bands_survive_the_graph(report, settings):
    (said,) = report(separated(**settings), "4")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] <= 1e-6


def test_gains_go_from_the_original_to_the_retouched_picture(report):
    assert report(transferred(), "4")[0]["max_abs"] == 0
    assert report(transferred(gains="1, 1, 1"), "5")[0]["max_abs"] <= 1e-6
    (said,) = report(transferred(preset="lighting"), "4")
    assert 0 < said["max_abs"] < 0.5


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (separated(bands=3), "5 gains for 3 bands and the residual: write 4"),
        (transferred(gains="all"), 'gains "all" are no numbers'),
        (transferred(quiet="NaN"), "Value nan smaller than min of 0.0"),
        (transferred(mask=["6", 0]), "mask is 64 x 64, a batch of 1, and original is 90 x 70"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(run_prompt, prompt, words):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    assert words in str(caught.value)
