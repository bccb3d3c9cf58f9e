"""Every diagnosis names a node and a setting of it; and who does what Seam Check says gets a picture that it passes."""

from __future__ import annotations

import re
from itertools import product

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
from tilework.blending import TileLayout, compose, cut
from tilework.blending.composition.survey import CONTENT, EQUAL, TONE, OverlapFinding
from tilework.blending.seam_check.cause import CAUSES, causes
from tilework.blending.seam_check.check import check_seams
from tilework.blending.seam_check.report import CLEAN, EITHER, SEAM, UNJUDGED, SeamReport, SeamRow
from tilework.nodes.cures import blend_cure, field_cure, seam_cure, size_cure
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tests.unit.seam_check import seam_scenes as scenes

TESTS = ("step", "wavering step", "tone drift", "broken detail", "faded detail", "ghost")


@pytest.fixture(scope="module")
def pack(object_info):
    """Display name -> (names of its settings, values of its combos)."""
    said = {}
    for name, info in object_info.items():
        if not name.startswith("Tilework") or name.startswith("TileworkTest"):
            continue
        inputs = {key: spec for kind in info["input"] if kind != "hidden" for key, spec in info["input"][kind].items()}
        # As a person says it: without what stands in brackets.
        said[re.sub(r" \(.*", "", info["display_name"])] = inputs
    return said


def names_node_and_setting(words, pack):
    """The (node, setting) pairs that a text names, the setting in the same text as its node."""
    return {(name, key) for name, inputs in pack.items() if name in words for key in inputs if re.search(rf"\b{key}\b", words)}


def report(*rows, compared="", overlap=0):
    return SeamReport(rows, 5.0, (128, 128), 1, compared, overlap)


def row(test, verdict=SEAM):
    return SeamRow(0, (0, 1), True, 64, 64, (0, 128), (0, 32), 4.0, 1.0, 9.0, test, verdict, 1.0)


def test_every_verdict_of_seam_check_names_a_node_and_a_setting_of_it(pack):
    kinds = [report(), report(row("none", UNJUDGED)), report(row("step", CLEAN)), report(row("step", CLEAN), overlap=64)]
    kinds += [report(row("step", CLEAN), compared="reference", overlap=64), report(row("step", EITHER))]
    kinds += [report(row(test)) for test in TESTS] + [report(row(a), row(b)) for a, b in product(TESTS, TESTS)]
    for one, overlap in product(kinds, (0, 64)):
        words = seam_cure(one, overlap)
        assert names_node_and_setting(words, pack), words
        assert len(words) < 500, words


LAYOUT = TileLayout.grid(512, 512, 288, 288, 64)
HARD = TileLayout.grid(512, 512, 256, 256, 0)


def ghostly():
    """A texture whose second tile is shifted, blended by windows, and its tiles."""
    wide = scenes.texture(1, scenes.generator(7))[..., None] * 3 - 1
    tiles = [tile.roll(4, 2) if index == 1 else tile for index, tile in enumerate(cut(wide, LAYOUT))]
    return compose(tiles, LAYOUT, "hann"), tiles


def pictures():
    """Pictures of every kind of verdict, as arguments of check_seams, and the least that each finds."""
    smooth, texture = (make(1, scenes.generator(seed))[..., None] for make, seed in ((scenes.smooth, 31), (scenes.texture, 32)))
    edge = scenes.hard_edge(1, scenes.generator(33))[..., None]
    yield (smooth, HARD), "nothing"
    yield (smooth, LAYOUT), "nothing"
    yield (smooth, LAYOUT, smooth), "nothing"
    yield (scenes.stepped(smooth[..., 0], 6)[..., None], HARD), "tone"
    yield (scenes.feathered(smooth[..., 0], 8)[..., None], LAYOUT, smooth), "tone"
    yield (scenes.shifted(texture[..., 0], 3)[..., None], HARD), "broken detail"
    yield (scenes.band_blurred(texture[..., 0], 2, 32)[..., None], LAYOUT), "mixed detail"
    blend, tiles = ghostly()
    yield (blend, LAYOUT, None, tiles), "mixed detail"
    yield (edge, HARD), "edge"
    yield (smooth[:, :24, :24], TileLayout.grid(24, 24, 16, 16, 8)), "not judged"
    yield (smooth[:, :64, :64], TileLayout.grid(64, 64, 64, 64, 0)), "one tile"


