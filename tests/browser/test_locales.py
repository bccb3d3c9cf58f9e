"""The pack in other languages: what the real front end shows of every node, in both renderers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "locales"
LANGUAGES = sorted(path.name for path in FOLDER.iterdir())
RENDERERS = {"classic": False, "nodes 2.0": True}
READY = "() => window.app?.graph && Object.keys(window.LiteGraph?.registered_node_types ?? {}).length > 100"
NODE = """async (type) => {
  // Not clear(): it gives numbers out anew, and the front end keeps the labels of widgets by node number.
  for (const old of [...app.graph._nodes]) app.graph.remove(old);
  const node = LiteGraph.createNode(type);
  node.pos = [20, 40];
  app.graph.add(node);
  app.canvas.ds.scale = 1;
  app.canvas.ds.offset = [20, 20];
  app.canvas.setDirty(true, true);
  await new Promise((done) => setTimeout(done, 250));
  const said = (slot) => slot.label ?? slot.localized_name ?? slot.name;
  return {
    title: node.title,
    inputs: Object.fromEntries([...(node.inputs ?? []), ...(node.widgets ?? [])].map((one) => [one.name, said(one)])),
    outputs: (node.outputs ?? []).map(said),
    combos: (node.widgets ?? []).filter((one) => one.type === "combo").map((one) => one.value),
    shown: document.querySelector("[data-node-id]")?.innerText ?? "",
  };
}"""


@pytest.fixture(scope="module", params=LANGUAGES)
def translated(request, browser, server):
    """A page in a language, its words, and what went wrong in it."""
    settings = server.base / "user" / "default" / "comfy.settings.json"
    before = settings.read_text("utf-8")
    settings.write_text(json.dumps({**json.loads(before), "Comfy.Locale": request.param, "Comfy.TutorialCompleted": True}), "utf-8")
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        page.goto(server.url, wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=120_000)
        page.wait_for_timeout(1200)
        yield page, json.loads((FOLDER / request.param / "nodeDefs.json").read_text("utf-8")), errors
    finally:
        page.close()
        settings.write_text(before, "utf-8")


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_node_shows_its_translated_names(translated, renderer):
    page, words, errors = translated
    page.evaluate("on => app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)", RENDERERS[renderer])
    page.wait_for_timeout(500)
    known = page.evaluate("() => Object.keys(LiteGraph.registered_node_types)")
    nodes = [name for name in words if name in known]
    assert len(nodes) >= 10
    for name in nodes:
        seen, entry = page.evaluate(NODE, name), words[name]
        assert seen["title"] == entry["display_name"]
        assert seen["outputs"] == [entry["outputs"][str(i)]["name"] for i in range(len(seen["outputs"]))], name
        for key, label in entry["inputs"].items():
            assert seen["inputs"][key] == label["name"], f"{name}.{key}"
        if RENDERERS[renderer]:
            for text in (entry["display_name"], *(label["name"] for label in entry["outputs"].values())):
                assert text in seen["shown"], f"{name}: {text} is not to be seen in {seen['shown']!r}"
    assert errors == []


def test_a_translated_node_is_the_same_node(translated):
    """Names of inputs and values of combos are what workflows hold: they stay as they are."""
    page, words, _ = translated
    assert page.evaluate(NODE, "TileworkSeamBlend")["combos"] == ["auto"]
    ((sent,),) = page.evaluate("async () => [Object.values((await app.graphToPrompt()).output).map((one) => one.inputs)]")
    assert sent["method"] == "auto"
    assert {"method", "trim", "scale"} <= set(sent) <= set(words["TileworkSeamBlend"]["inputs"])
