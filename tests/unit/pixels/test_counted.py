"""Numbers with their nouns."""

import pytest
from tilework.blending.pixels.counted import counted


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [(1, "tile", "1 tile"), (0, "tile", "0 tiles"), (2, "boundary", "2 boundaries"), (1, "boundary", "1 boundary")],
)
def test_one_and_many(count, noun, words):
    assert counted(count, noun) == words
