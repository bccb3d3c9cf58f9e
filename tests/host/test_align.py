"""Align Tiles and the method confidence through the real server: lists, batches, and the template's shifted tile."""

import re
from pathlib import Path

import pytest
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError
from tilework.tools.server.workflow import convert

TEMPLATE = Path(__file__).resolve().parents[2] / "example_workflows" / "18 Align tiles that shifted.json"


def align(tiles, layout, max_shift=4.0, **links):
    """Align Tiles."""
    return node("TileworkAlignTiles", tiles=tiles, layout=layout, max_shift=max_shift, **links)


def shifted(by=3, batch=1, channels=3, kind="noise"):
    """Picture 1, split 2, tile 1 shifted 3, aligned 4, blend 5, compare 6 with the picture, report 7."""
    prompt = {"1": source(500, 400, batch=batch, channels=channels, kind=kind), "2": split(["1", 0], tile=256, overlap=64)}
    prompt["3"] = node("TileworkTestShift", images=["2", 0], index=1, by=by)
    prompt["4"] = align(["3", 0], ["2", 1])
    prompt["5"] = blend(["4", 0], ["2", 1])
    prompt["6"] = node("TileworkTestCompare", a=["5", 0], b=["1", 0])
    prompt["7"] = node("PreviewAny", source=["4", 1])
    return prompt


@pytest.mark.parametrize(("batch", "channels"), [(1, 3), (2, 4)])
def test_a_shifted_tile_comes_back_to_its_place(run_prompt, report, batch, channels):
    prompt = shifted(batch=batch, channels=channels, kind="noise")
    said = run_prompt(prompt)["7"]["text"][0]
    assert "moved 3.00 px left" in said, said
    (compared,) = report(prompt, "6")
    assert compared["shape_a"] == compared["shape_b"] and compared["mean_abs"] <= 0.01, compared


def test_tiles_in_place_come_through_untouched_in_the_batches_they_came_in(report, run_prompt):
    prompt = shifted(by=0, batch=2, kind="noise")
    prompt["3"] = node("RebatchImages", images=["2", 0], batch_size=3)
    prompt["8"] = node("TileworkTestCount", images=["3", 0])
    prompt["9"] = node("TileworkTestCount", images=["4", 0])
    assert report(prompt, "8") == report(prompt, "9")
    (compared,) = report(prompt, "6")
    assert compared["max_abs"] <= 1e-6, compared


def test_an_overlap_without_room_is_refused_in_words(run_prompt):
    prompt = shifted()
    prompt["4"] = align(["3", 0], ["2", 1], max_shift=60.0)
    with pytest.raises(HostRunError, match="split with an overlap of"):
        run_prompt(prompt)


def test_the_template_finds_that_its_tiles_lie_apart(object_info, run_prompt):
    """Each was made 3 px larger about its upper left corner: neighbours lie 2.3 px apart in the middle of what they share."""
    prompt = convert(TEMPLATE, object_info)
    (key,) = (key for key, part in prompt.items() if part["class_type"] == "PreviewAny")
    said = run_prompt(prompt)[key]["text"][0]
    assert said.startswith("4 of 4 tiles moved"), said
    moves = [float(part) for part in re.findall(r"moved ([\d.]+) px|, ([\d.]+) px", said.partition("\n")[2]) for part in part if part]
    assert len(moves) == 8 and all(abs(move - 1.15) < 0.1 for move in moves), said


def test_confidence_says_what_it_did(run_prompt):
    prompt = shifted(by=0, kind="smooth")
    prompt["3"] = node("TileworkTestLighten", images=["2", 0], index=1, levels=80)
    prompt["5"] = blend(["3", 0], ["2", 1], "confidence")
    said = run_prompt(prompt)["5"]["text"][0]
    assert "covered by three tiles or more" in said and "tile 1 differs from the others" in said, said
