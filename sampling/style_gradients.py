"""Gradients of a tile's style through the model itself, inside of the tiles.

The host samples under torch.inference_mode, and what it loaded there cannot be part of a gradient: for the time of the call
the network's weights are copies (the memory they take is needed twice), and so is all that the tile brings along.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from ..blending.coherence.tile_style import TileStyle, style_gradient
from .tile_place import place_of

REQUEST = "tilework_style_gradient"
MEND = "use method statistics, which needs no gradient"


class GradientRequest:
    """One step's question to all tiles.

    Args:
        style: to come near to; of B pictures.
        scale: the guidance, of a first prompt over a second one.

    Attributes:
        found: by the tile's number, (distance [B], gradient with respect to its noisy latent).
    """

    def __init__(self, style: TileStyle, scale: float) -> None:
        self.style, self.scale = style, scale
        self.found: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def in_options(self, model_options: dict[str, Any]) -> dict[str, Any]:
        """Options of the call that asks it."""
        return {**model_options, REQUEST: self}


def check_differentiable(network: torch.nn.Module) -> None:
    """Raise ValueError, in words for the user, where no gradient goes through a network's weights."""
    import comfy.quant_ops

    for name, weight in network.named_parameters():
        quantised = isinstance(weight, comfy.quant_ops.QuantizedTensor) or isinstance(weight.data, comfy.quant_ops.QuantizedTensor)
        if quantised or not weight.is_floating_point() or weight.element_size() == 1:
            raise ValueError(f"the model's weights are quantised ({name} is {weight.dtype}), and no gradient goes through them: {MEND}")


@contextmanager
def normal_weights(network: torch.nn.Module) -> Iterator[None]:
    """Copies in place of weights that were loaded under inference mode, and of what norms are given; all is put back at the end."""
    import comfy.model_management

    before = comfy.model_management.in_training
    held: list[tuple[torch.nn.Module, str, torch.Tensor]] = []
    with ExitStack() as stack:
        stack.callback(setattr, comfy.model_management, "in_training", before)
        # The host's fast paths have no gradient; this is how its own training node keeps away from them.
        comfy.model_management.in_training = True
        stack.callback(lambda: [module._parameters.__setitem__(name, weight) for module, name, weight in held])
        with torch.inference_mode(False), torch.no_grad():
            for module in network.modules():
                for name, weight in list(module._parameters.items()):
                    if weight is not None and weight.is_inference():
                        held.append((module, name, weight))
                        module._parameters[name] = torch.nn.Parameter(weight.clone(), requires_grad=False)
        for module in network.modules():
            if isinstance(module, torch.nn.LayerNorm):
                # The host's Flux blocks add in place to what their norms were given.
                stack.callback(module.register_forward_pre_hook(lambda _, given: tuple(value.clone() for value in given)).remove)
        yield


def _copied(value: Any) -> Any:
    """The same conditions with tensors of their own."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [_copied(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(getattr(value, "cond", None), torch.Tensor | list):  # the host's wrapping of a condition
        fresh = copy.copy(value)
        fresh.cond = _copied(value.cond)
        return fresh
    return value


def asked_for(executor, model, conds, x_in, timestep, model_options):
    """The wrapper inside of the tiles: answers as ever, and where it is asked, writes down the gradient as well."""
    request, place = model_options.get(REQUEST), place_of(model_options)
    if request is None or place is None:
        return executor(model, conds, x_in, timestep, model_options)
    if sum(cond is not None for cond in conds) > 2:
        raise ValueError(f"this guider has {len(conds)} prompts, and method gradient knows what to do with one or two: {MEND}")
    tiles, said = len(place.indices), []
    style = TileStyle(
        *(part.repeat(tiles, 1) for part in request.style[:2]), tuple(gram.repeat(tiles, 1, 1) for gram in request.style.grams)
    )

    def guided(asked: torch.Tensor) -> torch.Tensor:
        said[:] = executor(model, _copied(conds), asked, timestep.clone(), model_options)
        first, *others = (answer for answer, cond in zip(said, conds, strict=True) if cond is not None)
        return others[0] + (first - others[0]) * request.scale if others and conds[0] is not None else first

    try:
        distance, gradient = style_gradient(x_in, style, guided)
    except RuntimeError as error:
        words = str(error)
        if not any(part in words for part in ("nference tensor", "inplace operation", "does not require grad", "not have a grad_fn")):
            raise
        raise ValueError(f"no gradient goes through this model, or through what it is patched with: {MEND} ({words[:120]})") from error
    for index, apart, slope in zip(place.indices, distance.chunk(tiles), gradient.chunk(tiles), strict=True):
        request.found[index] = apart, slope
    return [answer.detach() for answer in said]
