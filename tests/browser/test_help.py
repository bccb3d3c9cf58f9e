"""The help page of every node in the panel that its info button opens."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

PANEL = "[data-testid=properties-panel] .node-help-content"


def test_help_pages_open_from_their_nodes(clean, pack, pytestconfig):
    # The panel is the same in both renderers, only the node that it is opened from is drawn in another way: half of them in each for
    # a release, else a quarter. Every page's text and pictures are looked at on the server, in test_help_pages.
    for name, info in list(pack.items())[int(clean.vue) :: 2 if pytestconfig.getoption("--release") else 4]:
        clean.clear()
        clean.do("type => { F.add(type, 500, 250); return F.rest(); }", name)
        clean.page.mouse.click(*clean.do("() => F.title(1)"))
        clean.page.get_by_test_id("info-button").click()
        page = clean.page.locator(PANEL)
        page.get_by_role("heading", name=info["display_name"], level=1).wait_for()
        text = page.inner_text()
        wanted = [key for category, names in info["input_order"].items() if category != "hidden" for key in names]
        assert [key for key in wanted if key not in text] == [], name
        assert not re.search(r"!\[|\]\(|^\s*\|", text, re.MULTILINE), "Markdown that was not drawn"
        clean.do("panel => F.until(() => [...document.querySelectorAll(`${panel} img`)].every((one) => one.complete), 'pictures')", PANEL)
        assert (
            clean.do(
                "panel => [...document.querySelectorAll(`${panel} img`)].filter((one) => !one.naturalWidth).map((one) => one.src)", PANEL
            )
            == []
        )
        for link in clean.do("panel => [...document.querySelectorAll(`${panel} a`)].map((one) => one.href)", PANEL):
            parts = urlsplit(link)
            if parts.netloc == urlsplit(clean.url).netloc:
                assert clean.do("link => fetch(link).then((answer) => answer.status)", link) == 200, link
            else:
                # The world outside is not asked: what stands there is a full address at least.
                assert parts.scheme == "https" and "." in parts.netloc, link
    assert clean.complaints() == []
