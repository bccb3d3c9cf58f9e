"""Which nodes are the work of one tile, in workflows of every form; and the prompts that they are taken apart into."""

import pytest
from tilework.blending.composition.methods import TABLE
from tilework.machines.tile_graph import STREAMED, CannotSplitError, tile_work
from tilework.machines.tile_prompts import after_blend_prompt, cut_prompt, rest_prompt, tile_prompt


def kind(outputs, lists=None, takes_list=False, end=False):
    return {"output": outputs, "output_is_list": lists or [False] * len(outputs), "is_input_list": takes_list, "output_node": end}


KINDS = {
    "LoadImage": kind(["IMAGE", "MASK"]),
    "Loader": kind(["MODEL"]),
    "Prompts": kind(["CONDITIONING"], [True], takes_list=True),
    "TileworkTileSplit": kind(["IMAGE", "TILE_LAYOUT", "INT"], [True, False, False]),
    "TileworkSeamBlend": kind(["IMAGE", "MASK"], [True, True], takes_list=True),
    "TileworkColorMatch": kind(["IMAGE"], [True], takes_list=True),
    "TileworkLatentTileDenoise": kind(["LATENT"]),
    "Work": kind(["IMAGE"]),
    "Encode": kind(["LATENT"]),
    "Decode": kind(["IMAGE"]),
    "Measure": kind(["FLOAT"]),
    "SaveImage": kind(["IMAGE"], end=True),
    "PreviewImage": kind([], end=True),
    "TileworkReadTile": kind(["IMAGE"], [True]),
    "TileworkWriteTile": kind(["IMAGE"], [True], takes_list=True, end=True),
}


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def workflow(method="hann", **more):
    made = {
        "load": node("LoadImage", image="a.png"),
        "split": node("TileworkTileSplit", image=["load", 0], tile_width=64),
        "model": node("Loader", name="m"),
        "work": node("Work", image=["split", 0], model=["model", 0], seed=5),
        "blend": node("TileworkSeamBlend", tiles=["work", 0], layout=["split", 1], method=method, trim=0, scale=0.0),
        "save": node("SaveImage", images=["blend", 0], filename_prefix="x"),
    }
    return {**made, **more}


def of(prompt, save="save"):
    return tile_work(prompt, KINDS, save)


def test_the_plain_case():
    work = of(workflow())
    assert (work.splits, work.nodes, work.results) == (("split",), ("work",), (("work", 0),))
    assert work.blend.node == "blend" and work.blend.method == "hann" and work.blend.saved and not work.why_not


def test_the_prompts_of_the_plain_case():
    made = workflow(preview=node("PreviewImage", images=["work", 0]))
    work = of(made)
    assert work.left_out == ("preview",)
    cut = cut_prompt(made, work, "k")
    assert sorted(cut) == ["load", "split", "tilework write 0"]
    assert cut["tilework write 0"]["inputs"] == {"tiles": ["split", 0], "name": "k/cut0", "first": 0, "layout": ["split", 1]}
    tile = tile_prompt(made, work, "k", 7, 9)
    assert sorted(tile) == ["model", "tilework read 0", "tilework write 0", "work"]
    assert tile["work"]["inputs"] == {"image": ["tilework read 0", 0], "model": ["model", 0], "seed": 5}
    assert tile["tilework read 0"]["inputs"] == {"name": "k/cut0", "first": 7, "count": 1}
    assert tile["tilework write 0"]["inputs"] == {"tiles": ["work", 0], "name": "k/tile0", "first": 7}
    rest = rest_prompt(made, work, "k", 9)
    assert sorted(rest) == ["blend", "load", "save", "split", "tilework read 0"]
    assert rest["tilework read 0"]["inputs"] == {"name": "k/tile0", "first": 0, "count": 9}
    after = after_blend_prompt(made, work, "k")
    assert sorted(after) == ["save", "tilework read 0"] and after["save"]["inputs"]["images"] == ["tilework read 0", 0]
    assert made == workflow(preview=node("PreviewImage", images=["work", 0])), "the workflow itself is as it was"


def test_the_methods_that_stream_are_those_that_go_over_the_tiles_once():
    assert set(STREAMED) == {name for name, method in TABLE.items() if not method.again}


@pytest.mark.parametrize("method", sorted(set(TABLE) - set(STREAMED)))
def test_methods_that_need_all_tiles_run_where_all_tiles_are(method):
    work = of(workflow(method))
    assert work.nodes == ("work",) and work.blend is None and method in work.why_not


def test_joint_nodes_run_where_all_tiles_are():
    made = workflow(
        match=node("TileworkColorMatch", images=["work", 0], layout=["split", 1], method="gain compensation"),
        blend=node("TileworkSeamBlend", tiles=["match", 0], layout=["split", 1], method="hann", trim=0, scale=0.0),
    )
    work = of(made)
    assert work.nodes == ("work",) and work.blend is None and "TileworkColorMatch" in work.why_not
    rest = rest_prompt(made, work, "k", 9)
    assert rest["match"]["inputs"]["images"] == ["tilework read 0", 0] and "work" not in rest and "model" not in rest


