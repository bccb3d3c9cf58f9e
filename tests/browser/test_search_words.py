"""The words that people use find the node that helps them, in the host's own search: those of the nodes, and those of forums."""

from __future__ import annotations

import pytest
from tilework.tests.browser.search_words import FIRST, WORDS
from tilework.tests.browser.test_search import look_for, open_search

# The search box is the same in both renderers: the words of the nodes are looked for in one of them, those of people in the other.


@pytest.mark.renderer("classic")
def test_every_word_finds_its_node_and_its_name_finds_it_first(clean, pack, pytestconfig):
    open_search(clean)
    missed = {}
    for info in pack.values():
        name = info["display_name"]
        # Every fifth word, unless a release is made: to type one and wait for the list is dear, and they are the host's to find.
        for words in [name, *info["search_aliases"][:: 1 if pytestconfig.getoption("--release") else 5]]:
            found = look_for(clean, words, name)
            if name not in found or (words == name and found[0] != name):
                missed[f"{name}: {words}"] = found[:4]
    assert not missed, missed


@pytest.mark.renderer("nodes 2.0")
def test_what_people_type_finds_the_node_that_helps(clean):
    open_search(clean)
    ranks = {}
    for words, name in WORDS.items():
        found = look_for(clean, words, name)
        ranks[words] = found.index(name) + 1 if name in found else None
    print("\n".join(f"{words:24} {WORDS[words]:32} {rank}" for words, rank in ranks.items()))
    assert len(ranks) >= 60
    assert {words: rank for words, rank in ranks.items() if rank is None or rank > FIRST} == {}
