"""The templates, opened from the template browser as a person does, looked over, and run with the test models put in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tilework.tests.host.test_sampling_workflows import with_test_models
from tilework.tools.server.front_page import VIEWPORT
from tilework.tools.server.workflow import convert

pytestmark = pytest.mark.two_front_ends

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "example_workflows"
SHOTS = ROOT / "output" / "screenshots" / "opened"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
# Those that tests/host run as they are saved, and measure what comes of them.
ON_SERVER = "".join((ROOT / "tests" / "host" / f"test_{name}.py").read_text("utf-8") for name in ("workflows", "sampling_workflows"))
RUN_HERE = [name for name in NAMES if name not in ON_SERVER]
THUMBNAILS = """() => Object.fromEntries([...document.querySelectorAll("[data-testid^=template-workflow-]")].map((card) => [
  card.dataset.testid.replace("template-workflow-", ""), card.querySelector("img")?.naturalWidth ?? 0]))"""
# Pairs of nodes that lie on each other, and nodes that stick out of every group, as this renderer draws them.
CLASHES = """() => {
  const boxes = app.graph._nodes.map((node) => [`${node.id} ${node.title}`, F.box(node)]);
  const found = [];
  boxes.forEach(([one, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
    if (a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]) found.push(`${one} and ${other}`);
  }));
  for (const [one, box] of boxes) for (const group of app.graph._groups) {
    const [x, y, w, h] = [...group.pos, ...group.size];
    const inside = [box[0] >= x, box[2] <= x + w, box[1] >= y, box[3] <= y + h];
    const apart = box[2] <= x || box[0] >= x + w || box[3] <= y || box[1] >= y + h;
    if (!apart && !inside.every(Boolean)) found.push(`${one} sticks out of "${group.title}"`);
  }
  return found;
}"""


# How it opens: the zoom, whether the first note can be seen, and what our nodes say against its wires.
OPENED = """async () => {
  const { wrongWires } = await import("/extensions/tilework/js/tiles/wiring.js");
  const canvas = app.canvas.canvas.getBoundingClientRect();
  const [left, top, right, bottom] = F.box(app.graph._nodes.find((node) => node.type === "MarkdownNote"));
  const [[x0, y0], [x1, y1]] = [F.screen([left, top]), F.screen([right, bottom])];
  return {
    zoom: app.canvas.ds.scale,
    note: [x0 >= canvas.left, y0 >= canvas.top, x1 <= canvas.right, y1 <= canvas.bottom],
    wrong: app.graph._nodes.map(wrongWires).filter(Boolean),
  };
}"""
LEAST_ZOOM = 0.6  # the host draws no text below it
LAPTOP = {"width": 1440, "height": 900}


@pytest.fixture
def laptop(clean):
    """The page on the screen of a laptop, dark in Nodes 2.0 and light in the other renderer."""
    clean.page.set_viewport_size(LAPTOP)
    clean.set("Comfy.ColorPalette", "dark" if clean.vue else "light")
    yield clean
    clean.set("Comfy.ColorPalette", "dark")
    clean.page.set_viewport_size(VIEWPORT)


def open_templates(front) -> None:
    """The template browser at the pack's own page."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    front.do("() => app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    dialog = front.page.get_by_role("dialog")
    dialog.get_by_test_id("template-workflows-content").wait_for()
    # The first is in the list at the side; newer front ends head the cards with it too.
    entry = dialog.get_by_text("tilework", exact=True).first
    heading = dialog.get_by_text("Extensions", exact=True)
    heading.wait_for()
    # The extensions' names are folded away or not, and a click on a heading that has just come up does nothing.
    for _ in range(20):
        try:
            entry.click(timeout=2000)
            break
        except PlaywrightTimeout:
            heading.click()
    front.page.get_by_test_id(f"template-workflow-{NAMES[0]}").wait_for()


def choose(front, name):
    """Open the template `name`. A click on a card that is still moving into its place does nothing, and is done again."""
    from playwright.sync_api import TimeoutError as PlaywrightTimeout

    for _ in range(6):
        front.page.get_by_test_id(f"template-workflow-{name}").click()
        try:
            front.page.get_by_role("dialog").wait_for(state="detached", timeout=10_000)
            return
        except PlaywrightTimeout:
            continue
    raise AssertionError(f"the template {name} does not open")


