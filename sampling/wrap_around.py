"""Patches that join the picture's opposite sides: with tiles they would join each tile's.

ComfyUI's own *Seamless Tiling* asks the model several times, the latent rolled by half its sides, and blends the answers.
Here it is called with the canvas, and what it takes for the model is the whole canvas' prediction, tile by tile.
Convolutions that pad with the other side cannot be asked for anything else, and are refused.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any

import torch

from .conditions.patch_contents import Contents, name_of, origin_of

SEAMLESS = ("nodes_seamless_tiling", "ModelPatchSeamlessTiling")
CALLED_INSIDE = "old_wrapper"

# (the canvas, rolled; how far its cells were rolled (y, x)) -> one prediction per list of conditions.
Predict = Callable[[torch.Tensor, tuple[int, int]], Sequence[torch.Tensor | None]]


def _is_seamless(patch: Any) -> bool:
    origin = origin_of(patch) if isinstance(patch, types.FunctionType) else None
    return origin is not None and origin[0].split(".")[-1] == SEAMLESS[0] and origin[1].startswith(SEAMLESS[1])


def check_wrapping(model: Any, model_options: dict[str, Any], tiles: Contents, sequential: bool) -> None:
    """Refuse what would join the opposite sides of every tile.

    Args:
        model: the BaseModel.
        model_options: the host's.
        tiles: of the patches that are called with tiles.
        sequential: whether the sampler runs once for each tile.

    Raises:
        ValueError: for such a patch, by its name.
    """
    outer = model_options.get("model_function_wrapper")
    if _is_seamless(outer) and sequential:
        raise ValueError(
            "Seamless Tiling joins the opposite sides of what is sampled, and order sequential samples every tile by itself: use order "
            "fused"
        )
    if not _is_seamless(outer) and any(map(_is_seamless, tiles.looked_at)):
        raise ValueError(
            f"Seamless Tiling inside of {name_of(outer)} would join the opposite sides of every tile: apply it after the node that "
            f"{name_of(outer)} is from"
        )
    for name, layer in model.diffusion_model.named_modules():
        # Packs for seamless textures mark the layers they change like this.
        marked = (getattr(layer, "padding_mode", None), getattr(layer, "padding_modeX", None), getattr(layer, "padding_modeY", None))
        if isinstance(layer, torch.nn.modules.conv._ConvNd) and "circular" in marked:
            raise ValueError(
                f"the model's convolutions (the first is {name}) take what lies beyond a side from the opposite one, as nodes for seamless "
                "textures make them: every tile would be joined to itself; take that node out"
            )


def without_seamless(model_options: dict[str, Any]) -> tuple[Callable | None, dict[str, Any]]:
    """Seamless Tiling's wrapper and the options without it; None and the given options where there is none."""
    wrapper = model_options.get("model_function_wrapper")
    if not _is_seamless(wrapper):
        return None, model_options
    cells = dict(zip(wrapper.__code__.co_freevars, wrapper.__closure__ or (), strict=True))
    inner = {name: value for name, value in model_options.items() if name != "model_function_wrapper"}
    if CALLED_INSIDE in cells:
        if cells[CALLED_INSIDE].cell_contents is not None:
            # Another pack's, which is for the model's own calls, the tiles'.
            inner["model_function_wrapper"] = cells[CALLED_INSIDE].cell_contents
        cells[CALLED_INSIDE] = types.CellType(None)
    alone = types.FunctionType(wrapper.__code__, wrapper.__globals__, wrapper.__name__, wrapper.__defaults__, tuple(cells.values()) or None)
    alone.__kwdefaults__ = wrapper.__kwdefaults__
    return alone, inner


def across_the_border(
    wrapper: Callable, predict: Predict, x: torch.Tensor, timestep: torch.Tensor, asked: Sequence[bool]
) -> list[torch.Tensor | None]:
    """What Seamless Tiling makes of predictions of the whole canvas.

    Args:
        wrapper: as `without_seamless` gave it.
        predict: the model, for a canvas that is rolled.
        x: the canvas [B, C, ..., h, w].
        timestep: of the prediction.
        asked: whether there are conditions, for each of the lists.

    Returns:
        one prediction per list, None where nothing was asked.
    """
    if not any(asked):
        return [None] * len(asked)
    height, width = x.shape[-2:]
    # It rolls the conditions that lie on the latent as it rolls the latent. This one tells how far.
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows, columns]).view(1, 2, *[1] * (x.ndim - 4), height, width)

    def model(rolled: torch.Tensor, _: torch.Tensor, c_concat: torch.Tensor, **__: Any) -> torch.Tensor:
        y, x_ = (int(place) for place in c_concat.reshape(2, -1)[:, 0])
        prediction = predict(rolled, (-y % height, -x_ % width))
        return torch.cat([part for part, wanted in zip(prediction, asked, strict=True) if wanted])

    together = wrapper(model, {"input": x, "timestep": timestep, "c": {"c_concat": places}, "cond_or_uncond": list(range(len(asked)))})
    parts = iter(together.split(x.shape[0]))
    return [next(parts) if wanted else None for wanted in asked]
