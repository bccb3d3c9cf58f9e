"""A workflow that means harm, or was mangled: it may show errors and nothing else."""

from __future__ import annotations

import json

import pytest
from tilework.tests.browser.scenes import draw, everything
from tilework.tests.host.hostile import HTML, VALUES, WIDGETS, inputs_of, kind_of
from tilework.tools.server.loopback import get_json

# Fire and forget: a page that hangs must not hang the test, which asks for `done` with a time limit.
OPEN = """(text) => {
  window.done = null;
  const file = new File([text], "hostile.json", { type: "application/json" });
  setTimeout(() => app.handleFile(file).then(() => (window.done = "opened"), (error) => (window.done = String(error))), 0);
}"""
RUN = """() => {
  window.done = null;
  setTimeout(() => app.queuePrompt(0, 1).then(() => (window.done = "sent"), (error) => (window.done = String(error))), 0);
}"""
HARM = """() => [window.HACKED, {}.HACKED, Object.prototype.HACKED, document.querySelectorAll("img[src=x], img[src$='/x'], [onerror]").length]"""

# Errors are to be expected, but none of these: an address outside, alert(), a server that broke, a script of ours that broke.
NOT_EVEN_NOW = ("left the machine", "browser dialog", "status 5", "/extensions/tilework/")


@pytest.fixture(scope="module")
def workflow(front, pack):
    """A workflow with every node of the pack in it, fed and looked at, as text."""
    front.clear()
    front.do(draw(everything(pack)))
    return json.dumps(front.do("() => F.workflow()"))


def poisoned(text: str, pack: dict, value) -> str:
    """The workflow with `value` in every widget of the pack's nodes, and HTML wherever there is a name to show."""
    saved = json.loads(text)
    for node in saved["nodes"]:
        if node["type"] in pack:
            node["widgets_values"] = [value] * (2 + sum(kind_of(spec) in WIDGETS for spec in inputs_of(pack[node["type"]]).values()))
            node["title"] = HTML
            node["properties"] = {**node["properties"], HTML: HTML, "__proto__": {"HACKED": 1}, "aux_id": HTML, "ver": HTML}
            for slot in [*node.get("inputs", []), *node.get("outputs", [])]:
                slot["label"] = HTML
    saved["groups"] = [{"id": 1, "title": HTML, "bounding": [0, 0, 300, 300], "color": HTML, "flags": {}}]
    saved["extra"] = {**saved.get("extra", {}), "__proto__": {"HACKED": 1}, "info": {"name": HTML, "author": HTML}}
    return json.dumps(saved)


def settled(front) -> str:
    """What came of the script that was set going; raises where the page hangs."""
    front.page.wait_for_function("() => window.done")
    return front.do("() => window.done")


def test_harm_would_be_seen(front):
    front.clear()
    front.do(
        "html => { document.body.insertAdjacentHTML('beforeend', html); return F.until(() => window.HACKED, 'the script runs'); }", HTML
    )
    assert front.do(HARM) == [1, None, None, 1]
    front.do("() => { delete window.HACKED; document.querySelector('body > img[src=x]').remove(); }")
    assert front.do(HARM) == [None, None, None, 0]


@pytest.mark.dealt
@pytest.mark.parametrize("kind", list(VALUES))
def test_a_hostile_file_shows_an_error_and_does_nothing_else(front, server, pack, workflow, kind):
    front.clear()
    front.do(OPEN, poisoned(workflow, pack, VALUES[kind]))
    settled(front)
    front.do("() => F.frame()")
    types = front.do("() => F.types()")
    assert all(name in types for name in pack), "the nodes are there, with what they were given"
    front.do(RUN)
    settled(front)
    front.page.wait_for_timeout(300)
    assert front.do(HARM) == [None, None, None, 0]
    assert "rror" in front.do("() => document.body.innerText"), "that it did not work is said"
    # The page is as usable as before, and so is the server.
    front.page.wait_for_function(
        "() => app.api.fetchApi('/queue').then((r) => r.json()).then((q) => !q.queue_running.length && !q.queue_pending.length)"
    )
    complaints = front.complaints()
    assert not [one for one in complaints if any(sign in one for sign in NOT_EVEN_NOW)], complaints
    front.clear()
    assert front.do("() => { F.add('TileworkTileSplit', 300, 300); return F.types(); }") == ["TileworkTileSplit"]
    assert front.do(HARM) == [None, None, None, 0]
    assert get_json(server.url + "/system_stats")


def test_html_that_the_server_sends_back_is_shown_as_text(front, server, pack, workflow):
    front.clear()
    front.do(
        "() => { const a = F.add('TileworkTestImage', 80, 130), b = F.add('TileworkTileSplit', 420, 130), c = F.add('PreviewAny', 800, 130);"
        "F.link(a, 0, b, 'image'); F.link(b, 0, c, 'source'); }"
    )
    text = poisoned(json.dumps(front.do("() => F.workflow()")), pack, HTML)
    front.do(OPEN, text)
    settled(front)
    front.do(RUN)
    settled(front)
    details = front.page.get_by_role("button", name="View details")
    details.first.click()
    front.page.get_by_test_id("properties-panel").wait_for()
    assert "onerror" in front.do("() => document.body.innerText"), "the value or the title is shown, as text"
    assert front.do(HARM) == [None, None, None, 0]
    front.clear()
