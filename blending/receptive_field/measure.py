"""How far into a tile its border reaches: the receptive field of a model, measured.

A tile differs from the same part of the untiled result because the model sees something else beyond the tile's border.
So that is what is measured. All that lies beyond the borders of a window is replaced, by the window mirrored, by
nothing, by another picture, and by an end of the picture (a tile that is cut out); how much the result inside changes is
noted by its distance from the border. Single pixels would not do: what a thousand of them do together is not seen in one.

What cannot be seen in windows that the budget pays for is followed in long ones (`far_windows.py`), for tiles that are cut
out: that is what becomes of a picture that is tiled.

Distances are in pixels that the model is given (cells of the latent, for a decoder). A radius of r means: r pixels along
the border are touched, and the next one is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional

from ..whole_picture.suspects import ATTENTION, safe_modules, statistics_modules
from .border_distance import MIRRORED, NOTHING, OTHER_PICTURE, Window, axis_distance, profile, reach, replaced
from .endless_influence import EndlessInfluence, lasts, quiet_depth
from .far_windows import STRIP_HEIGHT, FarWindows, far_cost, far_strips, far_windows, strip_length
from .probe_picture import probe_picture
from .probed_model import Content, ProbedModel, Run
from .tile_lattice import USUAL, find_lattice

# Of the measuring: results of another one are measured again. To be raised whenever another number may come out.
MEASURING = 2
THRESHOLD = 0.5 / 255
CUT = "cut"
KINDS = (MIRRORED, NOTHING, OTHER_PICTURE, CUT)

# A tile's own picture may be harder than the probe: what is suggested keeps to this share of the threshold.
CAUTION = 0.5
# Of the window's depth, what the radius must stay within to be believed.
INSIDE = 0.75
# How many borders between two steps of the lattice are tried.
MOST_PHASES = 8
# Of long windows; their length and depth follow from it.
FAR_HEIGHT = 128
# A change this many times the limit at the end of a window will not be below it at the end of the next larger one.
HOPELESS = 16

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
        radius_known: whether the end of it was seen; else `radius` is as far as was looked, and so are trim and overlap.
        cut_only: whether radius, trim and overlap are those of tiles that are cut out, and what else may lie beyond a border was
            followed for less.
        spent: pixels that the model was given for all this.
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
    radius_known: bool = True
    cut_only: bool = False
    spent: int = 0

    @property
    def profile(self) -> Tensor:
        """Largest change at each distance from the border, whatever lies beyond it."""
        return torch.stack(list(self.profiles.values())).amax(0)

    def stretched(self, unit: int) -> ReceptiveField:
        """The same, with lengths counted in pixels of which `unit` make one that the model is given (image pixels per latent cell)."""
        lengths = {name: getattr(self, name) * unit for name in ("radius", "full_radius", "overlap", "trim", "lattice")}
        profiles = {kind: values.repeat_interleave(unit) for kind, values in self.profiles.items()}
        sides, spent = tuple(side * unit for side in self.sides), self.spent * unit**2
        return replace(self, **lengths, sides=sides, scale=self.scale / unit, profiles=profiles, spent=spent)


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
    budget: float = math.inf,
) -> ReceptiveField:
    """Measure a model's receptive field.

        >>> field = measure(torch.nn.Conv2d(3, 3, 5, padding=2).requires_grad_(False), strip=0)
        >>> field.radius, field.overlap
        (2, 5)

    The probe grows until the influence falls under the threshold well inside of it. Where the influence goes on beyond
    that, one long strip per side tells where it ends, or that it does not.

    Args:
        run: [1, channels, h, w] -> [1, any, h * scale, w * scale], the same for the same input.
        channels: that it takes.
        scale: output pixels per pixel that it is given; below 1 for an encoder.
        threshold: change that is allowed, in the units of the output.
        size: side of the first probe, in pixels.
        largest: side of the largest.
        strip: length of the strips, 0 to do without them and without other long windows.
        lattice: what tiles must start on multiples of, where that is known; else it is found out.
        content: (height, width, seed) -> [1, channels, h, w], what the model is made for; else `probe_picture`.
        device, dtype: of what `run` is given.
        network: where to look for the names of what takes in the whole picture.
        watch: told how many runs are done, and of how many.
        budget: pixels that the model may be given in all; the first probe is made in any case.

    Raises:
        ValueError: where the model answers in another size, or with NaN or Inf.
    """
    if not 0 < threshold < float("inf"):
        raise ValueError(f"threshold {threshold} is no change that can be allowed: use a number above 0, for example {THRESHOLD:.4f}")
    content = content or (lambda height, width, seed: probe_picture(height, width, channels, seed))
    scale = Fraction(scale).limit_denominator(256)
    model = ProbedModel(run, scale, content, torch.device(device), dtype, network, watch, budget)
    return _Probe(model, size, largest, strip, lattice).field(threshold)


class _Probe:
    """One measurement; the arguments are those of `measure`."""

    def __init__(self, model: ProbedModel, size: int, largest: int, strip: int, lattice: int | None) -> None:
        self.model, self.scale, self.step = model, model.scale, model.step
        self.size, self.largest, self.strip, self.lattice = size, largest, strip, lattice

    def field(self, threshold: float) -> ReceptiveField:
        """Measure, from the first probe to the result."""
        model, first = self.model, self.size
        rings, everything, far = self._grow(first, CAUTION * threshold)
        floor = float(_inner(_largest(rings) if far is None else far.other).max()) if everything else 0.0
        drowned = False
        if everything:
            # What is left to tell is how far a border reaches while the whole picture's share in it is held still.
            model.hold()
            rings, drowned, far = self._grow(first, CAUTION * threshold)
        lattice = self.lattice or (self._lattice(drowned) if far is None else far.lattice)
        if not drowned and far is None:
            rings = self._phases(rings, lattice // self.step)
        if not drowned:
            rings[0][CUT] = _without_noise(rings[0][CUT])
        if far is not None:
            rings = _followed(rings, far)
        whole = rings[0][CUT] if far is not None else _largest(rings)
        under = float(_inner(whole).max()) if drowned else 0.0
        full, ended = reach(_largest(rings), self.rounding), not drowned
        if ended and full > len(whole) - quiet_depth(len(whole), self.scale):
            full, ended, endless = self._full_radius(len(whole))
            everything = everything or endless
        guilty, cleared = _named(model.network, everything)
        radius = reach(whole, under + threshold)
        known = radius <= len(whole) - self.step
        # Where all that is known is that nothing changes from somewhere on, that is what tiles are to keep to.
        far_enough = reach(whole, under + CAUTION * threshold) if known or not ended else full
        trim = -(-far_enough // self.step) * self.step
        return ReceptiveField(
            radius=self._in_cells(radius),
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
            radius_known=known,
            cut_only=far is not None,
            spent=model.spent,
        )

    def _in_cells(self, length: int) -> int:
        """A length as an encoder has it: whole output pixels."""
        return -(-length // self.step) * self.step if self.scale < 1 else length

    def _grow(self, size: int, limit: float) -> tuple[Rings, bool, FarWindows | None]:
        """The first probe that holds the influence, whether there is none because it has no end, and what long windows show.

        Long windows are looked through where the influence does not end in what the budget pays for.
        """
        model = self.model
        suspects = set() if model.network is None else statistics_modules(model.network).keys()
        suspected = model.frozen is None and bool(suspects - {ATTENTION})
        verdict = EndlessInfluence(self.scale, suspected, explained=model.network is None or bool(suspects))
        while True:
            size = -(-size // (8 * self.step)) * 8 * self.step
            model.expect(14)
            self._begin(size)
            rings = self._rings(0)
            values = _largest(rings)
            change, window = self.uncut
            contained = reach(values, limit) <= INSIDE * len(values)
            last = self._larger_is_no_use(values, limit)
            verdict.add(change, self._distance(window), len(values), self.rounding, last=last and not self._far_height())
            if (contained and not verdict.undecided) or verdict.endless:
                return rings, verdict.endless, None
            if last:
                break
            size = 2 * size
        far = self._far()
        # A deeper window knows better what lasts.
        return rings, verdict.endless if far is None else lasts(far.other, self.scale, self.rounding), far

    def _larger_is_no_use(self, values: Tensor, limit: float) -> bool:
        """Whether a probe of twice the size is out of reach, or would not hold the influence while the one after it is."""
        # A probe, and a lattice that is found at the fourth step.
        twice = 6.5 * (2 * self.size) ** 2
        if 2 * self.size > self.largest or not self.model.affords(twice):
            return True
        hopeless = float(values[len(values) * 3 // 4 :].max()) > HOPELESS * limit
        return hopeless and bool(self.strip) and not self.model.affords(5 * twice)

    def _far_height(self) -> int:
        """Of long windows, where there can be some and the budget pays for them; else 0."""
        high = min(self.size, -(-FAR_HEIGHT // (8 * self.step)) * 8 * self.step)
        return high if self.strip and not self.model.holds_attention and self.model.affords(far_cost(high)) else 0

    def _far(self) -> FarWindows | None:
        """Long windows, or None."""
        high = self._far_height()
        return far_windows(self.model, high, self.rounding, self.lattice) if high else None

    def _begin(self, size: int) -> None:
        """The picture that everything is compared with, and what the model makes of it."""
        self.size, self.margin = size, size // 4
        self.base, self.other = (self.model.content(size, size, seed) for seed in (0, 1))
        self.before = self.model.begin(self.base)
        self.rounding = self.model.rounding(self.before)

    def _rings(self, phase: int) -> Rings:
        """Everything about a window that begins `phase` pixels off: profiles by kind, and by side, and the change as a map."""
        start, half = self.margin + phase * self.step, self.size // 2
        window = (start, start + half, start, start + half)
        profiles, maps = {}, []
        for kind in KINDS:
            # A tile that is cut out off the lattice is another tile all over.
            # Neither can attention be held still in it, which is noted for every place.
            held = self.model.holds_attention
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
            after = self.model.run(self.base[..., top:bottom, left:right])
        else:
            after = self.model.run(replaced(kind, self.base, self.other, window))[:, rows, columns]
        change = torch.zeros(self.before.shape[-2:], dtype=self.before.dtype)
        change[rows, columns] = (after - self.before[:, rows, columns]).abs().amax(0)
        return change

    def _phases(self, rings: Rings, cells: int) -> Rings:
        """The worst of what borders change between two steps of the lattice, of as many as the budget pays for."""
        every = max(1, cells // MOST_PHASES)
        phases = range(every, cells, every)
        left = (self.model.budget - self.model.spent) / (3 * self.size**2)
        paid = int(min(len(phases), max(left, 0)))
        self.model.expect(len(KINDS) * paid)
        for index in range(paid):
            rings = _worst(rings, self._rings(phases[(2 * index + 1) * len(phases) // (2 * paid)]))
        return rings

    def _lattice(self, drowned: bool) -> int:
        """What tiles must start on multiples of."""
        if drowned or self.model.holds_attention:
            # In a model with attention over everything a shifted tile is another tile all over.
            return max(USUAL, self.step)
        tile, centre = self.size * 3 // 4, slice(self.size // 2 - self.step, self.size // 2 + self.step)

        def shifted(by: int) -> float:
            return self._shifted(by, tile, centre)

        return find_lattice(shifted, self.size // 4, self.step, self.rounding, lambda: self.model.affords(tile**2))

    def _shifted(self, start: int, tile: int, centre: slice) -> float:
        """Largest change of the picture's centre in a tile that begins `start` pixels from the picture's corner."""
        after = self.model.run(self.base[..., start : start + tile, start : start + tile])
        there, here = (slice(int((centre.start - o) * self.scale), int((centre.stop - o) * self.scale)) for o in (0, start))
        return float((after[:, here, here] - self.before[:, there, there]).abs().max())

    def _full_radius(self, known_to: int) -> tuple[int, bool, bool]:
        """(full radius, whether an end was seen, whether there is none), where it is more than the windows show."""
        high = min(STRIP_HEIGHT, self.size) // self.step * self.step
        length = strip_length(self.model, high, self.strip, known_to) if self.strip else 0
        return far_strips(self.model, high, length, known_to, self.rounding) if length else (known_to, False, False)


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


def _followed(rings: Rings, far: FarWindows) -> Rings:
    """What was seen in a square, and from there on what was seen in long windows; what was not looked at is 0."""
    depth = len(far.other)
    profiles = {kind: functional.pad(values, (0, depth - len(values))) for kind, values in rings[0].items()}
    profiles[CUT] = torch.maximum(profiles[CUT], _without_noise(far.worst))
    profiles[OTHER_PICTURE] = torch.maximum(profiles[OTHER_PICTURE], far.other)
    return profiles, [_without_noise(values) for values in far.cut], rings[2]
