"""Nodes that say that they give something else at every run, so that nothing behind them can be found again.

A node may say what its result depends on beside its inputs (IS_CHANGED, or fingerprint_inputs): Load Image gives the hash of its
file. ComfyUI compares this with what the node said at the last run. Never the same is: NaN, which many nodes give on purpose; what
ComfyUI cannot compare, such as an array; and what is another value whenever it is asked for, such as the time.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .tile_branches import Prompt

ASKED = ("fingerprint_inputs", "IS_CHANGED")


def restless(workflow: Prompt, node_ids: list[str]) -> str | None:
    """The first of these nodes that gives something else at every run, by its title; None where none does."""
    for node_id in node_ids:
        node = workflow.node_of(node_id)
        if "is_changed" in node and not (_can_be_compared(node["is_changed"]) and _says_it_again(workflow, node_id)):
            return workflow.title(node_id)
    return None


def _can_be_compared(said: Any) -> bool:
    """Whether ComfyUI finds it equal to the same value at a later run (comfy_execution.caching.to_hashable)."""
    if said is None or isinstance(said, bool | int | float | str | bytes):
        return said == said
    if isinstance(said, Mapping):
        return all(_can_be_compared(part) for pair in said.items() for part in pair)
    return isinstance(said, Sequence) and all(_can_be_compared(part) for part in said)


def _says_it_again(workflow: Prompt, node_id: str) -> bool:
    """Ask a second time, as ComfyUI does: with the values in the inputs, without what comes from other nodes.

    True also where it cannot be asked from here.
    """
    from .tile_branches import as_link

    node, kind = workflow.node_of(node_id), workflow.kind(node_id)
    ask = next((method for name in ASKED if callable(method := getattr(kind, name, None))), None)
    whole = workflow.takes_list(node_id)
    values = {name: [value] if whole else value for name, value in node["inputs"].items() if as_link(value) is None}
    try:
        now = ask(**values)
    except Exception:
        # A stranger's code, which may want more than its inputs (hidden ones): ComfyUI has asked it in its own way already.
        return True
    if inspect.iscoroutine(now):
        now.close()
        return True
    return _can_be_compared(now) and node["is_changed"] in ([now], now)
