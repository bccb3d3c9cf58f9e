"""What can be counted in a picture of a scene: suns, houses, horizons too many, drift of the sky, sharpness of the ground."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from . import scenes

EIGHT = np.ones((3, 3), bool)
LEAST_SUN, LEAST_ROOF = 6, 8  # cells
IN_SKY = 0.4  # of what surrounds a sun is sky: a yellow door is none


class Figures(NamedTuple):
    """Of one picture, or the means over several; NaN where there is nothing to measure.

    Attributes:
        suns, houses: how many.
        one_sun, one_house: 1 where there is exactly one.
        horizons: bands of land above sky, mean over the columns; 0 in a scene.
        drift: how much the sky's blocks differ along a row that should be one tone, standard deviation in 1/255.
        texture: root mean square of what is finer than three cells in the ground.
    """

    suns: float
    houses: float
    one_sun: float
    one_house: float
    horizons: float
    drift: float
    texture: float


def _count(mask: np.ndarray, least: int, close: bool) -> int:
    if close:
        mask = ndimage.binary_closing(np.pad(mask, 3), EIGHT)[3:-3, 3:-3]
    labels, number = ndimage.label(mask, EIGHT)
    return int((np.bincount(labels.ravel(), minlength=number + 1)[1:] >= least).sum())


def _surrounded(mask: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Those parts of `mask` that have sky around them."""
    labels, number = ndimage.label(ndimage.binary_dilation(mask, EIGHT), EIGHT)
    kept = np.zeros_like(mask)
    for part in (labels == index for index in range(1, number + 1)):
        ring = ndimage.binary_dilation(part, EIGHT, iterations=3) & ~ndimage.binary_dilation(part, EIGHT)
        if ring.any() and sky[ring].mean() >= IN_SKY:
            kept |= part & mask
    return kept


def _horizons(land: np.ndarray, sky: np.ndarray) -> float:
    """How often land lies above sky, mean over the columns."""
    land, sky = (ndimage.median_filter(mask.astype(np.uint8), (5, 5)) > 0 for mask in (land, sky))
    above = []
    for column in np.where(land, 1, np.where(sky, -1, 0)).T:
        known = column[column != 0]
        above.append(int(((known[:-1] == 1) & (known[1:] == -1)).sum()))
    return float(np.mean(above))


def _drift(rgb: np.ndarray, sun: np.ndarray, scale: int) -> float:
    """Of the uppermost eighth, which changes downwards only; away from the sun."""
    height, width = sun.shape
    top = rgb[:, : height // 8]
    free = ~ndimage.binary_dilation(sun[: height // 8], EIGHT, iterations=3 * scale)
    blocks = []
    for index in range(8):
        at = slice(index * width // 8, (index + 1) * width // 8)
        if free[:, at].mean() > 0.6:
            blocks.append((top[:, :, at] * free[None, :, at]).sum((1, 2)) / free[:, at].sum())
    return float(np.std(blocks, 0).mean() * 255) if len(blocks) > 2 else float("nan")


def _fineness(latent: torch.Tensor, land: np.ndarray) -> float:
    texture = latent[3][None, None]
    fine = (texture - F.avg_pool2d(F.pad(texture, (1, 1, 1, 1), mode="reflect"), 3, 1))[0, 0].numpy()
    deep = ndimage.binary_erosion(land, EIGHT, iterations=2)
    return float(np.sqrt((fine[deep] ** 2).mean())) if deep.sum() > 30 else float("nan")


def figures(latent: torch.Tensor, scale: int) -> Figures:
    """Of one latent [4, h, w] of `scale` times the native size."""
    rgb = scenes.rgb(latent[None])[0].numpy()
    red, green, blue = rgb
    sun = (red > 0.72) & (green > 0.55) & (red - blue > 0.33)
    roof = (red > 0.42) & (red - green > 0.25) & (red - blue > 0.22)
    soft = ndimage.uniform_filter(rgb, (0, 3, 3))
    land = (soft[1] - soft[2] > 0.03) & ~sun & ~ndimage.binary_dilation(roof, iterations=2)
    sky = (soft[2] - np.minimum(soft[0], soft[1]) > 0.02) & ~sun
    sun = _surrounded(sun, sky)
    suns, houses = _count(sun, LEAST_SUN, scale > 1), _count(roof, LEAST_ROOF, scale > 1)
    return Figures(suns, houses, suns == 1, houses == 1, _horizons(land, sky), _drift(rgb, sun, scale), _fineness(latent, land))


def mean_figures(latents: torch.Tensor, scale: int) -> Figures:
    """The means over latents [n, 4, h, w]; what cannot be measured in some is the mean over the others."""
    return mean_of(figures(latent.float().cpu(), scale) for latent in latents)


def mean_of(every: Iterable[Figures]) -> Figures:
    """The means of several figures, NaN left out."""
    table = np.array([tuple(one) for one in every], dtype=float)
    known = ~np.isnan(table)
    means = np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1)
    return Figures(*(float(mean) if any_known else float("nan") for mean, any_known in zip(means, known.any(0), strict=True)))
