"""Who takes colour drift out of tiles before they are blended."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from loading import blending, load_host
from stitchers import read_bytes, to_bytes

Tiles = list[torch.Tensor]
CORE_METHODS = ("reinhard_lab", "mkl_lab", "histogram")
MATCHER_METHODS = ("mkl", "reinhard", "hm")
UNCHANGED = 0.07  # the largest difference of a tile from the source that counts as drift, as our nodes' help proposes
COMPENSATORS = {
    "GainCompensator": "gain",
    "ChannelsCompensator": "gain per channel",
    "BlocksGainCompensator": "gain per block",
    "BlocksChannelsCompensator": "gain per block and channel",
}


@dataclass(frozen=True)
class Corrector:
    """One contestant.

    Attributes:
        key, label: its names.
        correct: (tiles, layout, source) -> tiles; the source is the whole picture before processing.
        source: whether it looks at the source at all.
        ours: whether it is Tilework.
        absent: why it is not here, or None.
    """

    key: str
    label: str
    correct: Callable[[Tiles, Any, torch.Tensor], Tiles]
    source: bool
    ours: bool = False
    absent: str | None = None


def _module(name: str) -> Any:
    try:
        return blending(name)
    except ModuleNotFoundError:
        return None


def _compensate(with_source: bool, unchanged_only: float, tiles: Tiles, layout: Any, source: torch.Tensor) -> Tiles:
    """Tilework's joint solve over all overlaps."""
    given = {"reference": source, "unchanged_only": unchanged_only} if with_source else {}
    gains = _module("gain").compensate(iter(tiles), layout, **given)
    return [gains.apply(tile, index) for index, tile in enumerate(tiles)]


def _match(method: str, unchanged_only: float, tiles: Tiles, layout: Any, source: torch.Tensor) -> Tiles:
    """Tilework's statistics transfer, each tile to its own crop of the source."""
    return list(_module("color").match_tiles(iter(tiles), layout, source, method, unchanged_only=unchanged_only))


def _none(tiles: Tiles, _layout: Any, _source: torch.Tensor) -> Tiles:
    return tiles


def _crops(source: torch.Tensor, layout: Any) -> Tiles:
    return list(blending().cut(source, layout))


def _core(method: str, tiles: Tiles, layout: Any, source: torch.Tensor) -> Tiles:
    from comfy_extras.nodes_post_processing import ColorTransfer

    pairs = zip(tiles, _crops(source, layout), strict=True)
    return [ColorTransfer.execute(tile, crop, method, {"source_stats": "per_frame"}).result[0] for tile, crop in pairs]


def _matcher(method: str, tiles: Tiles, layout: Any, source: torch.Tensor) -> Tiles:
    from color_matcher import ColorMatcher

    done = []
    for tile, crop in zip(tiles, _crops(source, layout), strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            came = ColorMatcher().transfer(src=tile[0].numpy().copy(), ref=crop[0].numpy().copy(), method=method)
        done.append(torch.from_numpy(np.ascontiguousarray(came)).float()[None])
    return done


def _opencv(name: str, tiles: Tiles, layout: Any, _source: torch.Tensor) -> Tiles:
    import cv2

    compensator = getattr(cv2, f"detail_{name}")()
    images = [to_bytes(tile) for tile in tiles]
    corners = [(rect.x, rect.y) for rect in layout.tiles]
    masks = [np.full(image.shape[:2], 255, np.uint8) for image in images]
    compensator.feed(corners, images, masks)
    return [
        read_bytes(compensator.apply(i, corner, image.copy(), mask))
        for i, (corner, image, mask) in enumerate(zip(corners, images, masks, strict=True))
    ]


def _ours() -> list[Corrector]:
    gain, colour, settings = _module("gain"), _module("color"), _module("color_settings")
    has_gain, has_match = (
        None if hasattr(*want) else f"this Tilework has no {want[1]}" for want in ((gain, "compensate"), (colour, "match_tiles"))
    )
    rule = f"unchanged only {UNCHANGED}"
    made = [
        Corrector("tilework-gain", "**Tilework** gain compensation", partial(_compensate, False, 0.0), False, True, has_gain),
        Corrector(
            "tilework-gain-source", "**Tilework** gain compensation to the source", partial(_compensate, True, 0.0), True, True, has_gain
        ),
        Corrector(
            "tilework-gain-rule",
            f"**Tilework** gain compensation to the source, {rule}",
            partial(_compensate, True, UNCHANGED),
            True,
            True,
            has_gain,
        ),
    ]
    if has_match:
        return [*made, Corrector("tilework-match", "**Tilework** statistics transfer, per tile", _none, True, True, has_match)]
    for method in (method for method in settings.METHODS if not method.startswith("gain")):
        made.append(Corrector(f"tilework-{method}", f"**Tilework** {method}, per tile", partial(_match, method, 0.0), True, True))
        made.append(
            Corrector(f"tilework-{method}-rule", f"**Tilework** {method}, per tile, {rule}", partial(_match, method, UNCHANGED), True, True)
        )
    return made


def all_correctors() -> list[Corrector]:
    """Every contestant, those that are not installed included."""
    host = None if load_host() else "ComfyUI is not installed"
    matcher, cv2 = (
        None if importlib.util.find_spec(module) else f"{name} is not installed"
        for module, name in (("color_matcher", "color-matcher"), ("cv2", "OpenCV"))
    )
    return [
        *_ours(),
        *(Corrector(f"matcher-{m}", f"color-matcher {m}, per tile", partial(_matcher, m), True, absent=matcher) for m in MATCHER_METHODS),
        *(Corrector(f"core-{m}", f"ComfyUI core ColorTransfer {m}, per tile", partial(_core, m), True, absent=host) for m in CORE_METHODS),
        *(
            Corrector(f"opencv-{name}", f"OpenCV {words}, 8-bit", partial(_opencv, name), False, absent=cv2)
            for name, words in COMPENSATORS.items()
        ),
    ]


def delta_e() -> tuple[Callable[[torch.Tensor, torch.Tensor], float] | None, str]:
    """Mean CIEDE2000 of two pictures [1, H, W, 3] in sRGB, and whose it is.

    scikit-image's where it is installed, so that nobody is measured with a ruler of their own.
    """
    if importlib.util.find_spec("skimage"):
        from skimage.color import deltaE_ciede2000, rgb2lab

        def measure(came: torch.Tensor, truth: torch.Tensor) -> float:
            first, second = (rgb2lab(picture[0].double().numpy().clip(0, 1)) for picture in (came, truth))
            return float(deltaE_ciede2000(first, second).mean())

        return measure, "scikit-image"
    own = _module("delta_e")
    if own is None:
        return None, "neither scikit-image nor blending.pixels.delta_e is here"
    return lambda came, truth: float(own.ciede2000(*map(own.srgb_to_lab, (came, truth))).mean()), "blending.pixels.delta_e"
