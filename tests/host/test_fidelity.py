"""Fidelity Check on the real server: passes, finds, stops, knows tiles, and says what does not fit."""

import pytest
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError

SIDE = 384


def checked(light=0.0, layout=False, on_fail="report", tolerance=1.0, reference=("1", 0)):
    """A texture, cut, one tile lightened, blended, enlarged, checked "6"; "7" to "11" say how its outputs look."""
    prompt = {
        "1": source(SIDE, SIDE, kind="smooth", seed=5),
        "2": split(["1", 0], tile=160, overlap=48),
        "3": node("TileworkTestLighten", images=["2", 0], index=4, levels=light),
        "4": blend(["3", 0], ["2", 1]),
        "5": node("ImageScale", image=["4", 0], upscale_method="bicubic", width=2 * SIDE, height=2 * SIDE, crop="disabled"),
    }
    more = {"layout": ["2", 1]} if layout else {}
    prompt["6"] = node(
        "TileworkFidelityCheck", image=["5", 0], reference=list(reference), tolerance=tolerance, align=True, on_fail=on_fail, **more
    )
    prompt["7"] = node("TileworkTestCount", images=["6", 0])
    prompt["8"] = node("TileworkTestCount", images=["6", 4])
    prompt["9"] = node("PreviewAny", source=["6", 1])
    prompt["10"] = node("PreviewAny", source=["6", 2])
    prompt["11"] = node("PreviewAny", source=["6", 3])
    return prompt


def said(outputs, number):
    return outputs[number]["text"][0]


def test_a_faithful_enlargement_passes(run_prompt):
    out = run_prompt(checked())
    assert said(out, "6").startswith("passed: nothing was changed") and said(out, "11") == "True"
    assert float(said(out, "10")) < 1 and "everywhere: a faithful result" in said(out, "9")
    assert f"[[1, {SIDE}, {SIDE}, 3]]" in said(out, "7") and ", 512, 1032, 3]]" in said(out, "8")
    assert out["6"]["images"], "the heat map is shown on the node"


def test_a_tile_of_another_tone_is_found_with_the_layout_and_stops_the_run(run_prompt):
    out = run_prompt(checked(light=3.0, layout=True))
    assert said(out, "11") == "False" and "tile 4 lighter than its neighbours" in said(out, "9")
    assert "what to do: Put Color Match" in said(out, "9") and float(said(out, "10")) > 1
    with pytest.raises(HostRunError, match=r"Fidelity Check stopped the run: failed: .*tile 4 lighter"):
        run_prompt(checked(light=3.0, layout=True, on_fail="stop"))
    assert said(run_prompt(checked(light=3.0, layout=True, tolerance=40.0)), "11") == "True"


def test_a_reference_that_does_not_fit_is_refused_in_words(run_prompt):
    prompt = checked(reference=("other", 0))
    prompt["other"] = source(SIDE, SIDE // 2)
    with pytest.raises(HostRunError, match="which is not one scale for both sides: connect the picture that the result was made from"):
        run_prompt(prompt)
