"""The drift of tone that an edit model gives the whole picture, measured where nothing was edited.

X-Dub's rule, in CIELAB: mean and deviation per channel, of the pixels that did not change. Which those are is found with the
drift, in turns: what is left after it tells the changed from the unchanged, and the unchanged tell the drift.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..pixels.lab import from_f, lab_map, to_f

_ROUNDS = 12
_FAR = 2.5  # times the usual rest: changed
_QUIET = 0.3  # of all cells that are taken to be unchanged, at least
_SPREAD = 1.9  # from that quantile of the rest to what is usual
_GUESSES = 64
_LEAST_REST = 0.5  # Delta-E, below which no pixel counts as changed
_VARIANCE_FLOOR = 0.05  # Lab units squared: a channel that holds next to nothing gets no gain
_MOST_GAIN = 1.5
_LEAST_SHARE = 0.05
_NOTHING = 0.1  # Delta-E: a drift that is nowhere larger is none
_MOST_DRIFT = 40.0  # Delta-E: no edit model shifts the whole by so much, and what seems so is another picture
_FLAT = 0.5  # Lab units: an edit that is one colour shows nothing to measure a drift on


class Tone(NamedTuple):
    """Lab of the original = gain * Lab of the edited picture + shift, per channel (lightness alone for grey).

    Attributes:
        gain, shift: float64 [3] or [1].
        largest: Delta-E of the largest correction.
    """

    gain: torch.Tensor
    shift: torch.Tensor
    largest: float

    def undone(self, colour: torch.Tensor) -> torch.Tensor:
        """sRGB [C, n] of the edited picture to sRGB without the drift."""
        return _mapped(colour, self.gain, self.shift)

    def given(self, colour: torch.Tensor) -> torch.Tensor:
        """sRGB [C, n] of the original to sRGB with the drift."""
        return _mapped(colour, 1 / self.gain, -self.shift / self.gain)

    @property
    def works(self) -> bool:
        """Whether there is any drift."""
        return self.largest >= _NOTHING


def find_tone(original: torch.Tensor, edited: torch.Tensor) -> Tone:
    """The drift between two small pictures of one scene.

    Args:
        original, edited: Lab float32 [C, n], the same places.

    Returns:
        the tone; one that does nothing where there is no drift, or too little is left unchanged to measure it on.
    """
    channels = original.shape[0]
    nothing = Tone(torch.ones(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64), 0.0)
    x, y = edited.double().cpu(), original.double().cpu()
    if x.shape[1] == 0 or (float(x.std(1, correction=0).max()) < _FLAT <= float(y.std(1, correction=0).max())):
        return nothing
    gain, shift = nothing.gain, _likeliest_shift(y - x)
    for _ in range(_ROUNDS):
        rest = (y - gain[:, None] * x - shift[:, None]).norm(dim=0)
        kept = rest <= _FAR * max(_SPREAD * float(rest.kthvalue(1 + int(_QUIET * (len(rest) - 1))).values), _LEAST_REST)
        if int(kept.sum()) < max(8, _LEAST_SHARE * x.shape[1]):
            return nothing
        own, aim = x[:, kept], y[:, kept]
        floor = _VARIANCE_FLOOR
        gain = ((aim.var(1, correction=0) + floor) / (own.var(1, correction=0) + floor)).sqrt().clamp(1 / _MOST_GAIN, _MOST_GAIN)
        shift = aim.mean(1) - gain * own.mean(1)
    largest = float(((gain - 1)[:, None] * own + shift[:, None]).norm(dim=0).max())
    return Tone(gain, shift, largest) if _NOTHING <= largest <= _MOST_DRIFT else nothing


def _likeliest_shift(differences: torch.Tensor) -> torch.Tensor:
    """The shift that most cells agree on, of those of some cells, none and the median, [C]: an edit may be the larger part."""
    some = differences[:, :: max(1, differences.shape[1] // _GUESSES)]
    guesses = torch.cat((torch.zeros_like(differences[:, :1]), differences.median(1, keepdim=True).values, some), 1)
    agree = [int(((differences - guess[:, None]).norm(dim=0) <= 2 * _LEAST_REST).sum()) for guess in guesses.T]
    return guesses[:, agree.index(max(agree))]


def _mapped(colour: torch.Tensor, gain: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
    """sRGB [C, n] to sRGB by gain and offset in Lab."""
    gain, offset = gain.to(colour.device), offset.to(colour.device)
    matrix, shift = lab_map(colour.shape[0], colour.device)
    inner = torch.linalg.solve(matrix, gain[:, None] * matrix)
    back = torch.linalg.solve(matrix, gain * shift + offset - shift)
    # In float64: a and b are differences of f times 500, and a rounded shift would be off alike everywhere.
    return from_f((inner @ to_f(colour).double() + back[:, None]).float())
