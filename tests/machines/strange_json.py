"""A JSON value in which some part is anything else."""

import contextlib
import copy

from hypothesis import strategies as st


def places_in(value, at=()):
    """The way to every part of a value."""
    yield at
    for key, part in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places_in(part, (*at, key))


def with_part(value, place, part):
    if not place:
        return part
    made = copy.copy(value)
    made[place[0]] = with_part(value[place[0]], place[1:], part)
    return made


ANYTHING = st.one_of(
    st.sampled_from(
        [None, True, False, 0, -9, 3, 10**400, 0.5, float("inf"), "", "x", "\ud800.png", "a" * 3000, "\x1b[31m", [], {}, [1], [[]]]
    ),
    st.sampled_from([["2", None], ["2", "0"], ["2", -9], ["2", 0.0], ["2", float("inf")], ["5", 0], ["77", 0], [2, 0], {"a": [1]}]),
)


def changed_somewhere(draw, value, places):
    """`value` with one or two of its parts replaced."""
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places))
        with contextlib.suppress(KeyError, IndexError, TypeError):  # the first change took it away
            value = with_part(value, place, draw(ANYTHING))
    return value