def test_what_is_no_picture_is_not_kept():
    """The work ends at the last picture: a latent, or a number, goes on where all tiles are."""
    made = workflow(
        encode=node("Encode", pixels=["work", 0]),
        decode=node("Decode", samples=["encode", 0], layout=["split", 1]),
        blend=node("TileworkSeamBlend", tiles=["decode", 0], layout=["split", 1], method="hann", trim=0, scale=0.0),
    )
    work = of(made)
    assert work.nodes == ("work",) and work.results == (("work", 0),) and work.blend is None


def test_latents_within_the_work_are_part_of_it():
    made = workflow(
        encode=node("Encode", pixels=["split", 0]),
        work=node("Decode", samples=["encode", 0], model=["model", 0]),
    )
    assert of(made).nodes == ("encode", "work")


def test_a_list_from_elsewhere_ends_the_work():
    made = workflow(
        prompts=node("Prompts", text="a"),
        sharpen=node("Work", image=["work", 0]),
        work=node("Work", image=["split", 0]),
        paint=node("Work", image=["sharpen", 0], positive=["prompts", 0]),
        blend=node("TileworkSeamBlend", tiles=["paint", 0], layout=["split", 1], method="hann", trim=0, scale=0.0),
    )
    work = of(made)
    assert work.nodes == ("work", "sharpen") and work.results == (("sharpen", 0),) and work.blend is None
    with pytest.raises(CannotSplitError, match="list from elsewhere"):
        of({**made, "sharpen": node("Work", image=["load", 0]), "paint": node("Work", image=["split", 0], positive=["prompts", 0])})


def test_the_count_is_a_number():
    made = workflow(work=node("Work", image=["split", 0], number=["split", 2]))
    assert tile_prompt(made, of(made), "k", 0, 9)["work"]["inputs"]["number"] == 9
    through = workflow(half=node("Measure", a=["split", 2]), work=node("Work", image=["split", 0], number=["half", 0]))
    work = of(through)
    assert work.nodes == ("work",) and tile_prompt(through, work, "k", 0, 9)["half"]["inputs"]["a"] == 9


def test_a_second_split_by_the_same_layout_goes_along():
    made = workflow(
        depth=node("LoadImage", image="depth.png"),
        second=node("TileworkTileSplit", image=["depth", 0], layout=["split", 1]),
        work=node("Work", image=["split", 0], depth=["second", 0]),
    )
    work = of(made)
    assert set(work.splits) == {"split", "second"}
    assert {"tilework write 0", "tilework write 1"} <= set(cut_prompt(made, work, "k"))
    tile = tile_prompt(made, work, "k", 3, 9)
    names = {tile[tile["work"]["inputs"][key][0]]["inputs"]["name"] for key in ("image", "depth")}
    assert names == {"k/cut0", "k/cut1"}


def test_splits_of_their_own_are_refused():
    made = workflow(
        second=node("TileworkTileSplit", image=["load", 0], tile_width=32), work=node("Work", image=["split", 0], depth=["second", 0])
    )
    with pytest.raises(CannotSplitError, match="layouts of their own"):
        of(made)


def test_a_second_round_runs_where_all_tiles_are():
    made = workflow(
        again=node("TileworkTileSplit", image=["blend", 0], tile_width=64),
        more=node("Work", image=["again", 0]),
        end=node("TileworkSeamBlend", tiles=["more", 0], layout=["again", 1], method="hann", trim=0, scale=0.0),
        save=node("SaveImage", images=["end", 0], filename_prefix="x"),
    )
    work = of(made)
    assert work.splits == ("split",) and work.nodes == ("work",) and work.blend.node == "blend" and not work.blend.saved
    assert sorted(after_blend_prompt(made, work, "k")) == ["again", "end", "more", "save", "tilework read 0"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"split": node("LoadImage", image="a.png")}, "no Tile Split"),
        ({"work": node("TileworkColorMatch", images=["split", 0])}, "takes all tiles"),
        ({"work": node("Work", image=["split", 0], layout=["split", 1])}, "uses the layout"),
        ({"work": node("Measure", image=["split", 0])}, "no picture"),
        ({"work": node("Work", image=["load", 0])}, "no node takes the tiles"),
        ({"work": node("Unheard", image=["split", 0])}, "does not know these nodes: Unheard"),
        ({"load": node("Work", image=["work", 0])}, "circle"),
        ({"many": node("Prompts"), "split": node("TileworkTileSplit", image=["many", 0])}, "gets a list"),
        ({"split": node("TileworkLatentTileDenoise", image=["load", 0])}, "every step of sampling"),
    ],
)
def test_what_cannot_be_given_out_is_refused_in_words(more, words):
    with pytest.raises(CannotSplitError, match=words):
        of(workflow(**more))


@pytest.mark.parametrize("extra", [{"base": ["load", 0]}, {"mask": ["load", 1]}, {"trim": ["model", 0]}])
def test_a_blend_that_takes_more_is_not_streamed(extra):
    made = workflow()
    made["blend"]["inputs"].update(extra)
    work = of(made)
    assert work.blend is None and work.why_not


def test_a_blend_whose_seams_are_used_is_not_streamed():
    made = workflow(after=node("Work", image=["blend", 0], mask=["blend", 1]), save=node("SaveImage", images=["after", 0]))
    assert "seams" in of(made).why_not
