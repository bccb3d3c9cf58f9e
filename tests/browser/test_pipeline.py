"""A pipeline wired by mouse, run by the Run button, saved by the menu's key, and opened again: from the file and by F5."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from PIL import Image

pytestmark = pytest.mark.two_front_ends

NODES = """async (prefix) => {
  F.add("LoadImage", 80, 130, { image: "example.png" });
  F.add("TileworkTileSplit", 420, 130, { tile_width: 256, tile_height: 256, overlap: 32 });
  F.add("ImageScaleBy", 800, 130, { upscale_method: "bicubic", scale_by: 1.5 });
  F.add("TileworkSeamBlend", 800, 420, { method: "hann" });
  F.add("PreviewImage", 1180, 250);
  F.add("SaveImage", 1180, 560, { filename_prefix: prefix });
  await F.until(() => F.node(1).imgs?.length || document.querySelector('[data-node-id="1"] img')?.naturalWidth, "the photograph in Load Image");
  await F.rest();
}"""
# A name of its own for each renderer: the server does not do again what it has done.
RESULT = {False: "classic", True: "nodes2"}
# From node, output, to node, input.
LINKS = [(1, 0, 2, "image"), (2, 0, 3, "image"), (3, 0, 4, "tiles"), (2, 1, 4, "layout"), (4, 0, 5, "images"), (4, 0, 6, "images")]
ENDS = """([from, output, to, input]) => {
  const slot = F.node(to).inputs.findIndex((one) => one.name === input);
  return [F.screen(F.node(from).getOutputPos(output)), F.screen(F.node(to).getInputPos(slot))];
}"""
SHOWN = """(id) => {
  const own = F.node(id).imgs?.[0];
  const drawn = document.querySelector(`[data-node-id="${id}"] img`);
  const width = (LiteGraph.vueNodesMode ? drawn : own)?.naturalWidth;
  return width > 0 && width;
}"""


@pytest.fixture(scope="module")
def wired(front):
    """The page with the pipeline in it, every link drawn with the mouse."""
    front.clear()
    front.do(NODES, f"browser/{RESULT[front.vue]}")
    for link in LINKS:
        front.drag(*front.do(ENDS, list(link)))
    assert front.complaints() == []
    return front


def test_the_mouse_has_wired_it(wired):
    prompt = wired.do("() => F.prompt()")
    for start, output, end, name in LINKS:
        assert prompt[str(end)]["inputs"][name] == [str(start), output]


def test_it_runs_and_shows_its_pictures(wired, server):
    wired.posted.clear()
    wired.page.get_by_test_id("queue-button").click()
    for node in (5, 6):
        wired.do(f"() => F.until(() => ({SHOWN})({node}), 'the picture in node {node}')")
    # The nodes of the pack show where their tiles lie: what they sent came in.
    for node in (2, 4):
        wired.do(f"() => F.until(() => Object.keys(app.nodeOutputs[{node}] ?? {{}}).length, 'what node {node} sent')")
    (file,) = (server.base / "output" / "browser").glob(f"{RESULT[wired.vue]}_*.png")
    with Image.open(file) as picture:
        assert picture.size == (768, 768)
    assert len(wired.posted) == 1
    assert wired.complaints() == []


def test_it_is_saved_and_the_file_and_the_reloaded_page_give_the_same_prompt(wired, server):
    before = wired.do("() => F.prompt()")
    name = f"tiles and seams {RESULT[wired.vue]}"
    wired.page.mouse.click(1000, 950)
    wired.page.keyboard.press("Control+s")
    box = wired.page.get_by_role("dialog").get_by_role("textbox")
    box.fill(name)
    box.press("Enter")
    file = server.base / "user" / "default" / "workflows" / f"{name}.json"
    address = f"/userdata/{quote(f'workflows/{name}.json', safe='')}"
    wired.do("address => F.until(async () => (await app.api.fetchApi(address)).ok, 'it is saved')", address)
    saved = json.loads(file.read_text("utf-8"))
    assert [node["type"] for node in saved["nodes"]] == wired.do("() => F.types()")

    wired.reload()
    assert wired.do("() => F.prompt()") == before, "after F5"
    wired.do("() => F.clear()")
    assert wired.do("() => F.prompt()") == {}
    wired.do("saved => app.loadGraphData(saved)", saved)
    assert wired.do("() => F.prompt()") == before, "from the file"
    again = wired.do("() => F.workflow()")
    for one, other in zip(saved["nodes"], again["nodes"], strict=True):
        # Front ends differ in whether a node without widgets has an empty list, or none.
        assert (one.get("widgets_values") or []) == (other.get("widgets_values") or []), one["type"]
    assert wired.complaints() == []
