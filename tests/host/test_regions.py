"""Single tiles redone, parts of a picture on a mask, tiles around objects: through the real server."""

import pytest
from tilework.blending.layout.tile_layout import TileLayout
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tests.host.test_refusals import refused

WIDTH, HEIGHT, TILE, OVERLAP = 640, 480, 184, 32
GRID = TileLayout.grid(HEIGHT, WIDTH, TILE, TILE, OVERLAP, 8)


def crop(image, x, y, width, height):
    return node("ImageCrop", image=image, x=x, y=y, width=width, height=height)


def rectangle(x, y, width, height, canvas=(WIDTH, HEIGHT)):
    """A mask with one rectangle in it: two nodes of the core."""
    return {
        "dark": node("SolidMask", value=0.0, width=canvas[0], height=canvas[1]),
        "light": node("SolidMask", value=1.0, width=width, height=height),
        "mask": node("MaskComposite", destination=["dark", 0], source=["light", 0], x=x, y=y, operation="add"),
    }


def over_base(base, limit=None):
    more = {"base": base} | ({"mask": limit} if limit else {})
    prompt = blend(["work", 0], ["again", 1])
    prompt["inputs"].update(more)
    return prompt


def redone(batch=1, channels=3, scale=None, **chosen):
    """A picture, some tiles of which are inverted and put back into it."""
    prompt = {
        "1": source(WIDTH, HEIGHT, batch, channels),
        "first": split(["1", 0], tile=TILE, overlap=OVERLAP),
        "some": node("TileworkSelectTiles", layout=["first", 1], **{"tiles": "", "invert": False, **chosen}),
        "again": split(["1", 0], layout=["some", 0]),
        "work": node("ImageInvert", image=["again", 0]),
        "out": over_base(["1", 0]),
        "count": node("TileworkTestCount", images=["again", 0]),
    }
    return prompt


def compared(report, prompt, part):
    """How two crops of the result and of the picture differ."""
    (said,) = report(
        prompt | {"a": crop(["out", 0], *part), "b": crop(["1", 0], *part), "5": node("TileworkTestCompare", a=["a", 0], b=["b", 0])}, "5"
    )
    return said


def test_two_tiles_of_twelve_are_redone_and_the_rest_is_the_picture_bit_for_bit(report):
    assert len(GRID) == 12
    three, seven = GRID.tiles[3], GRID.tiles[7]
    prompt = redone(batch=2, tiles="3, 7")
    end = seven.y + seven.height
    for part in ((0, 0, three.x, HEIGHT), (0, end, WIDTH, HEIGHT - end)):
        assert compared(report, prompt, part)["max_abs"] == 0
    assert compared(report, prompt, (three.x + 80, 20, 60, 60))["max_abs"] > 0.5


def test_chosen_by_a_mask_and_the_others(report):
    prompt = redone(mask=["mask", 0]) | rectangle(600, 20, 10, 10)
    assert [said["count"] for said in report(prompt, "count")] == [1]
    assert compared(report, prompt, (0, 0, GRID.tiles[3].x, HEIGHT))["max_abs"] == 0
    others = redone(tiles="0", invert=True)
    assert compared(report, others, (0, 0, 100, 100))["max_abs"] == 0


@pytest.mark.parametrize("fit", ["whole", "cover"])
def test_a_part_of_the_picture_is_redone_within_its_soft_mask(report, fit):
    prompt = rectangle(300, 200, 40, 30) | {
        "1": source(WIDTH, HEIGHT, 1, 4),
        "tiles": node(
            "TileworkMaskTiles", mask=["mask", 0], tile_width=128, tile_height=128, overlap=16, margin=24, multiple_of=8, fit=fit
        ),
        "again": split(["1", 0], layout=["tiles", 0]),
        "work": node("ImageInvert", image=["again", 0]),
        "out": over_base(["1", 0], ["tiles", 2]),
    }
    for part in ((0, 0, 276, HEIGHT), (364, 0, WIDTH - 364, HEIGHT), (0, 0, WIDTH, 176), (0, 254, WIDTH, HEIGHT - 254)):
        assert compared(report, prompt, part)["max_abs"] == 0
    assert compared(report, prompt, (300, 200, 40, 30))["max_abs"] > 0.5


def test_an_empty_mask_gives_the_picture_back_and_nothing_is_worked_on(report, follow):
    prompt = {
        "1": source(WIDTH, HEIGHT),
        "mask": node("SolidMask", value=0.0, width=WIDTH, height=HEIGHT),
        "tiles": node(
            "TileworkMaskTiles", mask=["mask", 0], tile_width=128, tile_height=128, overlap=16, margin=24, multiple_of=8, fit="whole"
        ),
        "again": split(["1", 0], layout=["tiles", 0]),
        "work": node("TileworkTestSlow", image=["again", 0], seconds=0.0),
        "out": over_base(["1", 0], ["tiles", 2]),
        "5": node("TileworkTestCompare", a=["out", 0], b=["1", 0]),
    }
    messages = follow(prompt)
    assert "work" not in {data.get("node") for kind, data in messages if kind == "executing"}
    (said,) = report(prompt, "5")
    assert said["max_abs"] == 0
    # Who looks at the tiles themselves gets a small piece, not an error.
    (counted,) = report(prompt | {"look": node("TileworkTestCount", images=["again", 0])}, "look")
    assert counted


