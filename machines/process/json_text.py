"""JSON from files and servers that nobody vouches for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

# A workflow with subgraphs is some ten deep. What is deeper than Python's stack ends whoever goes through it.
MOST_DEEP = 100


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, of which every part can be gone through by recursion.

    Raises ValueError, in words, where it is not JSON, or lists and tables in it lie more than MOST_DEEP deep in each other.
    """
    too_deep = ValueError(f"its brackets are more than {MOST_DEEP} deep")
    try:
        value = json.loads(text)
    except RecursionError:
        raise too_deep from None
    except ValueError as error:
        place = f" from line {error.lineno}, column {error.colno} on ({error.msg})" if getattr(error, "pos", 0) else ""
        raise ValueError(f"it is not JSON{place}") from error
    layer = [value]
    for _ in range(MOST_DEEP):
        layer = [part for outer in layer for part in _parts(outer)]
        if not layer:
            return value
    raise too_deep


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def as_table(value: Any) -> dict[str, Any]:
    """A value where a table is expected; an empty one where something else stands."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """A value where a list is expected; an empty one where something else stands."""
    return value if isinstance(value, list) else []


def as_number(value: Any) -> float:
    """A value where a finite number is expected; 0 where something else stands."""
    try:
        number = float(value) if isinstance(value, int | float) else 0.0
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0
