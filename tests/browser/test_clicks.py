"""How many clicks it takes from an empty canvas to a saved upscale; drags count as clicks, keys do not."""

from __future__ import annotations

import json

from tilework.tests.browser.search_words import WORDS
from tilework.tests.browser.test_search import look_for, open_search
from tilework.tests.host.test_sampling_workflows import with_test_models

PRESSES = """() => {
  removeEventListener("pointerdown", window.countPress, true);
  window.presses = 0;
  window.countPress = () => (window.presses += 1);
  addEventListener("pointerdown", window.countPress, true);
}"""
DONE = "() => { removeEventListener('pointerdown', window.countPress, true); return window.presses; }"


def saved(clean, server):
    """Run it as the Run button does, with the test models put in where a person has their own; the pictures that were saved."""
    prompt = with_test_models(clean.do("() => F.prompt()"))
    before = set((server.base / "output").rglob("*.png"))
    clean.run(prompt)
    return set((server.base / "output").rglob("*.png")) - before


def test_by_template(clean, server):
    clean.do(PRESSES)
    page = clean.page
    page.get_by_role("button", name="Templates").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_test_id("template-workflows-content").wait_for()
    entry, folded = dialog.get_by_text("tilework", exact=True).first, dialog.get_by_text("Extensions", exact=True)
    folded.wait_for()
    # The extensions' names are folded away or not, and a click on a heading that has just come up does nothing.
    while not clean.do(
        "() => F.until(() => document.querySelector('[role=dialog]')?.textContent.includes('tilework'), '', 2).catch(() => false)"
    ):
        folded.click()
    entry.click()
    page.get_by_test_id("template-workflow-02 Upscale a picture of any size").click()
    dialog.wait_for(state="detached")
    clean.do("() => F.until(() => F.types().includes('TileworkTiledUpscale'), 'the template')")
    clicks = clean.do(DONE) + 1  # Run
    print(f"by template: {clicks} clicks")
    assert saved(clean, server)
    assert clicks <= 5


def test_by_search(clean, server):
    clean.do(PRESSES)
    page = clean.page
    # A person's double-click is two presses; on a busy machine the test's may need several tries.
    open_search(clean)
    clean.do("() => { window.presses = 2; }")
    found = look_for(clean, "upscale", WORDS["upscale"])
    for _ in range(found.index(WORDS["upscale"])):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("dialog").wait_for(state="detached")
    page.mouse.move(700, 300)
    clean.do("() => F.frame()")
    page.mouse.click(700, 300)
    clean.do("() => F.until(() => F.types().length === 1 && !app.graph._nodes[0].flags.ghost, 'it is put down')")
    page.get_by_role("button", name="Add them").click()
    clean.do("() => F.until(() => F.types().length === 4, 'what it waits for')")
    clicks = clean.do(DONE) + 1  # Run
    print(f"by search: {clicks} clicks; {json.dumps(clean.do('() => F.types()'))}")
    assert saved(clean, server)
    assert clicks <= 8
    # What a run has made the nodes grow by is a step of its own.
    for _ in range(6):
        clean.page.keyboard.press("Control+z")
        if clean.do("() => F.until(() => F.types().length === 1, 'undo', 5).then(() => true, () => false)"):
            break
    assert clean.do("() => F.types()") == ["TileworkTiledUpscale"]
