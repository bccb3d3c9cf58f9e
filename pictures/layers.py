"""Layers that sum to a picture, as bands do, for a preview that sums them itself: small copies in 16 bits, which sum to a small copy.

Bands are signed and of any height, so each layer has a scale of its own. Of a layer whose largest value is 1 a step is 1/32767,
1/128 of a level: five of them by gains of 8 are wrong by less than a fifth of a level. With 8 bits it would be twenty levels.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator

import torch

# Of a copy, and what every browser's graphics can hold.
MOST_PIXELS, MOST_SIDE = 1 << 21, 8192
LARGEST, LEAST_SCALE = 32767, 1e-30


def small_size(height: int, width: int) -> tuple[int, int]:
    """[height, width] of the copy of a picture of that size: of at most MOST_PIXELS and MOST_SIDE, its own where it is not larger.

    >>> small_size(4, 16384)
    (2, 8192)
    """
    ratio = min(math.sqrt(MOST_PIXELS / (height * width)), MOST_SIDE / max(height, width), 1)
    return max(1, int(height * ratio)), max(1, int(width * ratio))


def small_copy(picture: torch.Tensor) -> torch.Tensor:
    """A picture of the size of `small_size`.

        >>> small_copy(torch.zeros(4, 16384, 1)).shape
        torch.Size([2, 8192, 1])

    Args:
        picture: float32 [h, w, C].

    Returns:
        float32 [h', w', C]; every pixel is the mean of those that it stands for. One that is small enough is given back as it is.
    """
    size = small_size(*picture.shape[:2])
    if size == tuple(picture.shape[:2]):
        return picture
    return torch.nn.functional.interpolate(picture.movedim(-1, 0)[None], size=size, mode="area")[0].movedim(0, -1)


def packed(layers: Iterable[torch.Tensor]) -> Iterator[bytes]:
    """Layers as whole numbers of 16 bits, and what one of them stands for.

        >>> numbers, scales = packed([torch.tensor([[[-1.0], [0.5]]])])
        >>> numbers, struct.unpack("<d", scales)
        (b'\\x01\\x80\\x00@', (3.051850947599719e-05,))

    Memory: twice a layer.

    Args:
        layers: finite float32 [h, w, C] of one shape, of any range.

    Returns:
        of each layer h * w * C signed numbers, row by row, the low byte first; then for each a scale over 0, as a double. A layer is its
        numbers times its scale, to half of it.
    """
    scales = []
    for layer in layers:
        scales.append(max(*(abs(float(end)) / LARGEST for end in layer.aminmax()), LEAST_SCALE))
        numbers = (layer * (1 / scales[-1])).round_().to(torch.int16)
        yield numbers.contiguous().numpy().astype("<i2", copy=False).tobytes()
    yield struct.pack(f"<{len(scales)}d", *scales)
