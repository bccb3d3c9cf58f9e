"""One gain and one offset per tile, from what overlapping tiles say about each other.

Where tiles i and j show the same place they should agree after correction:
g_i x_i + b_i = g_j x_j + b_j. All overlaps together are one least-squares problem, which
has no first tile and no order, so that errors do not add up along a row (Brown and Lowe,
"Automatic Panoramic Image Stitching using Invariant Features", IJCV 2007, section 6,
who solve for a gain alone). Three things make it hold in practice:

- **Robust.** Samples are weighted anew in every round, first by absolute values, then by
  Tukey's biweight, which gives no weight at all to places where the tiles show different
  things (Holland and Welsch 1977; scale by the median absolute deviation).
- **No collapse.** Both sides are measured with noise, and plain least squares pays for
  noise with gain: it would fade all tiles to grey. So within an overlap the ratio of
  both deviations is asked for and not a slope (reduced major axis, Kermack and Haldane
  1950), as firmly as both sides go together, and the mean gain is held.
- **Weak priors.** Gains are one within 0.1 and corrections zero within 0.1: a flat
  overlap, which says nothing about gain, leaves it at one.

What the overlaps cannot know, the level of the whole, is held at the mean of the tiles
as they came, or follows a reference: to the solver one more tile, that does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REFERENCE = -1

GAIN_DEVIATION = 0.1
LEVEL_DEVIATION = 0.1
# The reference's say against that of all overlaps together: enough to stop a slow drift, too little to open a seam.
REFERENCE_SHARE = 0.1

_LEAST_SCALE = 2e-4  # a twentieth of an 8-bit level: what resampling and rounding leave
_MEDIAN_TO_DEVIATION = 1.4826
_TUKEY = 4.685
_ABSOLUTE_ROUNDS = 6
_MOST_ROUNDS = 20
_SETTLED = 1e-6
_CHANCE = 3.0
_DENSE_BELOW = 300


class Tones(NamedTuple):
    """The solution: tile t becomes gains[t] * x + offsets[t].

    Attributes:
        gains, offsets: float64 [tiles, C].
        levels: float64 [tiles, C], the mean of each tile's samples, before.
        before, after: the median disagreement of samples of two tiles, mean over channels.
    """

    gains: np.ndarray
    offsets: np.ndarray
    levels: np.ndarray
    before: float
    after: float


class _Pairs:
    """All samples, pair by pair."""

    def __init__(self, pairs: Sequence[tuple[int, int]], samples: Sequence[tuple], tiles: int) -> None:
        self.tiles = tiles
        self.first, self.second = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
        self.a = np.concatenate([np.asarray(s[0], dtype=np.float64) for s in samples])
        self.b = np.concatenate([np.asarray(s[1], dtype=np.float64) for s in samples])
        counts = np.array([len(s[0]) for s in samples])
        given = [np.ones(n) if len(s) < 3 else np.asarray(s[2], dtype=np.float64) for s, n in zip(samples, counts, strict=True)]
        self.given = np.concatenate(given)
        self.starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
        self.counts = counts
        self.of = np.repeat(np.arange(len(counts)), counts)
        self.to_reference = self.second == REFERENCE
        self.sample_to_reference = self.to_reference[self.of]
        self.channels = self.a.shape[1]
        self.levels = self._levels()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sums over each pair's samples, [N, ...] -> [K, ...]."""
        return np.add.reduceat(values, self.starts, axis=0)

    def _levels(self) -> np.ndarray:
        total, count = np.zeros((self.tiles, self.channels)), np.zeros(self.tiles)
        for side, values in ((self.first, self.a), (self.second, self.b)):
            real = side != REFERENCE
            np.add.at(total, side[real], self.sum(values)[real])
            np.add.at(count, side[real], self.counts[real].astype(float))
        return total / np.maximum(count, 1)[:, None]

    def residuals(self, u: np.ndarray, c: np.ndarray) -> np.ndarray:
        """What is left between the two sides after correction x + u (x - level) + c."""
        return self._corrected(self.a, self.first, u, c) - self._corrected(self.b, self.second, u, c)

    def _corrected(self, values: np.ndarray, side: np.ndarray, u: np.ndarray, c: np.ndarray) -> np.ndarray:
        # The reference's row is the last one of each, and zero.
        zero = np.zeros((1, self.channels))
        gain, level, shift = (np.concatenate((part, zero)).take(side, axis=0).take(self.of, axis=0) for part in (u, self.levels, c))
        return values + gain * (values - level) + shift


