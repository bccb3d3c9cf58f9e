"""Whole-image statistics held still, so that what is left of a network's reach can be measured.

A norm over the picture answers to every change in it, and drowns what a tile's border does. Here the statistics of one
run are noted, and the same ones are used in the runs that follow: norms normalise by them, and means and maxima over the
picture are what they were. The calls are watched from outside, so that a mean in a forward counts like a module. What
attention over the whole picture adds is held still, too, module by module; attention in windows, which are many in one
batch, goes on working.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from .statistics_modules import attention_modules

_POOLS = {F.adaptive_avg_pool2d, F.adaptive_max_pool2d, torch.adaptive_avg_pool1d, F.adaptive_avg_pool3d}
_REDUCTIONS = {
    getattr(owner, name)
    for name in ("mean", "amax", "amin", "sum", "std", "var", "var_mean", "std_mean")
    for owner in (torch, torch.Tensor)
    if hasattr(owner, name)
}
_GROUP = {F.group_norm, torch.group_norm}
_INSTANCE = {F.instance_norm, torch.instance_norm}


class FrozenStatistics(TorchFunctionMode):
    """Within the first `with` it takes notes, within all later ones it answers with them.

    Args:
        network: where to look for attention; None to leave it alone.

    Attributes:
        noted: the statistics in order of execution.
        attended: what attention made, in order of execution.
    """

    def __init__(self, network: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.modules = [] if network is None else attention_modules(network)
        self.attended: list[torch.Tensor] = []
        self.hooks: list[Any] = []
        self.turn = 0
        self.noted: list[Any] = []
        self.noting = self.fresh = True
        self.index = 0

    def __enter__(self) -> FrozenStatistics:
        self.noting = self.fresh
        self.fresh = False
        self.index = self.turn = 0
        self.hooks = [module.register_forward_hook(self._attend) for module in self.modules]
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        for hook in self.hooks:
            hook.remove()
        super().__exit__(*error)

    def _attend(self, module: torch.nn.Module, inputs: tuple, output: Any) -> Any:
        """After an attention module: what it added is what it added then, at the same place."""
        made = output[0] if isinstance(output, tuple) else output
        came = inputs[0] if inputs else None
        if not isinstance(made, torch.Tensor) or not isinstance(came, torch.Tensor) or came.shape[0] > 1:
            return None
        # Blocks that work on the picture or the film itself have their shortcut inside: only what they add is held still.
        shortcut = came if made.ndim in (4, 5) and made.shape == came.shape else torch.zeros_like(made)
        if self.noting:
            self.attended.append(made - shortcut)
            return None
        self.turn += 1
        if self.turn > len(self.attended) or self.attended[self.turn - 1].shape != made.shape:
            return None
        held = self.attended[self.turn - 1] + shortcut
        return (held, *output[1:]) if isinstance(output, tuple) else held

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Called by torch for every function that the network calls."""
        kwargs = kwargs or {}
        if func in _GROUP or func in _INSTANCE:
            groups = None if func in _INSTANCE else kwargs.get("num_groups", args[1] if len(args) > 1 else 1)
            if groups is not None or _by_input(func, args, kwargs):
                return self._norm(args, kwargs, groups)
        elif (func in _POOLS and _to_one(args, kwargs)) or (func in _REDUCTIONS and _over_picture(args, kwargs)):
            return self._next(lambda: func(*args, **kwargs))
        return func(*args, **kwargs)

    def _next(self, value: Any) -> Any:
        """The next statistic: noted now, or then."""
        if self.noting:
            self.noted.append(value())
        elif self.index >= len(self.noted):
            return value()
        self.index += 1
        return self.noted[self.index - 1]

    def _norm(self, args: tuple, kwargs: dict, groups: int | None) -> torch.Tensor:
        picture = args[0] if args else kwargs["input"]
        if groups is None:
            names, groups = ("running_mean", "running_var", "weight", "bias", "use_input_stats", "momentum", "eps"), picture.shape[1]
        else:
            names = ("num_groups", "weight", "bias", "eps")
        given = {**dict(zip(names, args[1:], strict=False)), **kwargs}
        grouped = picture.float().reshape(picture.shape[0], groups, -1)
        variance, mean = self._next(lambda: torch.var_mean(grouped, 2, correction=0, keepdim=True))
        out = ((grouped - mean) * torch.rsqrt(variance + given.get("eps", 1e-5))).reshape(picture.shape).to(picture.dtype)
        shape = (1, -1, *[1] * (picture.ndim - 2))
        for name, combine in (("weight", torch.mul), ("bias", torch.add)):
            if given.get(name) is not None:
                out = combine(out, given[name].to(out).reshape(shape))
        return out


def _by_input(func: Any, args: tuple, kwargs: dict) -> bool:
    """Whether an instance norm takes its statistics from what it is given."""
    use = kwargs.get("use_input_stats", args[5] if len(args) > 5 else True)
    return bool(use)


def _to_one(args: tuple, kwargs: dict) -> bool:
    size = kwargs.get("output_size", args[1] if len(args) > 1 else None)
    return all(side == 1 for side in (size if isinstance(size, tuple | list) else (size,)))


def _over_picture(args: tuple, kwargs: dict) -> bool:
    """Whether a reduction of [B, C, h, w] takes h and w, or one of [B, tokens, C] the tokens."""
    picture = args[0] if args else kwargs.get("input")
    if not isinstance(picture, torch.Tensor) or picture.ndim < 3:
        return False
    dims = kwargs.get("dim", args[1] if len(args) > 1 else None)
    dims = tuple(dims) if isinstance(dims, tuple | list) else (dims,)
    if any(not isinstance(dim, int) or isinstance(dim, bool) for dim in dims):
        return False
    dims = {dim % picture.ndim for dim in dims}
    return dims == {1} if picture.ndim == 3 else {picture.ndim - 2, picture.ndim - 1} <= dims
