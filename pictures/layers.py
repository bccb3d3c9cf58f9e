"""Layers that sum to a picture, as bands do, for a preview that sums them itself: small copies in 16 bits, which sum to a small copy.

Bands are signed and of any height, so each layer has a scale of its own. Of a layer whose largest value is 1 a step is 1/32767,
1/128 of a level: five of them by gains of 8 are wrong by less than a fifth of a level. With 8 bits it would be twenty levels.
"""

from __future__ import annotations

import math

import torch

# Of a copy, and what every browser's graphics can hold.
MOST_PIXELS, MOST_SIDE = 1 << 21, 8192
LARGEST, LEAST_SCALE = 32767, 1e-30


def small_copy(picture: torch.Tensor) -> torch.Tensor:
    """A picture of at most MOST_PIXELS and MOST_SIDE.

        >>> small_copy(torch.zeros(4, 16384, 1)).shape
        torch.Size([2, 8192, 1])

    Args:
        picture: float32 [h, w, C].

    Returns:
        float32 [h', w', C]; every pixel is the mean of those that it stands for. One that is small enough is given back as it is.
    """
    height, width = picture.shape[:2]
    ratio = min(math.sqrt(MOST_PIXELS / (height * width)), MOST_SIDE / max(height, width))
    if ratio >= 1:
        return picture
    size = (max(1, int(height * ratio)), max(1, int(width * ratio)))
    return torch.nn.functional.interpolate(picture.movedim(-1, 0)[None], size=size, mode="area")[0].movedim(0, -1)


def packed(layer: torch.Tensor) -> tuple[bytes, float]:
    """A layer as whole numbers of 16 bits, and what one of them stands for.

        >>> packed(torch.tensor([[[-1.0], [0.5]]]))
        (b'\\x01\\x80\\x00@', 3.051850947599719e-05)

    Memory: twice the layer.

    Args:
        layer: finite float32 [h, w, C], of any range.

    Returns:
        h * w * C signed numbers, row by row, the low byte first; and the scale, over 0: the layer is the numbers times it, to half of it.
    """
    scale = max(*(abs(float(end)) / LARGEST for end in layer.aminmax()), LEAST_SCALE)
    numbers = (layer * (1 / scale)).round_().to(torch.int16)
    return numbers.contiguous().numpy().astype("<i2", copy=False).tobytes(), scale
