"""How far into a tile its border reaches: the receptive field of a model, measured.

A tile differs from the same part of the untiled result because the model sees something else beyond the tile's border.
So that is what is measured. All that lies beyond the borders of a window is replaced, by the window mirrored, by
nothing, by another picture, and by an end of the picture (a tile that is cut out); how much the result inside changes is
noted by its distance from the border. Single pixels would not do: what a thousand of them do together is not seen in one.

Distances are in pixels that the model is given (cells of the latent, for a decoder). A radius of r means: r pixels along
the border are touched, and the next one is not.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from .border_distance import MIRRORED, NOTHING, OTHER_PICTURE, Window, axis_distance, profile, reach, replaced
from .endless_influence import EndlessInfluence, quiet_depth
from .frozen_statistics import FrozenStatistics
from .probe_picture import probe_picture
from .statistics_modules import ATTENTION, safe_modules, statistics_modules

THRESHOLD = 0.5 / 255
CUT = "cut"
KINDS = (MIRRORED, NOTHING, OTHER_PICTURE, CUT)

# A tile's own picture may be harder than the probe: what is suggested keeps to this share of the threshold.
CAUTION = 0.5
# Of the window's depth, what the radius must stay within to be believed.
INSIDE = 0.75
# Steps at which a model may repeat (strides, windows of attention), and how many borders between two are tried.
LATTICES = (1, 2, 4, 8, 16, 32, 64)
MOST_PHASES = 8
USUAL_LATTICE = 8
STRIP_HEIGHT = 64
DARKENED = 0.25

Run = Callable[[Tensor], Tensor]
Content = Callable[[int, int, int], Tensor]
# Profiles by kind, profiles by side, and the change as a map.
Rings = tuple[dict[str, Tensor], list[Tensor], Tensor]


@dataclass(frozen=True)
class ReceptiveField:
    """What was found out. Lengths are pixels that the model is given.

    Attributes:
        radius: from here on the border changes less than `threshold`. Where the model sees everything, its statistics of the
            whole picture are held still for this, and what attention does everywhere is taken off.
        full_radius: from here on it changes nothing beyond rounding; at least this much where `full_known` is False.
        full_known: whether an end of the influence was seen.
        sides: radius at the left, right, top and bottom border, of which `radius` is the largest.
        overlap, trim: suggested: tiled equals untiled within the threshold.
        lattice: tiles must start on multiples of this for the model to do the same in each.
        threshold: in the units of the model's output.
        scale: output pixels per pixel that is given.
        sees_everything: whether the whole picture matters everywhere, however far away.
        floor: change by which it does; 0 where it does not.
        statistics: modules that may be the reason, as "InstanceNorm (3)"; empty where it does not or where none is known.
        cleared: modules that could have been, and are not: windowed attention, BatchNorm with stored statistics.
        profiles: kind of replacement -> largest change [depth] at each distance from the border.
        influence: largest change [h, w] in a whole tile, in output pixels.
    """

    radius: int
    full_radius: int
    full_known: bool
    sides: tuple[int, int, int, int]
    overlap: int
    trim: int
    lattice: int
    threshold: float
    scale: Fraction
    sees_everything: bool
    floor: float
    statistics: tuple[str, ...]
    cleared: tuple[str, ...]
    profiles: dict[str, Tensor]
    influence: Tensor

    @property
    def profile(self) -> Tensor:
        """Largest change at each distance from the border, whatever lies beyond it."""
        return torch.stack(list(self.profiles.values())).amax(0)

    def stretched(self, unit: int) -> ReceptiveField:
        """The same, with lengths counted in pixels of which `unit` make one that the model is given (image pixels per latent cell)."""
        lengths = {name: getattr(self, name) * unit for name in ("radius", "full_radius", "overlap", "trim", "lattice")}
        profiles = {kind: values.repeat_interleave(unit) for kind, values in self.profiles.items()}
        return replace(self, **lengths, sides=tuple(side * unit for side in self.sides), scale=self.scale / unit, profiles=profiles)


def measure(
    run: Run,
    channels: int = 3,
    scale: int | float | Fraction = 1,
    threshold: float = THRESHOLD,
    *,
    size: int = 128,
    largest: int = 512,
    strip: int = 2048,
    lattice: int | None = None,
    content: Content | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    network: torch.nn.Module | None = None,
    watch: Callable[[int, int], None] | None = None,
) -> ReceptiveField:
    """Measure a model's receptive field.

    The probe grows until the influence falls under the threshold well inside of it. Where the influence goes on beyond
    that, one long strip per side tells where it ends, or that it does not.

    Args:
        run: [1, channels, h, w] -> [1, any, h * scale, w * scale], the same for the same input.
        channels: that it takes.
        scale: output pixels per pixel that it is given; below 1 for an encoder.
        threshold: change that is allowed, in the units of the output.
        size: side of the first probe, in pixels.
        largest: side of the largest.
        strip: length of the strips, 0 to do without.
        lattice: what tiles must start on multiples of, where that is known; else it is found out.
        content: (height, width, seed) -> [1, channels, h, w], what the model is made for; else `probe_picture`.
        device, dtype: of what `run` is given.
        network: where to look for the names of what takes in the whole picture.
        watch: told how many runs are done, and of how many.

    Raises:
        ValueError: where the model answers in another size, or with NaN or Inf.
    """
    if not 0 < threshold < float("inf"):
        raise ValueError(f"threshold {threshold} is no change that can be allowed: use a number above 0, for example {THRESHOLD:.4f}")
    probe = _Probe(run, channels, Fraction(scale).limit_denominator(256), content, torch.device(device), dtype, watch, network)
    return probe.field(threshold, size, largest, strip, lattice)


class _Probe:
    """One measurement; the arguments are those of `measure`."""

    def __init__(
        self,
        run: Run,
        channels: int,
        scale: Fraction,
        content: Content | None,
        device: torch.device,
        dtype: torch.dtype,
        watch: Any,
        network: Any,
    ) -> None:
        self.scale, self.device, self.dtype, self.watch = scale, device, dtype, watch
        self.content = content or (lambda height, width, seed: probe_picture(height, width, channels, seed))
        self.call = run
        # Windows must begin and end on whole output pixels.
        self.step = scale.denominator
        self.done = self.planned = 0
        self.frozen: FrozenStatistics | None = None
        self.network = network

    def run(self, picture: Tensor) -> Tensor:
        """The model's answer as [C, h, w] on the CPU."""
        with nullcontext() if self.frozen is None else self.frozen.run(picture):
            answer = self.call(picture.to(self.device, self.dtype).clone())
        if not isinstance(answer, Tensor) or answer.ndim != 4:
            got = f"a tensor of shape {tuple(answer.shape)}" if isinstance(answer, Tensor) else f"a {type(answer).__name__}"
            raise ValueError(
                f"the model made {got} out of a picture of shape {tuple(picture.shape)}, and pictures [batch, channels, height, width] "
                "were expected: it is not a model that can be tiled"
            )
        answer = answer.detach()[0].cpu()
        answer = answer if answer.dtype == torch.float64 else answer.float()
        wanted = tuple(int(side * self.scale) for side in picture.shape[-2:])
        if tuple(answer.shape[-2:]) != wanted:
            got, given = ("{1} x {0}".format(*tensor.shape[-2:]) for tensor in (answer, picture))
            raise ValueError(
                f"the model made {got} px out of {given} px, and its scale is said to be {float(self.scale):g}: "
                "a model whose scale varies cannot be tiled"
            )
        if not torch.isfinite(answer).all():
            raise ValueError("the model answered the probe with NaN or Inf: in fp16 it probably overflows, load it in fp32 or bf16")
        self.done += 1
        if self.watch is not None:
            self.planned = max(self.planned, self.done)
            self.watch(self.done, self.planned)
        return answer

    def field(self, threshold: float, size: int, largest: int, strip: int, lattice: int | None) -> ReceptiveField:
        """Measure, from the first probe to the result."""
        rings, everything = self._grow(size, largest, CAUTION * threshold)
        floor = float(_inner(_largest(rings)).max()) if everything else 0.0
        if everything:
            # What is left to tell is how far a border reaches while the whole picture's share in it is held still.
            self.frozen = FrozenStatistics(self.network)
            rings, drowned = self._grow(size, largest, CAUTION * threshold)
        else:
            drowned = False
        if lattice is None:
            # In a model with attention over everything a shifted tile is another tile all over.
            still = self.frozen is not None and bool(self.frozen.attended)
            lattice = max(USUAL_LATTICE, self.step) if drowned or still else self._lattice()
        cells = lattice // self.step
        phases = () if drowned else range(max(1, cells // MOST_PHASES), cells, max(1, cells // MOST_PHASES))
        self.planned = self.done + len(KINDS) * len(phases)
        for phase in phases:
            rings = _worst(rings, self._rings(phase))
        if not drowned:
            rings[0][CUT] = _without_noise(rings[0][CUT])
        whole = _largest(rings)
        under = float(_inner(whole).max()) if drowned else 0.0
        full, ended = reach(whole, self.rounding), not drowned
        if ended and full > len(whole) - quiet_depth(len(whole), self.scale):
            full, ended, endless = self._strips(strip, len(whole)) if strip else (len(whole), False, False)
            everything = everything or endless
        guilty, cleared = _named(self.network, everything)
        trim = -(-reach(whole, under + CAUTION * threshold) // self.step) * self.step
        return ReceptiveField(
            radius=self._in_cells(reach(whole, under + threshold)),
            full_radius=self._in_cells(full),
            full_known=ended,
            sides=tuple(self._in_cells(reach(values, under + threshold)) for values in rings[1]),
            overlap=-(-(2 * trim + self.step) // lattice) * lattice if trim else 0,
            trim=trim,
            lattice=lattice,
            threshold=threshold,
            scale=self.scale,
            sees_everything=everything,
            floor=floor,
            statistics=guilty,
            cleared=cleared,
            profiles=rings[0],
            influence=rings[2],
        )

    def _in_cells(self, length: int) -> int:
        """A length as an encoder has it: whole output pixels."""
        return -(-length // self.step) * self.step if self.scale < 1 else length

    def _grow(self, size: int, largest: int, limit: float) -> tuple[Rings, bool]:
        """The first probe that holds the influence, and whether there is none because it has no end."""
        suspects = set() if self.network is None else statistics_modules(self.network).keys()
        suspected = self.frozen is None and bool(suspects - {ATTENTION})
        verdict = EndlessInfluence(self.scale, suspected, explained=self.network is None or bool(suspects))
        while True:
            size = -(-size // (8 * self.step)) * 8 * self.step
            self.planned = self.done + 14
            self._begin(size)
            rings = self._rings(0)
            values = _largest(rings)
            change, window = self.uncut
            verdict.add(change, self._distance(window), len(values), self.rounding, last=2 * size > largest)
            contained = reach(values, limit) <= INSIDE * len(values)
            if (contained and not verdict.undecided) or verdict.endless or 2 * size > largest:
                return rings, verdict.endless
            size = 2 * size

    def _begin(self, size: int) -> None:
        """The picture that everything is compared with, and what the model makes of it."""
        self.size, self.margin = size, size // 4
        self.base, self.other = (self.content(size, size, seed) for seed in (0, 1))
        if self.frozen is not None:
            self.frozen = FrozenStatistics(self.network)
        self.before = self.run(self.base)
        # Where nothing changed, the same kernels give the same bits; others, for a tile of another size, do not.
        eps = torch.finfo(self.before.dtype if self.dtype == torch.float64 else torch.float32).eps
        self.rounding = 32 * eps * max(1.0, float(self.before.abs().max()))

    def _rings(self, phase: int) -> Rings:
        """Everything about a window that begins `phase` pixels off: profiles by kind, and by side, and the change as a map."""
        start, half = self.margin + phase * self.step, self.size // 2
        window = (start, start + half, start, start + half)
        profiles, maps = {}, []
        for kind in KINDS:
            # A tile that is cut out off the lattice is another tile all over.
            # Neither can attention be held still in it, which is noted for every place.
            held = self.frozen is not None and bool(self.frozen.attended)
            change = self._change(kind, window) if kind != CUT or (phase == 0 and not held) else torch.zeros_like(maps[0])
            maps.append(change)
            profiles[kind] = profile(change, self._distance(window), half // 2)
        worst = torch.stack(maps).amax(0)
        if phase == 0:
            # Without the tile that was cut out: in half precision other kernels change it everywhere.
            self.uncut = torch.stack([change for kind, change in zip(KINDS, maps, strict=True) if kind != CUT]).amax(0), window
        sides = [profile(worst, self._distance(window, side), half // 2) for side in range(4)]
        first, last = int(start * self.scale), int((start + half) * self.scale)
        return profiles, sides, worst[first:last, first:last]

    def _distance(self, window: Window, side: int | None = None) -> Tensor:
        """Distance [h, w] of each output pixel from the window's nearest border; or from one, far away from the others."""
        top, bottom, left, right = window
        cells = self.before.shape[-1]
        x = axis_distance(cells, left, right, self.size, self.scale)[None]
        y = axis_distance(cells, top, bottom, self.size, self.scale)[:, None]
        if side is None:
            return torch.minimum(y, x)
        far = self.size * 3 // 16
        if side < 2:
            return torch.where(y >= far, axis_distance(cells, left, right, self.size, self.scale, side)[None], -1)
        return torch.where(x >= far, axis_distance(cells, top, bottom, self.size, self.scale, side - 2)[:, None], -1)

    def _change(self, kind: str, window: Window) -> Tensor:
        """Largest change over the channels [h, w], when all beyond the window is replaced; 0 outside of it."""
        top, bottom, left, right = window
        rows, columns = (slice(int(a * self.scale), int(b * self.scale)) for a, b in ((top, bottom), (left, right)))
        if kind == CUT:
            after = self.run(self.base[..., top:bottom, left:right])
        else:
            after = self.run(replaced(kind, self.base, self.other, window))[:, rows, columns]
        change = torch.zeros(self.before.shape[-2:], dtype=self.before.dtype)
        change[rows, columns] = (after - self.before[:, rows, columns]).abs().amax(0)
        return change

    def _lattice(self) -> int:
        """The smallest step by which a tile may be shifted and still do the same in its middle."""
        found = self.size // 4 // self.step * self.step
        steps = [step for step in LATTICES if step % self.step == 0 and step < found]
        tile, centre = self.size * 3 // 4, slice(self.size // 2 - self.step, self.size // 2 + self.step)
        unshifted = self._shifted(found, tile, centre)
        for step in reversed(steps):
            if self._shifted(step, tile, centre) > 2 * unshifted + self.rounding:
                break
            found = step
        return found

    def _shifted(self, start: int, tile: int, centre: slice) -> float:
        """Largest change of the picture's centre in a tile that begins `start` pixels from the picture's corner."""
        after = self.run(self.base[..., start : start + tile, start : start + tile])
        there, here = (slice(int((centre.start - o) * self.scale), int((centre.stop - o) * self.scale)) for o in (0, start))
        return float((after[:, here, here] - self.before[:, there, there]).abs().max())

    def _strips(self, length: int, known_to: int) -> tuple[int, bool, bool]:
        """(full radius, whether an end was seen, whether there is none) from one long strip for each side."""
        high = min(STRIP_HEIGHT, self.size) // self.step * self.step
        length = length // (2 * self.step) * 2 * self.step
        self.planned = self.done + 6
        farthest, deepest, quiet = known_to, 0.0, quiet_depth(length // 2, self.scale)
        for transposed in (False, True):
            base, other = (self.content(high, length, seed) for seed in (0, 1))
            turn = (lambda t: t.transpose(-1, -2)) if transposed else (lambda t: t)
            if self.frozen is not None:
                self.frozen = FrozenStatistics(self.network)
            before = turn(self.run(turn(base)))
            for side in (0, 1):
                changed = base.clone()
                half = slice(0, length // 2) if side == 0 else slice(length // 2, None)
                changed[..., half] = DARKENED * other[..., half]
                change = (turn(self.run(turn(changed))) - before).abs().amax((0, 1))
                kept = (length // 2, length) if side == 0 else (0, length // 2)
                distance = axis_distance(len(change), *kept, length, self.scale)
                values = profile(change, distance, length // 2)
                farthest = max(farthest, reach(values, self.rounding))
                deepest = max(deepest, float(values[:: self.step][-2 * quiet // self.step :].median()))
        ended = farthest <= length // 2 - quiet
        return farthest, ended, not ended and deepest > self.rounding


def _named(network: torch.nn.Module | None, everything: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be the reason that the model sees everything, and what is not."""
    if network is None:
        return (), ()
    suspects = tuple(f"{name} ({count})" for name, count in statistics_modules(network).items())
    safe = tuple(f"{name} ({count})" for name, count in safe_modules(network).items())
    return (suspects, safe) if everything else ((), suspects + safe)


def _largest(rings: Rings) -> Tensor:
    return torch.stack(list(rings[0].values())).amax(0)


def _inner(values: Tensor) -> Tensor:
    """The half of a profile that is farther from the border."""
    return values[len(values) // 2 :]


def _without_noise(values: Tensor) -> Tensor:
    """A tile of another size is computed by other kernels: what that alone does, in half precision a lot, is no influence."""
    noise = 2 * values[len(values) * 3 // 4 :].max()
    return torch.where(values > noise, values, torch.zeros_like(values))


def _worst(first: Rings, second: Rings) -> Rings:
    """The larger of two measurements, everywhere."""
    profiles = {kind: torch.maximum(values, second[0][kind]) for kind, values in first[0].items()}
    return profiles, [torch.maximum(a, b) for a, b in zip(first[1], second[1], strict=True)], torch.maximum(first[2], second[2])