def _scales(pairs: _Pairs, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Robust deviation per channel [2, C], of the samples of two tiles and of those of the reference; and per sample [N, C]."""
    size = np.abs(residuals)
    groups = []
    for chosen in (~pairs.sample_to_reference, pairs.sample_to_reference):
        middle = np.median(size[chosen], axis=0) if chosen.any() else np.zeros(pairs.channels)
        groups.append(np.maximum(_MEDIAN_TO_DEVIATION * middle, _LEAST_SCALE))
    scales = np.stack(groups)
    return scales, scales[pairs.sample_to_reference.astype(int)]


def _weights(residuals: np.ndarray, scale: np.ndarray, redescending: bool) -> np.ndarray:
    """Weight of each sample [N], one for all its channels: another thing is another thing in every channel."""
    distance = np.sqrt(np.mean((residuals / scale) ** 2, axis=1))
    if redescending:
        return np.square(np.maximum(1 - np.square(distance / _TUKEY), 0))
    return 1 / np.maximum(distance, 1)


def _start(pairs: _Pairs) -> np.ndarray:
    """Differences less each pair's own median: what the tiles' tones have no part in, roughly."""
    difference = pairs.a - pairs.b
    medians = np.stack([np.median(difference[s : s + n], axis=0) for s, n in zip(pairs.starts, pairs.counts, strict=True)])
    return difference - medians[pairs.of]


class _Summary(NamedTuple):
    """Of each pair, per channel [K, C]: weight and means, and the direction (deviation of a, deviation of b) with its weight."""

    weight: np.ndarray
    mean_a: np.ndarray
    mean_b: np.ndarray
    along: np.ndarray
    axis_a: np.ndarray
    axis_b: np.ndarray


def _summarise(pairs: _Pairs, weight: np.ndarray) -> _Summary:
    w = weight[:, None]
    total = pairs.sum(weight)[:, None]
    safe = np.maximum(total, 1e-12)
    mean_a, mean_b = pairs.sum(w * pairs.a) / safe, pairs.sum(w * pairs.b) / safe
    da, db = pairs.a - mean_a.take(pairs.of, axis=0), pairs.b - mean_b.take(pairs.of, axis=0)
    aa, bb, ab = pairs.sum(w * da * da), pairs.sum(w * db * db), pairs.sum(w * da * db)
    size = np.sqrt(aa * bb)
    # One for two pictures that differ in tone alone, zero for noise, give or take what chance does with so many samples.
    alike = np.where(size > 0, ab / np.maximum(size, 1e-300), 0)
    alike = np.maximum(alike - (1 - alike) * _CHANCE / np.sqrt(np.maximum(total, 1)), 0)
    spread = np.sqrt(np.maximum(aa + bb, 1e-300))
    return _Summary(np.broadcast_to(total, aa.shape), mean_a, mean_b, alike * (aa + bb), np.sqrt(aa) / spread, np.sqrt(bb) / spread)


def _equations(pairs: _Pairs, s: _Summary, channel: int, share: np.ndarray) -> tuple[np.ndarray, ...]:
    """Normal equations of one channel as (rows, columns, values) and right side [2 T]; unknowns are all u, then all c.

    A pair's cost is W (e + u_i p - u_j q + c_i - c_j)^2 + K (k + u_i v - u_j w)^2.
    """
    levels = np.concatenate((pairs.levels[:, channel], [0.0]))
    weight, along = s.weight[:, channel] * share, s.along[:, channel] * share
    p, q = s.mean_a[:, channel] - levels[pairs.first], s.mean_b[:, channel] - levels[pairs.second]
    v, w = s.axis_a[:, channel], s.axis_b[:, channel]
    e, k = s.mean_a[:, channel] - s.mean_b[:, channel], v - w
    still = pairs.to_reference
    # The reference has no unknowns: its rows are zero, wherever they are put.
    other = np.where(still, 0, pairs.second)
    places = np.stack((pairs.first, other, pairs.first + pairs.tiles, other + pairs.tiles))
    moves, one = ~still, np.ones_like(p)
    level_row = np.stack((p, -q * moves, one, -one * moves))
    axis_row = np.stack((v, -w * moves, 0 * one, 0 * one))
    values = weight * level_row[:, None] * level_row[None] + along * axis_row[:, None] * axis_row[None]
    right = np.zeros(2 * pairs.tiles)
    np.add.at(right, places.ravel(), -(weight * e * level_row + along * k * axis_row).ravel())
    rows, columns = np.broadcast_to(places[:, None], values.shape), np.broadcast_to(places[None], values.shape)
    return rows.ravel(), columns.ravel(), values.ravel(), right


def _solve_linear(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The symmetric system, for several right sides [n, m]."""
    n = len(right)
    if n < _DENSE_BELOW:
        dense = np.bincount(rows * n + columns, weights=values, minlength=n * n).reshape(n, n)
        return np.linalg.solve(dense, right)
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    matrix = csc_matrix((values, (rows, columns)), shape=(n, n))
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}).solve(right)


