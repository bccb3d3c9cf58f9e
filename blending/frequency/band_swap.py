"""The strongest bands of one thing put in the place of another's (W-Edit's modulation, OpenReview jIcfQb66us; no code is public).

The bands are those of the stationary transform, so that what is done inside of a tile does not depend on where it lies. Level j of
it has 4^j times the energy of the decimated transform, which is taken off before bands are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from .stationary import StationaryBands, radius, reconstruct, ring_size, stationary

# Numbers of one transform that are held at once.
CHUNK = 16 << 20


def leading_bands(energies: Sequence[float], share: float) -> tuple[int, ...]:
    """The smallest set of bands, largest first, that reaches a share of the whole energy; of equal ones the first.

        >>> leading_bands([1.0, 6.0, 3.0], 0.6), leading_bands([1.0, 6.0, 3.0], 0.61), leading_bands([1.0, 6.0, 3.0], 0)
        ((1,), (1, 2), ())

    Args:
        energies: of each band, 0 or more.
        share: 0 (none) to 1 (all).

    Returns:
        their numbers, in rising order.

    Raises:
        ValueError: for a share that is none.
    """
    check_share(share)
    if share == 0:
        return ()
    if share == 1:
        return tuple(range(len(energies)))
    order = sorted(range(len(energies)), key=lambda number: -energies[number])
    wanted, sum_so_far, chosen = share * sum(energies), 0.0, []
    for number in order:
        if sum_so_far >= wanted:
            break
        chosen.append(number)
        sum_so_far += energies[number]
    return tuple(sorted(chosen))


def check_share(share: float) -> None:
    """Raises ValueError where `share` is no share of an energy, 0 to 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"energy {share} is no share: use 0 (nothing of the source) to 1 (all of it); 0.4 to 0.8 is what edits use")


def band_energies(planes: torch.Tensor, wavelet: str, levels: int) -> list[float]:
    """The energy of each band of planes [..., h, w], as the decimated transform counts it: the low band first, then level by level
    from the finest on (horizontal, vertical, diagonal).

    Memory: one chunk's transform.
    """
    sums = [0.0] * (3 * levels + 1)
    for chunk in _chunks(planes, wavelet, levels):
        bands = stationary(chunk, wavelet, levels)
        for number, band in enumerate(_listed(bands)):
            level = levels if number == 0 else (number - 1) // 3 + 1
            sums[number] += float(bands.inside(band).double().square().sum()) / 4**level
    return sums


def with_bands_of(own: torch.Tensor, source: torch.Tensor, share: float, wavelet: str, levels: int) -> torch.Tensor:
    """`own` with those bands of `source` in place of its own that hold `share` of the source's energy.

    Args:
        own, source: floating point [..., h, w] of one shape.
        share: see `leading_bands`. 0 returns `own`, 1 the source.
        wavelet, levels: see `stationary`.

    Returns:
        of the kind of number of `own`.

    Raises:
        ValueError: for shapes that differ, or a share that is none.
        RuntimeError: where PyWavelets is missing.
    """
    if own.shape != source.shape:
        raise ValueError(f"bands of {tuple(source.shape)} cannot take the place of those of {tuple(own.shape)}: the shapes must be alike")
    check_share(share)
    if share in (0, 1):
        return own if share == 0 else source.to(own.dtype)
    chosen = leading_bands(band_energies(source, wavelet, levels), share)
    flat, theirs = (part.reshape(-1, *part.shape[-2:]) for part in (own, source))
    made = torch.empty_like(flat)
    at = 0
    for mine, other in zip(_chunks(flat, wavelet, levels), _chunks(theirs, wavelet, levels), strict=True):
        # The transform is linear: what is added are the chosen bands of the difference.
        bands = stationary(other.float() - mine.float(), wavelet, levels)
        kept = [band if number in chosen else torch.zeros_like(band) for number, band in enumerate(_listed(bands))]
        details = tuple(tuple(kept[1 + 3 * level : 4 + 3 * level]) for level in range(levels))
        made[at : at + len(mine)] = (mine + reconstruct(replace(bands, low=kept[0], details=details), wavelet)).to(own.dtype)
        at += len(mine)
    return made.reshape(own.shape)


def _listed(bands: StationaryBands) -> list[torch.Tensor]:
    return [bands.low, *(band for level in bands.details for band in level)]


def _chunks(planes: torch.Tensor, wavelet: str, levels: int) -> Sequence[torch.Tensor]:
    flat = planes.reshape(-1, *planes.shape[-2:])
    # What is mirrored included: it is most of it where planes are small.
    reach = radius(wavelet, levels)
    height, width = (ring_size(side, reach) for side in flat.shape[-2:])
    each = height * width * (3 * levels + 1) * 4
    return flat.split(max(1, CHUNK // each))
