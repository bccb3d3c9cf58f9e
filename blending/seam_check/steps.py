"""Is there a step exactly on a line?

The signed test begins with how far the difference across a line differs from the
differences beside it, e = D(c) - (D(c-1) + D(c+1)) / 2, averaged with its sign along the line:
grain averages out, a step does not. That filter also answers to a soft edge along the line (10 to
90 % over 6 px, 128 levels: 1.9 levels), which no control of the same rows shows. So the line's
sides are fitted by polynomials with longer arms, which is the same idea carried further: the
least-squares step between two sides that share their odd derivatives (Savitzky and Golay 1964 on
fits as filters). `sharp` answers to that edge with 0.1 level; `wide` has less than half the grain,
and counts only as far as `sharp` confirms it. What the scene has of sharp edges is told from a seam by
its shape (`step_profile.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from .controls import MOST_Z, normal, z_score
from .step_filters import SHARP, WIDE, steps
from .step_profile import SHARP_SHARE, step_share
from .surroundings import Strip

CONFIRMED = 0.8  # share of z that `sharp` must reach for `wide` to count

STRONG_FLOOR = 0.5
EVERYWHERE = 0.85  # of the segments must show what is no signed step
VISIBLE_STEP = 0.5
VISIBLE_WAVER = 1.0
WAVER_SEGMENTS = 4
SEGMENT_FLOOR = 0.1
MOST_SAYS = 3.0
STILL = 0.5  # levels: quieter segments count alike


class Response(NamedTuple):
    """What one test found on N pictures.

    Attributes:
        test: its name.
        z: [N], how far the line stands out.
        size: [N], how strong it is in 8-bit levels.
        line: [N], index into the boundary's candidate lines.
        counts: bool [N], whether it is large enough to be seen and shaped like a seam.
        where: [N, S], how strong it is in each segment.
    """

    test: str
    z: torch.Tensor
    size: torch.Tensor
    line: torch.Tensor
    counts: torch.Tensor
    where: torch.Tensor


def opponent(mean: torch.Tensor) -> torch.Tensor:
    """Colour [N, c, ...] as lightness, red against green, yellow against blue: a drift of hue alone is a seam as well."""
    if mean.shape[1] == 1:
        return mean
    red, green, blue = mean.unbind(1)
    return torch.stack(((red + green + blue) / 3, red - green, (red + green) / 2 - blue), 1)


def along(values: torch.Tensor) -> torch.Tensor:
    """Mean over the segments (dimension -2), an eighth of them left out at either end: one crossing edge is not a seam."""
    count = values.shape[-2]
    out = count // 8
    return values.mean(-2) if out == 0 else values.sort(-2).values[..., out : count - out, :].mean(-2)


def in_agreement(segments: torch.Tensor, columns: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How well the segments agree that there is a step before each column.

    Each segment is measured by its own controls, so a quiet one tells much and a busy one little; none may
    say more than MOST_SAYS, so that one edge crossing the line is no seam. Stouffer's weighted sum of both.

    Args:
        segments: [N, P, S, columns].
        columns: controls.

    Returns:
        signed and unsigned sum, each [N, P, columns]; of unit variance for the signed one, where nothing is.
    """
    here = normal(segments[..., columns], SEGMENT_FLOOR)
    most = max(MOST_SAYS, 3 * MOST_SAYS / segments.shape[-2] ** 0.5)
    z = ((segments - here.median[..., None]) / here.scale[..., None]).clamp_(-most, most)
    weight = 1 / (here.scale + STILL)
    weight = weight / weight.square().sum(-1, keepdim=True).sqrt()
    return (z * weight[..., None]).sum(-2), (z.abs_() * weight[..., None]).sum(-2)


def step_test(strip: Strip, lines: tuple[int, ...], columns: torch.Tensor) -> list[Response]:
    """The signed step test, and its sibling for steps that change their sign along the line.

    Args:
        strip: the surroundings of the boundary.
        lines: candidate lines, indices into the strip's core.
        columns: controls, indices into the core.
    """
    planes = opponent(strip.mean[..., strip.core[0] : strip.core[1]])
    sharp, wide = steps(planes, SHARP), steps(planes, WIDE)
    mean = along(sharp)
    (agreed, strong), (agreed_wide, _) = in_agreement(sharp, columns), in_agreement(wide, columns)
    visible = torch.tensor([1.0, 2.0, 2.0][: planes.shape[1]], device=planes.device)  # the eye sees colour steps less
    stepped, wavered = [], []
    for line in lines:
        z_sharp, z_wide = (z_score(sums, line, columns, 1.0) for sums in (agreed, agreed_wide))
        z = torch.maximum(z_sharp, torch.minimum(z_wide, z_sharp / CONFIRMED))
        size = mean[..., line]
        is_step = step_share(mean, line, lines) > SHARP_SHARE
        stepped.append((z, size, is_step & (size.abs() > VISIBLE_STEP * visible), sharp[..., line]))
        here, usual = sharp[..., line].abs(), sharp[..., columns].abs().median(-1).values
        size = (here - usual).median(-1).values
        everywhere = (here > 2 * usual).float().mean(-1) >= EVERYWHERE
        in_most = step_share(sharp, line, lines).median(-1).values > SHARP_SHARE
        z = z_score(strong, line, columns, STRONG_FLOOR, signed=False)
        wavered.append((z, size, in_most & everywhere & (size > VISIBLE_WAVER * visible), here))
    found = [strongest("step", stepped)]
    return [*found, strongest("wavering step", wavered)] if sharp.shape[-2] >= WAVER_SEGMENTS else found


def strongest(test: str, results: list[tuple[torch.Tensor, ...]]) -> Response:
    """The line and plane with the largest z that counts; [N, P] (and [N, P, S]) each."""
    z, size, counts, where = (torch.stack(part, 1).flatten(1, 2) for part in zip(*results, strict=True))
    best = torch.where(counts, z + 2 * MOST_Z, z).argmax(1, keepdim=True)
    planes = results[0][0].shape[1]
    segments = where.gather(1, best[..., None].expand(-1, -1, where.shape[-1]))[:, 0]
    pick = [part.gather(1, best)[:, 0] for part in (z, size, counts)]
    return Response(test, pick[0], pick[1], best[:, 0] // planes, pick[2], segments)
