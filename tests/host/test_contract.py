"""The pack's public contract: saved workflows must open for ever.

`contract.json` holds what a saved workflow depends on. Any difference fails. Only growth at
the end is allowed: new nodes, new optional inputs after the last, new combo values after the last, new
outputs after the last. After such a change write it anew with TILEWORK_WRITE_CONTRACT=1 and look at the difference.
"""

import copy
import json
import os
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("contract.json")

GROUPS = {
    f"Tilework/{group}"
    for group in ("1 Start here", "2 Cut and blend", "3 Sampling", "4 Check", "5 Sizes", "6 Regions and repair", "7 Coherence")
}


def contract(object_info):
    """What a saved workflow depends on, of every node of the pack."""
    return {
        name: node_contract(info)
        for name, info in sorted(object_info.items())
        if name.startswith("Tilework") and not name.startswith("TileworkTest")
    }


def node_contract(info):
    inputs = []
    for category, names in info["input_order"].items():
        # "hidden" is what the host tells a node by itself; it is no part of a workflow.
        for name in names if category != "hidden" else ():
            kind, options = info["input"][category][name]
            inputs.append(
                {"name": name, "category": category, "type": kind, "default": options.get("default"), "options": options.get("options")}
            )
    outputs = [
        {"name": name, "type": kind, "list": is_list}
        for name, kind, is_list in zip(info["output_name"], info["output"], info["output_is_list"], strict=True)
    ]
    return {"category": info["category"], "inputs": inputs, "input_is_list": info.get("is_input_list", False), "outputs": outputs}


def test_the_contract_holds(object_info):
    now = contract(object_info)
    if os.environ.get("TILEWORK_WRITE_CONTRACT"):
        FILE.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    assert now == json.loads(FILE.read_text(encoding="utf-8"))


def _rename(node):
    node["input"]["required"]["other"] = node["input"]["required"].pop("tile_width")
    node["input_order"]["required"][1] = "other"


def _reorder(node):
    order = node["input_order"]["required"]
    order[1], order[2] = order[2], order[1]


@pytest.mark.parametrize(
    "change",
    [
        _rename,
        _reorder,
        lambda node: node["input"]["required"]["overlap"].__setitem__(0, "FLOAT"),
        lambda node: node["input"]["required"]["overlap"][1].update(default=64),
        lambda node: node["output_is_list"].__setitem__(0, False),
        lambda node: (node["output"].reverse(), node["output_name"].reverse(), node["output_is_list"].reverse()),
        lambda node: node["input_order"]["optional"].clear(),
    ],
    ids=["name", "order", "type", "default", "list-ness", "output order", "removed"],
)
def test_the_contract_sees_every_breaking_change(object_info, change):
    info = {"TileworkTileSplit": copy.deepcopy(object_info["TileworkTileSplit"])}
    before = contract(info)
    change(info["TileworkTileSplit"])
    assert contract(info) != before
    assert contract({"TileworkOther": object_info["TileworkTileSplit"]}) != before


def test_every_input_and_output_has_a_tooltip(object_info):
    names = [name for name in contract(object_info)]
    assert len(names) >= 4
    for name in names:
        info = object_info[name]
        assert info["display_name"] and info["description"] and info["category"] in GROUPS
        for category, inputs in info["input"].items():
            for key, (_, options) in inputs.items() if category != "hidden" else ():
                assert len(options.get("tooltip", "")) > 15, f"{name}.{key}"
        assert all(len(tip or "") > 10 for tip in info["output_tooltips"]), name
        assert info["search_aliases"], name


def test_a_size_that_is_typed_stays_what_it_is(object_info):
    # The editor snaps whole numbers to min + k * step: with min 1 and step 8, 512 becomes 513.
    seen = 0
    for name in contract(object_info):
        for category, inputs in object_info[name]["input"].items():
            for key, (kind, options) in inputs.items() if category != "hidden" else ():
                if kind == "INT" and options.get("step", 1) > 1:
                    seen += 1
                    assert options["min"] % options["step"] == 0 and options["default"] % options["step"] == 0, f"{name}.{key}"
    assert seen >= 8