def _mean_gain(pairs: _Pairs, s: _Summary, channel: int, prior: float) -> float:
    """The mean of u that the reference asks for, tile by tile, each as far as it knows; 0 without a reference."""
    still = pairs.to_reference
    v, w, along = (part[still, channel] for part in (s.axis_a, s.axis_b, s.along))
    return float((along * v * (w - v) / (along * v * v + prior)).sum()) / pairs.tiles


def _solve_channel(pairs: _Pairs, s: _Summary, channel: int, scale: float, reference_scale: float) -> np.ndarray:
    """u and c [2, T] of one channel, for fixed weights."""
    n = pairs.tiles
    still = pairs.to_reference
    own, others = float(pairs.counts[~still].sum()), float(pairs.counts[still].sum())
    share = np.where(still, REFERENCE_SHARE * own / max(others, 1) if own else 1.0, 1.0)
    rows, columns, values, right = _equations(pairs, s, channel, share)
    priors = np.repeat((scale / np.array([GAIN_DEVIATION, LEVEL_DEVIATION])) ** 2, n)
    diagonal = np.arange(2 * n)
    # The mean gain is held; without a reference so is the mean level. They are full rows, so they are not put into
    # the sparse matrix: the free solution is moved onto them, by the least cost.
    held = [np.repeat([1.0, 0.0], n) / n] if still.any() else [np.repeat([1.0, 0.0], n) / n, np.repeat([0.0, 1.0], n) / n]
    wanted = np.zeros(len(held))
    if still.any():
        wanted[0] = _mean_gain(pairs, s, channel, (reference_scale / GAIN_DEVIATION) ** 2)
    constraint = np.stack(held)
    solved = _solve_linear(
        np.concatenate((rows, diagonal)),
        np.concatenate((columns, diagonal)),
        np.concatenate((values, priors)),
        np.column_stack((right, constraint.T)),
    )
    free, reach = solved[:, 0], solved[:, 1:]
    free = free - reach @ np.linalg.solve(constraint @ reach, constraint @ free - wanted)
    return free.reshape(2, n)


def solve_tones(pairs: Sequence[tuple[int, int]], samples: Sequence[tuple], tiles: int) -> Tones:
    """Find one gain and one offset per tile and channel under which all pairs agree best.

    Args:
        pairs: (i, j) of two tiles that overlap, each pair once, or (i, REFERENCE).
        samples: per pair (x_i, x_j) or (x_i, x_j, weight): float [n, C] each, the same places seen by both, n >= 1;
            weight [n]. Values as in a picture, 0..1.
        tiles: how many tiles there are; one without a pair stays as it is.

    Returns:
        the solution. It does not depend on the order of pairs, nor on that of tiles.

    Raises:
        ValueError: where there is not one sample to go by.
    """
    if not pairs:
        raise ValueError("no two tiles share a place to compare: split with an overlap of a few pixels at least, or connect a reference")
    data = _Pairs(pairs, samples, tiles)
    u = c = np.zeros((tiles, data.channels))
    residuals = _start(data)
    scales, scale = _scales(data, residuals)
    weight = _weights(residuals, scale, redescending=False)
    for turn in range(_MOST_ROUNDS):
        summary = _summarise(data, weight * data.given)
        lead = scales[0] if not data.to_reference.all() else scales[1]
        new = np.stack([_solve_channel(data, summary, ch, lead[ch], scales[1][ch]) for ch in range(data.channels)], axis=-1)
        moved = max(np.abs(new[0] - u).max(), np.abs(new[1] - c).max())
        u, c = new
        residuals = data.residuals(u, c)
        if turn >= _ABSOLUTE_ROUNDS and moved < _SETTLED:
            break
        scales, scale = _scales(data, residuals)
        weight = _weights(residuals, scale, redescending=turn >= _ABSOLUTE_ROUNDS)
    levels = data.levels
    return Tones(1 + u, c - u * levels, levels, _disagreement(data, data.a - data.b), _disagreement(data, residuals))


def _disagreement(pairs: _Pairs, residuals: np.ndarray) -> float:
    between = residuals[~pairs.sample_to_reference] if not pairs.to_reference.all() else residuals
    return float(np.median(np.abs(between), axis=0).mean())