def test_so_does_every_verdict_on_generated_pictures(pack):
    found = set()
    for given, least in pictures():
        verdict = check_seams(*given)
        found |= set(causes(verdict))
        assert least in causes(verdict), (least, verdict.summary())
        words = seam_cure(verdict, given[1].least_overlap or 0)
        print(f"{least}: {verdict.plain()} {words}")
        assert names_node_and_setting(words, pack), words
    assert found == set(CAUSES)


def test_so_do_the_other_diagnoses(pack):
    from types import SimpleNamespace

    findings = [OverlapFinding(0, 1, True, choice, 0.02, 0.02, 0.5) for choice in (EQUAL, TONE, CONTENT)]
    assert blend_cure(findings[:1]) == []
    field = SimpleNamespace(overlap=16, trim=6, sees_everything=True)
    plan = SimpleNamespace(tile_width=512, tile_height=448, overlap=64)
    for words in (" ".join(blend_cure(findings)), field_cure(field, False), field_cure(field, True), size_cure(plan)):
        found = names_node_and_setting(words, pack)
        assert found or "Color Match" in words, words


def checked(picture, change, method="hann", overlap=64, tile=256, beside="reference"):
    """Picture -> split -> `change` -> blend -> Seam Check, beside the picture or the tiles."""
    return {
        "picture": picture,
        "split": split(["picture", 0], tile=tile, overlap=overlap),
        "change": {**change, "inputs": {"images": ["split", 0], **change["inputs"]}},
        "blend": blend(["change", 0], ["split", 1], method),
        "check": node(
            "TileworkSeamCheck",
            image=["blend", 0],
            layout=["split", 1],
            threshold=5.0,
            on_fail="report",
            **{beside: ["picture" if beside == "reference" else "change", 0]},
        ),
    }


def follow(prompt, words):
    """What the cure's words say, done to the prompt."""
    if "give Tile Split an overlap of 64 or more" in words:
        prompt["split"]["inputs"]["overlap"] = 64
    if "put Color Match before Seam Blend (method gain compensation, your original as reference, the same layout)" in words:
        assert "set Seam Blend's method to gradient with the same reference" in words
        prompt["match"] = node(
            "TileworkColorMatch", images=["change", 0], method="gain compensation", strength=1.0, unchanged_only=0.0,
            reference=["picture", 0], layout=["split", 1],
        )  # fmt: skip
        prompt["blend"]["inputs"].update(tiles=["match", 0], method="gradient", reference=["picture", 0])
    if "set Seam Blend's method to optimal seam" in words:
        prompt["blend"]["inputs"]["method"] = "optimal seam"
    return prompt


CASES = {
    "drift": checked(source(896, 896, kind="smooth", seed=51), node("TileworkTestLighten", index=4, levels=6.0), overlap=32, tile=320),
    "ghost": checked(node("LoadImage", image="example.png"), node("TileworkTestShift", index=4, by=5), beside="tiles"),
    "hard cut": checked(source(600, 600, kind="smooth", seed=53), node("TileworkTestLighten", index=4, levels=6.0), "none", 0),
    "hard cut of wide overlaps": checked(
        source(600, 600, kind="smooth", seed=54), node("TileworkTestLighten", index=4, levels=6.0), "none"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_who_does_what_it_says_gets_a_picture_that_passes(run_prompt, name):
    prompt = CASES[name]
    (record,) = run_prompt(prompt)["check"]["tilework_seams"]
    print(f"{name}: {record['plain']} {record['cure']}")
    assert record["summary"].startswith("failed")
    (after,) = run_prompt(follow(prompt, record["cure"]))["check"]["tilework_seams"]
    print(f"  then: {after['plain']}")
    assert after["summary"].startswith("passed"), after["summary"]
