"""Pictures of one, three or four channels through a network that takes one, three or four.

A picture is given to the network as one or more inputs, each of which it treats alike: colour as it is; grey as three
equal channels; colour in three parts for a network of one channel; alpha as a grey picture of its own, beside a colour
whose hidden parts are filled up (`pixels/hidden_color.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from ..pixels.alpha import LEAST_ALPHA
from ..pixels.hidden_color import visible_mean, within_neighbours, without_hidden


class Input(NamedTuple):
    """What the network is given: `pixels` [C, h, w] of picture number `plane`."""

    plane: int
    pixels: torch.Tensor


Prepared = tuple[list[Input], Callable[[Sequence[torch.Tensor]], torch.Tensor]]


class Channels:
    """How tiles of one picture go through the network.

    Args:
        picture: channels of the picture: 1, 3 or 4.
        takes, gives: channels that the network takes and gives: 1, 3 or 4.
        always: give every input of a tile to the network, also where the result is known beforehand (a tile of one
            alpha). Whoever collects statistics needs them all.

    Attributes:
        planes: how many inputs a tile makes at most.
        result: channels of the result.

    Raises:
        ValueError: for numbers of channels that do not go together.
    """

    def __init__(self, picture: int, takes: int, gives: int, always: bool = False) -> None:
        for name, value in (("the picture", picture), ("the model's input", takes), ("the model's output", gives)):
            if value not in (1, 3, 4):
                raise ValueError(f"{name} has {value} channels: a picture has 1 (grey), 3 (colour) or 4 (colour and alpha)")
        if takes == 1 and gives != 1 and picture != 1:
            raise ValueError(f"the model makes {gives} channels out of grey, and the picture has {picture}: give it a grey picture")
        self.picture, self.takes, self.gives, self.always = picture, takes, gives, always
        self.whole = picture == 4 and takes == 4 and gives == 4
        self.split = picture > 1 and takes == 1
        self.alpha = picture == 4 and not self.whole
        self.planes = (3 if self.split else 1) + self.alpha
        if picture == 1:
            # Grey that was given as three equal channels comes back as grey.
            self.result = 1 if takes > 1 else gives
        else:
            self.result = 4 if self.whole or self.alpha else 3 if self.split or gives == 4 else gives
        if self.alpha and not self.split and gives == 1:
            raise ValueError("the model makes grey out of colour, which has no place under an alpha: take the alpha off first")
        self.backdrop = torch.full((3,), 0.5)

    def begin(self, frame: torch.Tensor) -> None:
        """Look at the whole picture [H, W, C] before its tiles come."""
        if self.alpha:
            self.backdrop = visible_mean(frame)

    def prepare(self, tile: torch.Tensor) -> Prepared:
        """The inputs that tile [h, w, C], float32, makes, and what makes its result [H, W, C'] of their results [C', H, W]."""
        if not self.alpha:
            inputs = self._colour(tile)
            return inputs, lambda result: self._join(result)
        return self._prepare_alpha(tile)

    def _colour(self, pixels: torch.Tensor) -> list[Input]:
        planes = pixels.movedim(-1, 0)
        if self.split:
            return [Input(number, plane[None]) for number, plane in enumerate(planes)]
        if planes.shape[0] == 1 and self.takes > 1:
            planes = planes.expand(3, -1, -1)
        if self.takes == 4 and planes.shape[0] == 3:
            planes = torch.cat((planes, torch.ones_like(planes[:1])))
        return [Input(0, planes)]

    def _join(self, result: Sequence[torch.Tensor]) -> torch.Tensor:
        planes = torch.cat(tuple(result)) if self.split else result[0]
        if not self.whole and planes.shape[0] == 4:
            planes = planes[:3]
        if self.picture == 1 and self.takes > 1 and planes.shape[0] > 1:
            planes = planes.mean(0, keepdim=True)
        return planes.movedim(0, -1)

    def _prepare_alpha(self, tile: torch.Tensor) -> Prepared:
        colour, alpha = tile[..., :3], tile[..., 3]
        least, most = (float(end) for end in alpha.aminmax())
        hidden, even = most <= 0, least == most
        inputs = [] if hidden and not self.always else self._colour(without_hidden(tile, self.backdrop))
        seen = len(inputs)
        if not even or self.always:
            grey = alpha[None]
            if self.takes > 1:
                grey = torch.cat([grey] * 3 + [torch.ones_like(grey)] * (self.takes == 4))
            inputs.append(Input(self.planes - 1, grey))

        def finish(result: Sequence[torch.Tensor]) -> torch.Tensor:
            height, width = result[0].shape[1:] if result else self._size(tile)
            straight = None
            if hidden or least < LEAST_ALPHA:
                # Nobody sees it; it stays what it was, so that uncovering it later brings it back.
                straight = functional.interpolate(colour.movedim(-1, 0)[None], (height, width), mode="bilinear")[0].movedim(0, -1)
            out = torch.empty(height, width, 4)
            out[..., 3] = most if even else within_neighbours(result[seen][:3].mean(0).to(alpha), alpha)
            out[..., :3] = straight if hidden else self._join(result[:seen])
            if straight is not None and not hidden:
                out[..., :3] = torch.where(out[..., 3:] < LEAST_ALPHA, straight, out[..., :3])
            return out

        return inputs, finish

    def _size(self, tile: torch.Tensor) -> tuple[int, int]:
        return round(tile.shape[0] * self.scale), round(tile.shape[1] * self.scale)

    scale: float = 1.0  # of the network, for tiles that are not given to it
