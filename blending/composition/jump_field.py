"""How far the gradient of a blended picture is from its tiles' own.

In an overlap the tiles know the gradient as well as the blended picture does, and better:
where a window hides a tone step in a ramp, the ramp is a gradient that no tile has. The
difference is the jump field, and it is zero but for where windows change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from ..layout.landing import on_grid
from ..layout.mosaic import Mosaic
from ..layout.unrolled import turns
from ..layout.windows import AxisWindow

Flags = Callable[[int, int, int], bool]  # (dimension, row, column) -> whether the overlap with the tile before is corrected


def edge_weights(windows: list, size: int, wraps: bool = False) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What each pixel contributes to the jump over each edge of neighbouring pixels along one axis.

    The jump is the difference of the blended pixels less the weighted mean of the tiles' own
    differences, which is known where at least one tile has both pixels.

    Args:
        windows: the tiles' windows along the axis.
        size: output pixels along it.
        wraps: whether the edge before pixel 0 is the one behind the last, and windows go on behind it.

    Returns:
        per tile (after, before), float32 [n + 1] for its n pixels: the jump over edge e, which lies before pixel e, gets
        after[e] * pixel e + before[e] * pixel e - 1.
    """
    shares = torch.zeros(size + 1, dtype=torch.float64)
    pairs = []
    ring = size if wraps else size + 1
    for w in windows:
        pair = (w.weight[1:] + w.weight[:-1]) / 2
        for there, own in turns(w.start + 1, w.stop, ring):
            shares[there] += pair[own]
        pairs.append(pair)
    out = []
    for w, pair in zip(windows, pairs, strict=True):
        known = F.pad(pair / shares[torch.arange(w.start + 1, max(w.stop, w.start + 1)) % ring], (1, 1))
        after = F.pad(w.weight, (0, 1)) - known
        before = known - F.pad(w.weight, (1, 0))
        # An edge that no tile has both pixels of (overlap 0) has no known difference, and no jump then.
        for edge in (0, len(w.weight)):
            if shares[(w.start + edge) % ring] == 0:
                after[edge] = before[edge] = 0
        out.append((after.float(), before.float()))
    return out


def _runs(after: torch.Tensor, before: torch.Tensor) -> list[tuple[int, int]]:
    """Stretches of edges with anything to contribute."""
    busy = ((after.abs() > 1e-9) | (before.abs() > 1e-9)).int()
    change = torch.diff(F.pad(busy, (1, 1)))
    return list(zip((change == 1).nonzero().flatten().tolist(), (change == -1).nonzero().flatten().tolist(), strict=True))


class JumpField:
    """The divergence of the jump field of a windowed composition.

    Args:
        mosaic: with the windows the picture was blended by, every tile whole (`Mosaic.around`).
        flags: which overlaps count; None for all. Along a stretch where several overlaps lie on each other any one is enough.
    """

    def __init__(self, mosaic: Mosaic, flags: Flags | None = None) -> None:
        self.mosaic, self.flags = mosaic, flags
        lines = zip(mosaic.windows, mosaic.size, mosaic.layout.wrap, strict=True)
        self.edges = [edge_weights(windows, size, wraps) for windows, size, wraps in lines]
        self.runs = [[_runs(*pair) for pair in edges] for edges in self.edges]

    def add_to(self, divergence: torch.Tensor, tiles: Iterable[torch.Tensor], picture: int, channel: int) -> None:
        """Add the divergence of one channel's jumps.

        Args:
            divergence: float32 [H, W] on the CPU, added to.
            tiles: [P, h, w, C] each.
            picture: which of P.
            channel: which of C.
        """
        columns = len(self.mosaic.windows[1])
        for index, tile in enumerate(tiles):
            row, column = divmod(index, columns)
            pixels = on_grid(self.mosaic, tile.detach()[picture : picture + 1, ..., channel : channel + 1], row, column)
            pixels = pixels[0, ..., 0].to("cpu", torch.float32)
            y, x = self.mosaic.windows[0][row], self.mosaic.windows[1][column]
            self._along(divergence, pixels, 0, row, column, y, x)
            self._along(divergence.t(), pixels.t(), 1, column, row, x, y)  # the same along x, with everything turned round

    def _along(
        self, divergence: torch.Tensor, pixels: torch.Tensor, dim: int, index: int, other: int, along: AxisWindow, across: AxisWindow
    ) -> None:
        weight = across.weight.float()
        after, before = self.edges[dim][index]
        for first, last in self.runs[dim][index]:
            jumps = self._jumps(pixels, after, before, first, last) * weight
            if self.flags is not None:
                at = slice(along.start + first, along.start + last)
                jumps *= flagged_edges(self.mosaic, self.flags, dim, other, at)[:, None]
            for over, columns in turns(across.start, across.stop, divergence.shape[1]):
                for sign, start in ((1, along.start + first - 1), (-1, along.start + first)):
                    for at, rows in turns(start, start + last - first, divergence.shape[0]):
                        divergence[at, over].add_(jumps[rows, columns], alpha=sign)

    @staticmethod
    def _jumps(pixels: torch.Tensor, after: torch.Tensor, before: torch.Tensor, first: int, last: int) -> torch.Tensor:
        """[last - first, w]: over edges first..last; pixels that the tile does not have count for nothing."""
        n = pixels.shape[0]
        jumps = torch.zeros(last - first, pixels.shape[1], device=pixels.device)
        inside = slice(0, min(last, n) - first)
        jumps[inside] += after[first : min(last, n), None] * pixels[first : min(last, n)]
        low = max(first, 1)
        jumps[low - first :] += before[low:last, None] * pixels[low - 1 : last - 1]
        return jumps


