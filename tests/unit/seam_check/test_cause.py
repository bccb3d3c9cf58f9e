"""What the faults of a report come from."""

import pytest
from tilework.blending.seam_check.cause import BROKEN, CAUSES, EDGE, MIXED, NOTHING, SINGLE, TONE, UNJUDGED, causes
from tilework.blending.seam_check.report import CLEAN, EITHER, SEAM, SeamReport, SeamRow
from tilework.blending.seam_check.report import UNJUDGED as NOT_LOOKED_AT


def row(test, verdict=SEAM, z=9.0):
    return SeamRow(0, (0, 1), True, 64, 64, (0, 128), (0, 32), 4.0, 1.0, z, test, verdict, 1.0)


def report(*rows):
    return SeamReport(rows, 5.0, (128, 128), 1)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ((), (SINGLE,)),
        ((row("none", NOT_LOOKED_AT, 0.0),), (UNJUDGED,)),
        ((row("step", CLEAN, 1.0),), (NOTHING,)),
        ((row("step"), row("wavering step"), row("tone drift"), row("ghost")), (TONE, MIXED)),
        ((row("broken detail"),), (BROKEN,)),
        ((row("faded detail"), row("ghost")), (MIXED,)),
        ((row("step", EITHER),), (EDGE,)),
        ((row("step", EITHER), row("broken detail"), row("broken detail"), row("step", CLEAN)), (BROKEN, EDGE)),
    ],
    ids=str,
)
def test_the_most_frequent_comes_first(rows, found):
    assert causes(report(*rows)) == found and set(found) <= set(CAUSES)


def test_the_verdict_in_plain_words_has_no_figures_of_the_test():
    words = [
        report(*rows).plain() for rows in ((), (row("none", NOT_LOOKED_AT),), (row("step", CLEAN),), (row("step", EITHER),), (row("step"),))
    ]
    print("\n".join(words))
    assert len(set(words)) == 5 and not any(" z " in one or "score" in one for one in words)
    assert words[-1] == "A seam can be seen at 1 of 1 boundary; worst: tiles 0|1, x 64, y 0-128, step of 4.0 levels."
