"""The prompts that host tests send, put together from small parts."""

from __future__ import annotations

from typing import Any

Prompt = dict[str, dict[str, Any]]


def node(class_type: str, /, **inputs: Any) -> dict[str, Any]:
    """One node of a prompt; a link is a [node id, output] pair."""
    return {"class_type": class_type, "inputs": inputs}


def source(width: int, height: int, batch: int = 1, channels: int = 3, seed: int = 1, kind: str = "noise") -> dict[str, Any]:
    """A test picture."""
    return node("TileworkTestImage", width=width, height=height, batch=batch, channels=channels, seed=seed, kind=kind)


def split(image: list, tile: int = 512, overlap: int = 64, multiple_of: int = 8, **more: Any) -> dict[str, Any]:
    """Tile Split."""
    return node("TileworkTileSplit", image=image, tile_width=tile, tile_height=tile, overlap=overlap, multiple_of=multiple_of, **more)


def blend(tiles: list, layout: list, method: str = "hann", trim: int = 0, scale: float = 0.0) -> dict[str, Any]:
    """Seam Blend."""
    return node("TileworkSeamBlend", tiles=tiles, layout=layout, method=method, trim=trim, scale=scale)


def roundtrip(picture: dict[str, Any], via: dict[str, Any] | None = None, **options: Any) -> Prompt:
    """Picture "1" -> split "2" -> (via "3") -> blend "4" -> compare "5" with the picture."""
    method = options.pop("method", "hann")
    prompt = {"1": picture, "2": split(["1", 0], **options), "4": blend(["2", 0], ["2", 1], method)}
    if via is not None:
        prompt["3"] = via
        prompt["4"] = blend(["3", 0], ["2", 1], method)
    prompt["5"] = node("TileworkTestCompare", a=["4", 0], b=["1", 0])
    return prompt
