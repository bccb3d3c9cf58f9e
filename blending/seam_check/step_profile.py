"""Is what stands on a line as sharp as a seam?

Where two tiles were cut hard, or averaged, the change is complete from one pixel to the next. An edge of the scene is
not: lens, sensor and the upscaling network spread it over two pixels and more, and it is centred on a given line only
by chance. Both make the step filter answer on the line. But the filter's answers beside the line are known for a step:
its own response. So the answers around the line are fitted by that response; the share of them that it explains says
how much of a step is there.

A picture that was resized after the blend has some of its seams inside a pixel. Such a step is two of half the height
beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch

from .step_filters import SHARP, steps

REACH = 6  # columns on either side of the line
SHARP_SHARE = 0.72  # of the answers around a line that a step on it must explain


def step_share(answers: torch.Tensor, line: int, lines: Sequence[int]) -> torch.Tensor:
    """How much of what the filter SHARP answers around a line a step on that line explains.

    Args:
        answers: [..., columns] of the filter.
        line: the column after the step.
        lines: all lines of this boundary; steps on those nearby are fitted along with it.

    Returns:
        [...], from 0 (nothing) to 1 (it is a step, and nothing else).
    """
    arm, columns = SHARP[0], answers.shape[-1]
    start, stop = max(line - REACH, arm), min(line + REACH + 1, columns - arm + 1)
    around = answers[..., start:stop]
    energy = around.square().sum(-1)
    near = tuple(sorted(other - line for other in lines if 0 < abs(other - line) <= 2 * REACH))
    share = torch.zeros_like(energy)
    for basis in _bases(near, start - line, stop - line):
        fitted = around @ basis.to(around)
        share = torch.maximum(share, fitted.square().sum(-1) / energy.clamp_min(1e-12))
    return share


@cache
def _bases(near: tuple[int, ...], start: int, stop: int) -> tuple[torch.Tensor, ...]:
    """Orthonormal bases [stop - start, count] of the answers to steps on the line, or half a pixel beside it, and on the lines `near`."""
    arm = SHARP[0]
    length = 8 * (arm + REACH)
    whole = steps((torch.arange(length) >= length // 2).double(), SHARP)

    def answer(at: int) -> torch.Tensor:
        return whole[length // 2 - at + start : length // 2 - at + stop]

    others = [answer(at) for at in near]
    own = (answer(0), (answer(0) + answer(-1)) / 2, (answer(0) + answer(1)) / 2)
    return tuple(torch.linalg.qr(torch.stack([one, *others], 1)).Q for one in own)
