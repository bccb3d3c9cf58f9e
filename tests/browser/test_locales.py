"""The pack in other languages: what the real front end shows of every node, in both renderers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tilework.tools.server.front_page import RENDERERS, FrontPage

FOLDER = Path(__file__).resolve().parents[2] / "locales"
LANGUAGES = sorted(path.name for path in FOLDER.iterdir())
# A node alone in the page, and what is to be read of it; Nodes 2.0 gets some time to draw the words that are waited for.
NODE = """async ([type, wanted]) => {
  // Not clear(): it gives numbers out anew, and the front end keeps the labels of widgets by node number.
  for (const old of [...app.graph._nodes]) app.graph.remove(old);
  const node = F.add(type, 20, 40);
  F.view(1, 20, 20);
  const shown = () => document.querySelector(`[data-node-id="${node.id}"]`)?.innerText ?? "";
  await F.frame();
  await F.until(() => wanted.every((text) => shown().includes(text)), type, 10).catch(() => {});
  const said = (slot) => slot.label ?? slot.localized_name ?? slot.name;
  return {
    title: node.title,
    inputs: Object.fromEntries([...(node.inputs ?? []), ...(node.widgets ?? [])].map((one) => [one.name, said(one)])),
    outputs: (node.outputs ?? []).map(said),
    combos: (node.widgets ?? []).filter((one) => one.type === "combo").map((one) => one.value),
    shown: shown(),
  };
}"""


@pytest.fixture(scope="module", params=LANGUAGES)
def translated(request, browser, server):
    """A page in a language, and its words."""
    settings = server.base / "user" / "default" / "comfy.settings.json"
    before = settings.read_text("utf-8")
    settings.write_text(json.dumps({**json.loads(before), "Comfy.Locale": request.param}), "utf-8")
    try:
        front = FrontPage(browser, server.url, vue=False, viewport={"width": 1100, "height": 1000})
        yield front, json.loads((FOLDER / request.param / "nodeDefs.json").read_text("utf-8"))
        front.page.close()
    finally:
        settings.write_text(before, "utf-8")


def test_every_node_shows_its_translated_names(translated):
    front, words = translated
    known = front.do("() => Object.keys(LiteGraph.registered_node_types)")
    nodes = [name for name in words if name in known]
    assert len(nodes) >= 10
    # One page for both renderers: to load it in another language costs more than all that is looked at in it.
    for vue in RENDERERS.values():
        front.draw_with(vue)
        for name in nodes:
            entry = words[name]
            wanted = [entry["display_name"], *(label["name"] for label in entry["outputs"].values())] if vue else []
            seen = front.do(NODE, [name, wanted])
            assert seen["title"] == entry["display_name"]
            assert seen["outputs"] == [entry["outputs"][str(i)]["name"] for i in range(len(seen["outputs"]))], name
            for key, label in entry["inputs"].items():
                assert seen["inputs"][key] == label["name"], f"{name}.{key}"
            for text in wanted:
                assert text in seen["shown"], f"{name}: {text} is not to be seen in {seen['shown']!r}"
    assert [said for said in front.said if said.startswith("page error")] == []


def test_a_translated_node_is_the_same_node(translated):
    """Names of inputs and values of combos are what workflows hold: they stay as they are."""
    front, words = translated
    assert front.do(NODE, ["TileworkSeamBlend", []])["combos"] == ["auto"]
    (sent,) = (one["inputs"] for one in front.do("() => F.prompt()").values())
    assert sent["method"] == "auto"
    assert {"method", "trim", "scale"} <= set(sent) <= set(words["TileworkSeamBlend"]["inputs"])
