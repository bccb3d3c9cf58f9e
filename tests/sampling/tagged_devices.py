"""Devices that are not there: tensors that say which device they are on, and refuse to be mixed.

`cpu:1` is a device to PyTorch's eyes, and a tensor on it is another tensor than one on `cpu`. Here a tensor there is a `Tagged`
one: its values lie in main memory, and whatever is done with it together with a tensor of another device fails as it would on
two cards. A transfer that is forgotten so fails on a machine without any card.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from ..host.recording import CPU, comfy

TRANSFERS = {"aten::_to_copy", "aten::copy_", "aten::to"}


def card(number: int) -> torch.device:
    """A device beside the processor, from 1 on."""
    return torch.device("cpu", number)


class Tagged(torch.Tensor):
    """A tensor on a card."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor, device: torch.device):
        """Looks like `inner` on `device`."""
        return torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=device
        )

    def __init__(self, inner: torch.Tensor, device: torch.device) -> None:
        self.inner = inner

    def untyped_storage(self):
        """Where its values are."""
        return self.inner.untyped_storage()

    def __repr__(self, **_: Any) -> str:
        return f"Tagged({tuple(self.shape)}, {self.device})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _done(func, args, kwargs or {})


class Cards(TorchDispatchMode):
    """While it is on, tensors can be made on cards and moved to them."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _done(func, args, kwargs or {})


def _done(func, args, kwargs):
    leaves = tree_leaves((args, kwargs))
    tensors = [one for one in leaves if isinstance(one, torch.Tensor)]
    # Numbers may lie anywhere.
    places = {one.device for one in tensors if one.ndim}
    name = func._schema.name
    if len(places) > 1 and name not in TRANSFERS:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found {sorted(map(str, places))} in {name}")
    known = {id(one.inner): one for one in tensors if isinstance(one, Tagged)}

    def plain(one):
        if isinstance(one, Tagged):
            return one.inner
        return CPU if isinstance(one, torch.device) else one

    came = func(*tree_map(plain, args), **tree_map(plain, kwargs))
    if name == "aten::copy_":
        return args[0]
    asked = [one for one in leaves if isinstance(one, torch.device)]
    place = asked[0] if asked else next(iter(places or {one.device for one in tensors}), CPU)
    if place == CPU:
        return came

    def tagged(one):
        if not isinstance(one, torch.Tensor):
            return one
        return known[id(one)] if id(one) in known else Tagged(one, place)

    return tree_map(tagged, came)


def put_on(module: torch.nn.Module, device: torch.device) -> None:
    """Move a module's weights and buffers, as the host does: under inference mode."""
    with Cards(), torch.inference_mode():
        for part in module.modules():
            for name, weight in part._parameters.items():
                part._parameters[name] = torch.nn.Parameter(weight.detach().to(device), requires_grad=False)
            for name, held in part._buffers.items():
                part._buffers[name] = None if held is None else held.to(device)


class WatchedPool(comfy.multigpu.MultiGPUThreadPool):
    """The host's pool, in whose threads there are cards; remembers what was left in its queues at the end.

    Attributes:
        left: per pool, how many things were left.
    """

    left: list[int] = []

    def _worker_loop(self, device, work_q, result_q):
        assert not torch.is_inference_mode_enabled(), "the host's threads are outside of it"
        with Cards():
            super()._worker_loop(device, work_q, result_q)

    def shutdown(self):
        """Count what is left first."""
        WatchedPool.left.append(sum(q.qsize() for queues in (self._work_queues, self._result_queues) for q in queues.values()))
        super().shutdown()
        assert not any(thread.is_alive() for thread in self._workers)
