"""A measured receptive field as plain JSON values, and back. What comes back is checked: a file may hold anything."""

from __future__ import annotations

import base64
import math
from fractions import Fraction
from typing import Any

import numpy as np
import torch

from .measure import KINDS, ReceptiveField

RECORD_VERSION = 1
MOST_LENGTH, MOST_NAMES, MOST_LETTERS = 1 << 16, 64, 200
# The map of the influence is kept at most this fine: it is for looking at.
MAP_SIDE = 256

_LENGTHS = ("radius", "full_radius", "overlap", "trim", "lattice")
_FLAGS = ("full_known", "sees_everything", "radius_known", "cut_only")
_NAMES = ("statistics", "cleared")
_CHANGES = ("threshold", "floor")


def to_record(field: ReceptiveField) -> dict[str, Any]:
    """The field as JSON values. Of the map of the influence, the largest of several pixels is kept where it is fine."""
    plain = {name: getattr(field, name) for name in (*_LENGTHS, *_FLAGS, *_CHANGES, "spent")}
    names = {name: list(getattr(field, name)) for name in _NAMES}
    profiles = {kind: values.tolist() for kind, values in field.profiles.items()}
    shown, by = _coarser(field.influence.float())
    data = base64.b64encode(shown.numpy().clip(0, np.finfo(np.float16).max).astype("<f2").tobytes()).decode()
    influence = {"shape": list(shown.shape), "by": by, "data": data}
    scale = [field.scale.numerator, field.scale.denominator]
    more = {"sides": list(field.sides), "scale": scale, "profiles": profiles, "influence": influence}
    return {"version": RECORD_VERSION, **plain, **names, **more}


def _coarser(influence: torch.Tensor) -> tuple[torch.Tensor, int]:
    by = -(-max(influence.shape) // MAP_SIDE)
    return (influence, 1) if by == 1 else (torch.nn.functional.max_pool2d(influence[None], by, ceil_mode=True)[0], by)


def from_record(record: Any) -> ReceptiveField:
    """The field again.

    Raises:
        ValueError: for what is no record of this version.
    """
    try:
        if record["version"] != RECORD_VERSION:
            raise ValueError(f"version {record['version']!r} is not {RECORD_VERSION}")
        lengths = {name: _whole(record[name], name) for name in _LENGTHS}
        flags = {name: _flag(record[name], name) for name in _FLAGS}
        names = {name: _words(record[name], name) for name in _NAMES}
        changes = {name: _number(record[name], name) for name in _CHANGES}
        sides = tuple(_whole(side, "sides") for side in record["sides"])
        numerator, denominator = (_whole(part, "scale") for part in record["scale"])
        profiles = {kind: _profile(record["profiles"][kind]) for kind in KINDS}
        influence = _influence(record["influence"])
        spent = _whole(record["spent"], "spent", 1 << 40)
    except (KeyError, TypeError, IndexError, OverflowError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    depths = {len(values) for values in profiles.values()}
    if len(sides) != 4 or 0 in (numerator, denominator, lengths["lattice"]) or changes["threshold"] <= 0 or len(depths) != 1:
        raise ValueError("a length is missing or 0")
    return ReceptiveField(
        **lengths, **flags, **names, **changes, sides=sides, scale=Fraction(numerator, denominator), profiles=profiles,
        influence=influence, spent=spent,
    )  # fmt: skip


def _whole(value: Any, name: str, most: int = MOST_LENGTH) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}")
    return value


def _flag(value: Any, name: str) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{name} is {value!r:.40}")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value!r:.40}")
    return float(value)


def _words(value: Any, name: str) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MOST_NAMES:
        raise ValueError(f"{name} is no list of names")
    if not all(type(word) is str and len(word) <= MOST_LETTERS and word.isprintable() for word in value):
        raise ValueError(f"{name} has what is no name in it")
    return tuple(value)


def _profile(values: Any) -> torch.Tensor:
    if type(values) is not list or not 0 < len(values) <= MOST_LENGTH:
        raise ValueError("a profile is no list of changes")
    return torch.tensor([_number(value, "profiles") for value in values])


def _influence(value: Any) -> torch.Tensor:
    height, width = (_whole(side, "influence", MAP_SIDE) for side in value["shape"])
    by, data = _whole(value["by"], "influence", MOST_LENGTH // MAP_SIDE), value["data"]
    if 0 in (height, width, by) or by * max(height, width) > 1 << 13 or type(data) is not str or len(data) > 3 * MAP_SIDE**2:
        raise ValueError("influence is no map")
    raw = base64.b64decode(data, validate=True)
    if len(raw) != 2 * height * width:
        raise ValueError(f"influence has {len(raw)} bytes for {width} x {height}")
    shown = torch.from_numpy(np.frombuffer(raw, "<f2").astype(np.float32)).reshape(height, width)
    if not bool(torch.isfinite(shown).all()) or bool((shown < 0).any()):
        raise ValueError("influence has what is no change in it")
    return shown.repeat_interleave(by, 0).repeat_interleave(by, 1)