def flagged_edges(mosaic: Mosaic, flags: Flags, dim: int, other: int, at: slice) -> torch.Tensor:
    """Float per edge of `at`: 1 where a flagged overlap of row (column) `other` of tiles lies there, else 0."""
    windows, size, wraps = mosaic.windows[dim], mosaic.size[dim], mosaic.layout.wrap[dim]
    edges = torch.arange(at.start, at.stop)
    out = torch.zeros(len(edges))
    for i in range(0 if wraps and len(windows) > 1 else 1, len(windows)):
        # Before the first tile of a ring comes the last one, which ends a turn later.
        start, stop = windows[i].start + (0 if i else size), windows[i - 1].stop
        where = (edges >= start) & (edges <= stop)
        if wraps:
            where |= (edges >= start - size) & (edges <= stop - size)
            where |= (edges >= start + size) & (edges <= stop + size)
        if where.any() and flags(dim, *((i, other) if dim == 0 else (other, i))):
            out[where] = 1
    return out


class AlphaJumpField:
    """The same for RGBA: a tile knows the gradient where both pixels can be seen in it, and as much as they can.

    Takes three planes [H, W].

    Args:
        mosaic: with the windows the picture was blended by.
        blended: float32 [P, H, W, 4], the blended picture, alpha-weighted.
        flags: which overlaps count; None for all.
    """

    def __init__(self, mosaic: Mosaic, blended: torch.Tensor, flags: Flags | None = None) -> None:
        self.mosaic, self.blended, self.flags = mosaic, blended, flags

    def add_to(self, divergence: torch.Tensor, tiles: Iterable[torch.Tensor], picture: int, channel: int) -> None:
        """Add the divergence of one channel's jumps; arguments as for `JumpField`."""
        tiles = list(tiles)
        for dim in (0, 1):
            jumps = self._jumps(tiles, dim, picture, channel)
            size = divergence.shape[dim]
            if self.mosaic.layout.wrap[dim]:
                divergence.add_(jumps).sub_(jumps.roll(1, dim))
                continue
            divergence.narrow(dim, 0, size - 1).add_(jumps)
            divergence.narrow(dim, 1, size - 1).sub_(jumps)

    def _jumps(self, tiles: list[torch.Tensor], dim: int, picture: int, channel: int) -> torch.Tensor:
        """[H - 1, W] or [H, W - 1]: the jump over each edge; where the axis wraps the last one is that to the first pixel."""
        blended = self.blended[picture].cpu()
        ahead = self._ahead(blended, dim)
        known, weight, flagged = (torch.zeros_like(ahead[..., channel]) for _ in range(3))
        for index, tile in enumerate(tiles):
            row, column = divmod(index, len(self.mosaic.windows[1]))
            pixels = on_grid(self.mosaic, tile.detach()[picture : picture + 1], row, column)[0].to("cpu", torch.float32)
            self._take(pixels, dim, row, column, channel, known, weight, flagged)
        size = known.shape[dim]
        jumps = ahead[..., channel] - blended[..., channel].narrow(dim, 0, size) - known.div_(weight.clamp_min(1e-12))
        jumps *= flagged.div_(weight.clamp_min(1e-12))  # zero where nobody knows
        return jumps.mul_(torch.minimum(blended[..., 3].narrow(dim, 0, size), ahead[..., 3]))

    def _ahead(self, pixels: torch.Tensor, dim: int) -> torch.Tensor:
        """What lies behind each pixel of [H, W, C] that has such a neighbour."""
        return pixels.roll(-1, dim) if self.mosaic.layout.wrap[dim] else pixels.narrow(dim, 1, pixels.shape[dim] - 1)

    def _take(self, pixels: torch.Tensor, dim: int, row: int, column: int, channel: int, known, weight, flagged) -> None:
        n = pixels.shape[dim]
        if n < 2 or not pixels.numel():
            return
        pair = (pixels[..., 3].narrow(dim, 0, n - 1) * pixels[..., 3].narrow(dim, 1, n - 1)).clamp_min_(0)
        y, x = self.mosaic.windows[0][row], self.mosaic.windows[1][column]
        along = [w.weight.float() if i != dim else ((w.weight[1:] + w.weight[:-1]) / 2).float() for i, w in enumerate((y, x))]
        pair *= along[0][:, None] * along[1]
        step = pair * pixels[..., channel].diff(dim=dim)
        counting = pair
        if self.flags is not None:
            span = (y, x)[dim]
            edges = flagged_edges(self.mosaic, self.flags, dim, column if dim == 0 else row, slice(span.start + 1, span.stop))
            counting = pair * (edges[:, None] if dim == 0 else edges)
        for rows, own_rows in turns(y.start, y.stop - (dim == 0), weight.shape[0]):
            for columns, own_columns in turns(x.start, x.stop - (dim == 1), weight.shape[1]):
                for plane, values in ((weight, pair), (known, step), (flagged, counting)):
                    plane[rows, columns] += values[own_rows, own_columns]
