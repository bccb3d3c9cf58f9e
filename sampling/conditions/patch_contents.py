"""What a model patch holds, and copies of it that hold something else.

A patch is a function or an object of anybody's making. What it works with may lie in a closure, in an attribute, in the
arguments of a partial, in lists and dicts of all these, and round in circles. `search` finds the tensors in it, and
`Copies` makes a patch that differs from the given one in some of them and shares everything else with it, the state of
closures and objects included. The given one is not touched.
"""

from __future__ import annotations

import copy
import functools
import re
import sys
import types
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

# Far more than any patch holds. Nearer things are looked at first.
MOST_LOOKED_AT = 20_000
DEEPEST = 12

CONTAINERS = (dict, list, tuple, set, frozenset, deque)
# Nothing of a patch's own is in their objects.
LIBRARIES = frozenset(sys.stdlib_module_names) | {"torch", "numpy", "PIL"}
# Models and what loads them: large, shared, and nothing in them lies on a picture.
MODELS = frozenset(
    f"comfy.{name}"
    for name in ("clip_vision", "controlnet", "hooks", "latent_formats", "model_base", "model_patcher", "model_sampling", "sd")
)


class HeldTensor(NamedTuple):
    """A tensor in a patch.

    Attributes:
        name: of the variable, attribute or key that it, or the list it is in, was found under.
        tensor: itself.
        owner: the patch.
        near: whether the patch is an object and this its own attribute.
    """

    name: str
    tensor: torch.Tensor
    owner: Any
    near: bool


@dataclass
class Contents:
    """What `search` found.

    Attributes:
        tensors: each once, the nearest first.
        complete: False where there was more than is looked at.
        looked_at: everything, so that nothing may go away and leave its id to something else.
        parents: by the id of each of them, the ids of what holds it.
    """

    tensors: list[HeldTensor] = field(default_factory=list)
    complete: bool = True
    looked_at: list[Any] = field(default_factory=list)
    parents: dict[int, list[int]] = field(default_factory=dict)

    def holders(self, tensors: Iterable[torch.Tensor]) -> set[int]:
        """The ids of `tensors` and of everything that holds one of them, over however many steps."""
        found: set[int] = set()
        left = [id(tensor) for tensor in tensors]
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left.extend(self.parents.get(one, ()))
        return found


def search(roots: Any) -> Contents:
    """Look for tensors in `roots`, a nested container of patches."""
    contents = Contents()
    waiting = deque([(roots, "", None, 0)])
    contents.parents[id(roots)] = []
    while waiting:
        value, name, owner, depth = waiting.popleft()
        contents.looked_at.append(value)
        if isinstance(value, torch.Tensor):
            contents.tensors.append(HeldTensor(name, value, owner if owner is not None else value, depth == 1))
            continue
        if owner is None and not isinstance(value, CONTAINERS):
            # A method is its object's.
            owner, depth = value.__self__ if isinstance(value, types.MethodType) else value, 0
        for label, child in _held(value):
            known = contents.parents.get(id(child))
            if known is not None:
                known.append(id(value))
                continue
            if depth >= DEEPEST or len(contents.parents) >= MOST_LOOKED_AT:
                contents.complete = False
                break
            contents.parents[id(child)] = [id(value)]
            # Containers of patches are no step away from them, and a method none from its object.
            step = owner is not None and child is not owner
            waiting.append((child, label or name, owner, depth + step))
    return contents


def _held(value: Any) -> Iterator[tuple[str, Any]]:
    """What `value` holds that may be or hold a tensor, with the name it goes by there."""
    for name, child in _parts(value):
        if _worth_looking(child):
            yield name, child


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, torch.Tensor):
        return ()
    if isinstance(value, dict):
        return [(key if isinstance(key, str) else "", part) for key, part in value.items()]
    if isinstance(value, CONTAINERS):
        return [("", part) for part in value]
    if isinstance(value, functools.partial):
        return [("", value.func), *(("", part) for part in value.args), *value.keywords.items()]
    if isinstance(value, types.MethodType):
        return [("", value.__func__), ("", value.__self__)]
    if isinstance(value, types.FunctionType):
        named = zip(value.__code__.co_freevars, value.__closure__ or (), strict=True)
        return [*named, *_defaults(value), *vars(value).items()]
    if isinstance(value, types.CellType):
        return [("", content) for content in _content(value)]
    return _attributes(value).items()


