"""Every node of the pack is found in the search box by the words people use, and dropped from there."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.two_front_ends

PLACE = (900, 820)


def results(front) -> list[str]:
    """The names in the list of the search box, from the top."""
    return front.do(
        "() => [...document.querySelectorAll('[data-testid=result-item]')].map((one) => one.querySelector('.truncate').textContent)"
    )


def double_click(front, where: tuple[float, float], opens: str) -> None:
    """Double-click at `where` until an element of the selector `opens` is there: on a busy machine the two clicks come too late after each other."""
    for _ in range(20):
        front.page.mouse.move(*where)
        front.do("() => F.frame()")
        front.page.mouse.dblclick(*where)
        if front.do("opens => F.until(() => document.querySelector(opens), '', 1.5).then(() => true, () => false)", opens):
            break
    front.page.locator(opens).wait_for()


def open_search(front) -> None:
    """Double-click on the empty canvas."""
    double_click(front, PLACE, "[role=dialog] input[role=combobox]")


def look_for(front, words: str, name: str) -> list[str]:
    """Type `words` into the open search box; its list, once `name` is in it or ten seconds are over."""
    front.page.get_by_role("combobox", name="Add a node").fill(words)
    front.do(
        """async (name) => {
          const shown = () => [...document.querySelectorAll('[data-testid=result-item] .truncate')].some((one) => one.textContent === name);
          await F.until(shown, name, 10).catch(() => {});
        }""",
        name,
    )
    return results(front)


def test_nodes_are_dropped_from_search_by_an_alias(clean, pack, newest, pytestconfig):
    # All of them in a release's tests; else a quarter in each renderer of the host's own front end, fewer on the newest: to see that
    # dropping works. That every node is found is stated in test_search_words.
    release = pytestconfig.getoption("--release")
    for name, info in list(pack.items())[0 if newest or release else int(clean.vue) :: 1 if release else 6 if newest else 4]:
        clean.clear()
        open_search(clean)
        # Another word in each renderer.
        alias = info["search_aliases"][-1 if clean.vue else 0]
        found = look_for(clean, alias, info["display_name"])
        assert info["display_name"] in found, (name, alias, found)
        for _ in range(found.index(info["display_name"])):
            clean.page.keyboard.press("ArrowDown")
        clean.page.keyboard.press("Enter")
        clean.do("type => F.until(() => F.types().join() === type, `${type} on the canvas`)", name)
        # It hangs on the pointer until a click puts it down, once the box is quite gone.
        clean.page.get_by_role("dialog").wait_for(state="detached")
        clean.page.mouse.move(700, 300)
        clean.do("() => F.frame()")
        clean.page.mouse.click(700, 300)
        clean.do("() => F.until(() => !app.graph._nodes[0].flags.ghost, 'it is put down')")
        assert clean.do("() => app.graph._nodes.map((node) => [node.type, node.has_errors ?? false])") == [[name, False]]
