"""Tiles that all come back with another number of pictures than was cut, through the real server and the core's own nodes."""

import json

import pytest
from tilework.tests.host.prompts import blend, node, source, split
from tilework.tools.server.workflow import WorkflowError as HostRunError

FRAMES = 16


def first(count, link):
    """The first `count` frames."""
    return node("ImageFromBatch", image=list(link), batch_index=0, length=count)


def twice(link):
    return node("RepeatImageBatch", image=list(link), amount=2)


def prompt_of(via, batch=FRAMES):
    """Picture 1, split 2, `via` on the tiles 3 and on the picture 6, blend 4, compare 5."""
    return {
        "1": source(150, 100, batch=batch, seed=9),
        "2": split(["1", 0], tile=64, overlap=16),
        "3": via(("2", 0)),
        "4": blend(["3", 0], ["2", 1]),
        "6": via(("1", 0)),
        "5": node("TileworkTestCompare", a=["4", 0], b=["6", 0]),
    }


@pytest.mark.parametrize(("via", "batch", "count"), [(lambda link: first(13, link), 16, 13), (twice, 16, 32), (twice, 1, 2)])
def test_pictures(run_prompt, via, batch, count):
    prompt = prompt_of(via, batch)
    prompt["7"] = node(
        "TileworkColorMatch", images=["3", 0], layout=["2", 1], reference=["6", 0], method="mkl", strength=1.0, unchanged_only=0.0
    )
    prompt["8"] = blend(["7", 0], ["2", 1])
    prompt["9"] = node("TileworkTestCompare", a=["8", 0], b=["6", 0])
    prompt["10"] = node("MaskToImage", mask=["4", 1])
    prompt["11"] = node("TileworkTestCount", images=["10", 0])
    prompt["12"] = node("TileworkSeamCheck", image=["4", 0], layout=["2", 1], tiles=["3", 0], threshold=5.0, on_fail="report")
    outputs = run_prompt(prompt)
    for key in ("5", "9"):
        (said,) = [json.loads(text) for text in outputs[key]["text"]]
        assert said["shape_a"] == said["shape_b"] == [count, 100, 150, 3] and said["max_abs"] <= 1e-6
    were = "was" if batch == 1 else "were"
    assert f"{count} pictures came back of every tile, {batch} {were} cut" in outputs["4"]["text"][0]
    (seams,) = [json.loads(text) for text in outputs["11"]["text"]]
    assert seams["shapes"] == [[count, 100, 150, 3]]
    assert f"in {count} pictures" in outputs["12"]["text"][0]


@pytest.mark.parametrize(("nodes", "count"), [("LatentFromBatch", 13), ("RepeatLatentBatch", 32)])
def test_latents(run_prompt, nodes, count):
    def via(link):
        return node(nodes, samples=list(link), **({"batch_index": 0, "length": 13} if count == 13 else {"amount": 2}))

    prompt = {
        "1": node(
            "TileworkTestLatent", width=30, height=20, batch=FRAMES, channels=4, frames=0, seed=3, downscale_ratio=0, mask="1x", mask_batch=FRAMES
        ),
        "2": node("TileworkLatentTileSplit", samples=["1", 0], tile_width=128, tile_height=128, overlap=32, multiple_of=8, downscale=0),
        "3": via(("2", 0)),
        "4": node("TileworkLatentSeamBlend", tiles=["3", 0], layout=["2", 1], method="hann", trim=0),
        "6": via(("1", 0)),
        "5": node("TileworkTestCompareLatent", a=["4", 0], b=["6", 0]),
    }  # fmt: skip
    outputs = run_prompt(prompt)
    (said,) = [json.loads(text) for text in outputs["5"]["text"]]
    assert said["samples_shape_a"] == [count, 4, 20, 30] and said["samples_max_abs"] <= 1e-6
    assert said["mask_shape_a"] == said["mask_shape_b"] and said["mask_max_abs"] <= 1e-6 and said["batch_index_equal"]
    assert f"{count} pictures came back of every tile, 16 were cut" in outputs["4"]["text"][0]


def test_what_cannot_be_told_apart_is_refused(run_prompt):
    prompt = prompt_of(lambda link: first(13, link))
    prompt["20"] = node("TileworkTestDrop", images=["3", 0], index=2)
    prompt["4"] = blend(["20", 0], ["2", 1])
    with pytest.raises(HostRunError, match=r"the layout has 96 tile pictures.* and 65 came: a tile is missing"):
        run_prompt(prompt)
    prompt["20"] = node("RebatchImages", images=["3", 0], batch_size=26)
    with pytest.raises(HostRunError, match="and 78 came: a tile is missing"):
        run_prompt(prompt)
    prompt = prompt_of(lambda link: first(13, link))
    prompt["4"] = node(
        "TileworkColorMatch", images=["3", 0], layout=["2", 1], reference=["1", 0], method="mkl", strength=1.0, unchanged_only=0.0
    )
    with pytest.raises(HostRunError, match="reference has a batch of 16"):
        run_prompt(prompt)
