"""The way that a run of a sampler took: what it predicted of the finished picture at every noise level."""

from __future__ import annotations

import bisect

import torch

MOST_BYTES = 128 * 2**20


class Trajectory:
    """Predictions of one run, kept in half precision in main memory.

    Half precision rounds to 1 in 2,048, far under one of 255 tones. There is a bound: where another prediction would pass it,
    every second one is dropped, and what is asked for between two is mixed of both.

    Args:
        most_bytes: the bound of what is kept.
        inverted: whether it is the way up from a picture to its noise, made whole at once, and not a sampler's run.

    Attributes:
        inverted: as given.
        done: whether the run has come to its end.
        runs: how many have been written down, one after the other; only the last is kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, inverted: bool = False) -> None:
        self.most_bytes, self.inverted, self.done = most_bytes, inverted, False
        self.runs = 0
        self._levels: list[float] = []
        self._kept: list[torch.Tensor] = []

    def __len__(self) -> int:
        return len(self._levels)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Of a prediction; None while there is none."""
        return tuple(self._kept[0].shape) if self._kept else None

    @property
    def levels(self) -> tuple[float, ...]:
        """The noise levels that are kept, from the lowest on."""
        return tuple(self._levels)

    def begin(self) -> None:
        """Forget everything: a new run begins."""
        self._levels.clear()
        self._kept.clear()
        self.done = False
        self.runs += 1

    def snapshot(self) -> Trajectory:
        """One that stays as this is now; the predictions are shared."""
        same = Trajectory(self.most_bytes, self.inverted)
        same.done, same._levels, same._kept = self.done, list(self._levels), list(self._kept)
        return same

    def record(self, sigma: float, x0: torch.Tensor) -> None:
        """Keep what was predicted at a noise level; the last prediction of a level counts."""
        # Copied, so that nothing of the run is kept alive or changed later.
        half = x0.detach().to("cpu", torch.float16, copy=True)
        at = bisect.bisect_left(self._levels, sigma)
        if at < len(self._levels) and self._levels[at] == sigma:
            self._kept[at] = half
            return
        while self._kept and (len(self._kept) + 1) * half.nbytes > self.most_bytes and len(self._kept) > 1:
            self._levels, self._kept = self._levels[::2], self._kept[::2]
            at = bisect.bisect_left(self._levels, sigma)
        self._levels.insert(at, sigma)
        self._kept.insert(at, half)

    def at(self, sigma: float) -> torch.Tensor:
        """What was predicted at a noise level, float32: between two levels mixed of both, beyond the ends that of the end.

        Raises:
            ValueError: where nothing was recorded.
        """
        if not self._levels:
            raise ValueError("nothing was recorded")
        after = bisect.bisect_left(self._levels, sigma)
        if after == len(self._levels) or self._levels[after] == sigma or after == 0:
            return self._kept[min(after, len(self._levels) - 1)].float()
        low, high = self._levels[after - 1], self._levels[after]
        return torch.lerp(self._kept[after - 1].float(), self._kept[after].float(), (sigma - low) / (high - low))
