"""The pictures of the help pages, in the panel where people see them."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "web" / "docs"
PAGES = {path.stem: re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.md"))}
SHOW = """async (type) => {
  for (const old of [...app.graph._nodes]) app.graph.remove(old);
  const node = LiteGraph.createNode(type);
  app.graph.add(node);
  app.canvas.selectItems([node]);
  const until = async (what, test) => {
    const give_up = performance.now() + 10000;
    for (;;) {
      const found = test();
      if (found) return found;
      if (performance.now() > give_up) throw new Error(`${type}: ${what} did not come`);
      await new Promise((done) => setTimeout(done, 30));
    }
  };
  const help = () => document.querySelector(".node-help-content");
  if (!help()) (await until("the button", () => document.querySelector("button[data-testid='info-button'], button[aria-label='Node Info']"))).click();
  await until("the page", () => help()?.querySelector("h1")?.textContent === node.title);
  const pictures = [...help().querySelectorAll("img")];
  await until("its pictures", () => pictures.every((one) => one.complete));
  return pictures.map((one) => ({ address: new URL(one.src).pathname, width: one.naturalWidth, shown: one.clientWidth, words: one.alt }));
}"""


def test_every_picture_shows_in_the_help_panel(front):
    assert len(PAGES) >= 15
    for name, pictures in PAGES.items():
        seen = front.page.evaluate(SHOW, name)
        assert [one["address"] for one in seen] == [f"/extensions/tilework/docs/{picture}" for picture in pictures], name
        # Drawn for the panel's width: shrunk to less than half of it, captions could not be read.
        assert all(one["width"] > 100 and one["shown"] > 0.5 * one["width"] and one["words"] for one in seen), f"{name}: {seen}"
    front.page.evaluate("() => app.graph.clear()")
    assert front.complaints() == []