# What a click on a card does in the end; the dialog with all its pictures takes longer than the template.
OPEN = """async (name) => {
  const answer = await app.api.fetchApi(`/workflow_templates/tilework/${encodeURIComponent(name)}.json`);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  await app.loadGraphData(await answer.json(), true, true, name, { openSource: "template" });
}"""


def shortened(prompt):
    """The prompt with one step to sample, nothing enlarged before, and large canvases an eighth as large.

    What it makes is measured in tests/host.
    """
    large = any(part["class_type"] == "EmptyLatentImage" and part["inputs"]["width"] >= 1024 for part in prompt.values())
    for part in prompt.values():
        for name in {"width", "height", "tile_width", "tile_height", "overlap"} & set(part["inputs"]) if large else ():
            if isinstance(part["inputs"][name], int) and part["inputs"][name] > 0 and "mode" not in part["inputs"]:
                part["inputs"][name] = part["inputs"][name] // 64 * 8
        if "steps" in part["inputs"]:
            part["inputs"]["steps"] = 1
        if part["class_type"] == "ImageScaleBy":
            part["inputs"]["scale_by"] = 1.0
    return prompt


def parts_of(prompt):
    """What of a prompt decides its result."""
    return {key: (part["class_type"], part["inputs"]) for key, part in prompt.items()}


# The dialog is the same in both renderers, and to draw it is dear: it shows hundreds of the host's own.
@pytest.mark.renderer("nodes 2.0")
def test_the_browser_lists_all_with_pictures_and_a_click_opens_one(clean):
    open_templates(clean)
    # The dialog makes two dozen cards at first, and more when the last of them comes into sight.
    for _ in range(20):
        cards = list(clean.do(THUMBNAILS))
        if len(cards) >= len(NAMES):
            break
        clean.page.get_by_test_id(f"template-workflow-{cards[-1]}").scroll_into_view_if_needed()
        clean.page.wait_for_timeout(250)
    assert sorted(cards) == NAMES
    # The dialog has the pictures of those cards only that can be seen.
    for name in NAMES:
        clean.page.get_by_test_id(f"template-workflow-{name}").scroll_into_view_if_needed()
        width = clean.do(f"name => F.until(() => ({THUMBNAILS})()[name], 'thumbnail of ' + name, 20)", name)
        assert width is None or width > 200, name
    choose(clean, NAMES[0])
    clean.do(
        "name => F.until(() => app.extensionManager.workflow.activeWorkflow.filename === name && F.types().length, 'it is open')", NAMES[0]
    )


@pytest.mark.some_on_newest
@pytest.mark.parametrize("name", NAMES)
def test_it_opens_whole_and_runs(laptop, clean, object_info, name, newest, looked_at, pytestconfig):
    clean.do(OPEN, name)
    clean.do(
        "name => F.until(() => app.extensionManager.workflow.activeWorkflow.filename === name && F.types().length, 'it is open')", name
    )
    clean.do("() => F.rest()")
    missing = clean.do(
        "() => app.graph._nodes.filter((node) => node.has_errors || !LiteGraph.registered_node_types[node.type]).map((node) => node.type)"
    )
    assert missing == []
    opened = clean.do(OPENED)
    print(f"{name}: zoom {opened['zoom']:.2f}")
    assert opened["zoom"] >= LEAST_ZOOM - 1e-6 and all(opened["note"]) and opened["wrong"] == [], opened
    if looked_at:
        clean.page.screenshot(path=SHOTS / f"{name}-{'nodes2' if clean.vue else 'classic'}.png")
    assert clean.do(CLASHES) == []
    assert clean.complaints() == []
    prompt = clean.do("() => F.prompt()")
    assert parts_of(prompt) == parts_of(convert(FOLDER / f"{name}.json", object_info))
    run_here = NAMES if pytestconfig.getoption("--release") else RUN_HERE
    if name not in run_here or (newest and name not in run_here[:2]) or (not newest and run_here.index(name) % 2 == clean.vue):
        return  # To run it once is enough: on the server, or half of them in each renderer, and some of them on the newest front end.
    clean.do("() => F.fit()")
    clean.run(shortened(with_test_models(prompt)))
    # What came of it is shown, and has pushed nothing onto its neighbour.
    clean.do("() => F.until(() => Object.keys(app.nodeOutputs).length, 'results')")
    clean.do("() => F.rest()")
    assert clean.do(CLASHES) == []