def test_tiles_around_an_object_give_the_picture_back_and_say_what_they_missed(report, run_entry):
    prompt = rectangle(150, 100, 60, 60) | {
        "1": source(WIDTH, HEIGHT),
        "plan": node(
            "TileworkObjectTiles",
            tile_width=256,
            tile_height=256,
            overlap=32,
            multiple_of=8,
            objects="own tile",
            margin=16,
            largest=512,
            mask=["mask", 0],
        ),
        "again": split(["1", 0], layout=["plan", 0]),
        "work": node("TileworkTestSlow", image=["again", 0], seconds=0.0),
        "out": blend(["work", 0], ["again", 1], "auto"),
        "5": node("TileworkTestCompare", a=["out", 0], b=["1", 0]),
        "text": node("PreviewAny", source=["plan", 2]),
    }
    (said,) = report(prompt, "5")
    assert said["max_abs"] <= 1e-6
    assert "1 object, " in run_entry(prompt)["outputs"]["text"]["text"][0]


@pytest.mark.parametrize(
    ("tiles", "words"),
    [
        ("12", "there is no tile 12: the layout has tiles 0 to 11"),
        ("0-999999999", "there is no tile 999999999"),
        ("3;DROP", "'DROP' in it"),
        ("1," * 100_000, "200,000 characters"),
    ],
)
def test_numbers_that_are_none_are_refused_in_words(run_prompt, tiles, words):
    assert words in refused(run_prompt, redone(tiles=tiles))


def test_what_does_not_fit_is_refused_in_words(run_prompt):
    prompt = redone(tiles="3")
    del prompt["out"]["inputs"]["base"]
    look = {"look": node("PreviewImage", images=["out", 0])}
    assert "the layout has 1 of 12 tiles, and none is connected to base" in refused(run_prompt, prompt | look)
    small = redone(tiles="3") | {"other": source(300, 300)} | look
    small["out"]["inputs"]["base"] = ["other", 0]
    assert "base is 300 x 300 and the layout was planned for 640 x 480" in refused(run_prompt, small)
    masked = redone(tiles="3", mask=["mask", 0]) | rectangle(0, 0, 9, 9, (300, 300)) | look
    assert "mask is 300 x 300 and the layout was planned for 640 x 480" in refused(run_prompt, masked)
    cut = redone(tiles="3") | look
    cut["out"] = blend(["work", 0], ["again", 1], "multiband")
    cut["out"]["inputs"]["base"] = ["1", 0]
    assert "multiband works on all tiles of a grid together, and some are not here: use auto or hann" in refused(run_prompt, cut)
    checked = redone(tiles="3") | {
        "check": node("TileworkSeamCheck", image=["out", 0], layout=["again", 1], threshold=5.0, on_fail="report")
    }
    assert "the layout has 1 of 12 tiles, and Seam Check needs all of them" in refused(run_prompt, checked)


SMOOTH = {"1": source(WIDTH, HEIGHT, kind="smooth")}
# Noise, enlarged: soft shapes everywhere.
SHAPES = {
    "small": source(WIDTH // 8, HEIGHT // 8),
    "1": node("ImageScale", image=["small", 0], upscale_method="bicubic", width=WIDTH, height=HEIGHT, crop="disabled"),
}


def repaired(seamed, by, picture, method="none"):
    """A picture with seams, checked, and its failed boundaries put in anew from `by`: what a perfect model would paint."""
    prompt = {
        **picture,
        "first": split(["1", 0], tile=TILE, overlap=OVERLAP),
        "drift": seamed,
        "seams": blend(["drift", 0], ["first", 1], method),
        "check": node("TileworkSeamCheck", image=["seams", 0], layout=["first", 1], threshold=5.0, on_fail="report", reference=["1", 0]),
        "regions": node(
            "TileworkMaskTiles", mask=["check", 6], tile_width=128, tile_height=128, overlap=32, margin=32, multiple_of=8, fit="cover"
        ),
        "again": split(["seams", 0], layout=["regions", 0]),
        "work": split(by, layout=["regions", 0]),
        "out": blend(["work", 0], ["again", 1]),
        "after": node("TileworkSeamCheck", image=["out", 0], layout=["first", 1], threshold=5.0, on_fail="report", reference=["1", 0]),
        "said": node("PreviewAny", source=["check", 3]),
        "then": node("PreviewAny", source=["after", 3]),
        "5": node("TileworkTestCompare", a=["out", 0], b=["seams", 0]),
    }
    prompt["out"]["inputs"].update(base=["seams", 0], mask=["regions", 2])
    return prompt


FAULTS = {
    "drift": (node("TileworkTestLighten", images=["first", 0], index=5, levels=8.0), SMOOTH, "none"),
    "ghost": (node("TileworkTestShift", images=["first", 0], index=5, by=16), SHAPES, "hann"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_seam_check_finds_is_painted_anew_and_passes(report, run_entry, fault):
    seamed, picture, method = FAULTS[fault]
    prompt = repaired(seamed, ["1", 0], picture, method)
    outputs = run_entry(prompt)["outputs"]
    assert outputs["said"]["text"] == ["False"] and outputs["then"]["text"] == ["True"]
    far = (0, 0, GRID.tiles[5].x - 80, HEIGHT)
    look = {"a": crop(["out", 0], *far), "b": crop(["seams", 0], *far), "6": node("TileworkTestCompare", a=["a", 0], b=["b", 0])}
    (said,) = report(prompt | look, "6")
    assert said["max_abs"] == 0, "beside the regions nothing has changed"


def test_where_it_passes_at_once_nothing_is_painted(follow, report):
    prompt = repaired(node("TileworkTestSlow", image=["first", 0], seconds=0.0), ["slow", 0], SMOOTH)
    prompt["slow"] = node("TileworkTestSlow", image=["1", 0], seconds=0.0)
    messages = follow(prompt)
    assert not {"work", "slow"} & {data.get("node") for kind, data in messages if kind == "executing"}
    (said,) = report(prompt, "5")
    assert said["max_abs"] == 0