def _content(cell: types.CellType) -> list[Any]:
    try:
        return [cell.cell_contents]
    except ValueError:
        return []  # not assigned yet


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    given = function.__defaults__ or ()
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    yield from zip(names[len(names) - len(given) :], given, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _attributes(value: Any) -> dict[str, Any]:
    """The attributes of an object itself, those in slots included."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__"):
                name = f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
                try:
                    found[name] = object.__getattribute__(value, name)
                except AttributeError:
                    continue
    return found


def _worth_looking(value: Any) -> bool:
    if isinstance(value, torch.nn.Parameter):
        return False
    if isinstance(value, (torch.Tensor, *CONTAINERS, functools.partial, types.SimpleNamespace)):
        return True
    if isinstance(value, (types.FunctionType, types.MethodType, types.CellType)):
        return True
    if isinstance(value, (type, types.ModuleType, torch.nn.Module)):
        return False
    modules = [kind.__module__ for kind in type(value).__mro__[:-1]]
    return bool(modules) and modules[0].split(".")[0] not in LIBRARIES and not any(module in MODELS for module in modules)


def origin_of(patch: Any) -> tuple[str, str] | None:
    """Where a function or an object's class was written: (module without its folders, qualified name); None for anything else."""
    written = patch if isinstance(patch, types.FunctionType) else type(patch)
    if isinstance(patch, (*CONTAINERS, torch.Tensor, types.CellType, types.MethodType, functools.partial)):
        return None
    # The host names the modules of node packs by their paths.
    return re.split(r"[\\/]", written.__module__ or "")[-1], written.__qualname__


def name_of(patch: Any) -> str:
    """What to call a patch in a message: its function's name, or its class'."""
    while isinstance(patch, functools.partial):
        patch = patch.func
    if isinstance(patch, types.MethodType):
        patch = patch.__self__
    if isinstance(patch, types.FunctionType):
        return patch.__qualname__.replace(".<locals>", "")
    return type(patch).__name__


class CannotCopyError(TypeError):
    """An object that Python copies in no plain way.

    Attributes:
        thing: the object.
    """

    def __init__(self, thing: Any, error: Exception) -> None:
        super().__init__(f"an object of {type(thing).__name__} cannot be copied: {error}")
        self.thing = thing


class Copies:
    """Copies of patches in which some tensors are others. What holds none of them is not copied but shared.

    Args:
        changing: the ids of the tensors and of all that holds them, see `Contents.holders`.
        change: gives the tensor that stands in the copies for a tensor.
    """

    def __init__(self, changing: set[int], change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._changing, self._change = changing, change
        self._made: dict[Hashable, Any] = {}

    def of(self, value: Any) -> Any:
        """The copy of `value`, one and the same whoever holds it; `value` itself where nothing in it changes.

        Raises:
            CannotCopyError: for an object that cannot be copied.
        """
        if id(value) not in self._changing:
            return value
        if id(value) not in self._made:
            # For what is made in one piece (tuples, partials): a circle back to it ends at the given one.
            self._made[id(value)] = value
            self._made[id(value)] = self._copy(value)
        return self._made[id(value)]

    def _begin(self, value: Any, made: Any) -> Any:
        """Known from now on, so that a circle ends here, and filled afterwards."""
        self._made[id(value)] = made
        return made

    def _copy(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return self._change(value)
        if isinstance(value, (dict, list, deque)):
            made = self._begin(value, copy.copy(value))
            for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
                made[key] = self.of(part)
            return made
        if isinstance(value, (tuple, set, frozenset)):
            parts = [self.of(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        if isinstance(value, functools.partial):
            keywords = {name: self.of(part) for name, part in value.keywords.items()}
            return type(value)(self.of(value.func), *(self.of(part) for part in value.args), **keywords)
        if isinstance(value, types.MethodType):
            return types.MethodType(self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        return self._object(value)

    def _function(self, function: types.FunctionType) -> types.FunctionType:
        empty = {id(cell): types.CellType() for cell in function.__closure__ or () if id(cell) in self._changing}
        cells = tuple(self._made.get(id(cell), empty.get(id(cell), cell)) for cell in function.__closure__ or ())
        made = types.FunctionType(function.__code__, function.__globals__, function.__name__, None, cells or None)
        self._begin(function, made)
        for cell in function.__closure__ or ():
            if id(cell) in empty and id(cell) not in self._made:
                self._begin(cell, empty[id(cell)]).cell_contents = self.of(cell.cell_contents)
        made.__defaults__ = None if function.__defaults__ is None else tuple(self.of(part) for part in function.__defaults__)
        if function.__kwdefaults__ is not None:
            made.__kwdefaults__ = {name: self.of(part) for name, part in function.__kwdefaults__.items()}
        for name in ("__module__", "__qualname__", "__doc__", "__annotations__"):
            setattr(made, name, getattr(function, name))
        vars(made).update({name: self.of(part) for name, part in vars(function).items()})
        return made

    def _object(self, value: Any) -> Any:
        try:
            made = self._begin(value, object.__new__(type(value)))
        except TypeError as error:
            raise CannotCopyError(value, error) from error
        for name, part in _attributes(value).items():
            if name in getattr(value, "__dict__", {}):
                made.__dict__[name] = self.of(part)
            else:
                object.__setattr__(made, name, self.of(part))
        return made
