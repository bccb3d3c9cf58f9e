"""Keys and values of a source's run through a model, kept for one step, and put into another run band by band.

For transformers they are the keys and values after each head's norm and before the positions; for U-Nets the features that keys and
values are made of. Only the picture's own tokens count: text stands before them, reference pictures behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...blending.attention.token_grid import TokenGrid
from ...blending.frequency.band_swap import with_bands_of
from ...host.progress import check_cancelled
from .token_layouts import UNET, TokenLayout

# Networks that show keys and values before the positions, by module and class.
SHOWN = frozenset(
    f"comfy.ldm.{name}" for name in ("flux.model.Flux", "chroma.model.Chroma", "qwen_image.model.QwenImageTransformer2DModel")
) | {UNET}
PATCH = "attn1_patch"
# Of the blocks, those whose features are among the coarsest and the finest fifth.
EXTREME = 0.2


def check_shown(model: Any) -> None:
    """Refuse a BaseModel whose network does not show its keys and values.

    Raises:
        ValueError: in words.
    """
    network = type(model.diffusion_model)
    if not SHOWN & {f"{kind.__module__}.{kind.__name__}" for kind in network.__mro__}:
        raise ValueError(
            f"Wavelet Edit changes keys and values before positions are put on them, and ComfyUI does not show those of "
            f"{network.__name__}: it works with Flux, Chroma, Qwen-Image and U-Nets (SD 1.5, SDXL). Use Keep Composition instead"
        )


class SourceFeatures:
    """Of one step.

    Args:
        model: the BaseModel.
        blocks: numbers of the attention calls that are kept, None for all.

    Attributes:
        fine: the share of high frequencies in each call's keys, while `measuring`.
    """

    def __init__(self, model: Any, blocks: frozenset[int] | None, energy: float, wavelet: str, levels: int) -> None:
        self.model, self.blocks = model, blocks
        self.energy, self.wavelet, self.levels = energy, wavelet, levels
        self.recording, self.measuring = True, False
        self.fine: dict[int, float] = {}
        self._kept: dict[tuple, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def nbytes(self) -> int:
        """What is held in main memory."""
        return sum(part.nbytes for pair in self._kept.values() for part in pair)

    def patched(self, shape: Sequence[int], text: int, options: dict[str, Any]) -> dict[str, Any]:
        """Transformer options for one call of the network, in which its keys and values are looked at."""
        patches = dict(options.get("patches") or {})
        call = _Call(self, TokenLayout(self.model, shape, text, tuple(shape[-2:])), tuple(options.get("uuids") or (None,)))
        patches[PATCH] = [*patches.get(PATCH, ()), call]
        return {**options, "patches": patches}

    def see(self, number: int, asked: tuple, grid: TokenGrid, dim: int, k: torch.Tensor, v: torch.Tensor):
        """Keys and values of the attention call with this number: written down, or with the source's bands."""
        if self.measuring:
            # Of the first picture of the first tile, so that it does not count how many tiles run together.
            shares = [high_share(_planes(grid.image(part[:1], dim), dim)) for part in k.chunk(len(asked))]
            self.fine[number] = max(*shares, self.fine.get(number, 0.0))
            return k, v
        if self.blocks is not None and number not in self.blocks:
            return k, v
        parts = [(one, key, value) for one, key, value in zip(asked, k.chunk(len(asked)), v.chunk(len(asked)), strict=True)]
        if self.recording:
            for one, key, value in parts:
                held = tuple(grid.image(part, dim).to("cpu", copy=True) for part in (key, value))
                self._kept[number, one] = held
            return k, v
        made = [(self._edited(key, number, one, 0, grid, dim), self._edited(value, number, one, 1, grid, dim)) for one, key, value in parts]
        return torch.cat([key for key, _ in made]), torch.cat([value for _, value in made])

    def _edited(self, part: torch.Tensor, number: int, asked: Any, which: int, grid: TokenGrid, dim: int) -> torch.Tensor:
        source = self._kept[number, asked][which]
        made = part.clone()
        inside = grid.image(made, dim)
        for row in range(part.shape[0]):
            check_cancelled()
            theirs = _planes(source[row : row + 1].to(part.device), dim)
            own = _planes(inside[row : row + 1], dim)
            _planes(inside[row : row + 1], dim).copy_(with_bands_of(own, theirs, self.energy, self.wavelet, self.levels))
        return made

    def clear(self) -> None:
        """Let go of what is held."""
        self._kept.clear()


class _Call:
    """Stands among a network's attention patches during one call of it, and counts."""

    def __init__(self, features: SourceFeatures, layout: TokenLayout, asked: tuple) -> None:
        self.features, self.layout, self.asked, self.number = features, layout, asked, -1

    def __call__(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, extra_options: dict | None = None, **more: Any):
        """As the host calls it: U-Nets with four arguments and for a triple, transformers with names and for a dictionary."""
        self.number += 1
        dim = k.ndim - 2
        picture = self.layout.of_call(q.shape[dim], k.shape[dim], extra_options or {})
        if picture is not None:
            k, v = self.features.see(self.number, self.asked, picture.grid, dim, k, v)
        return {"k": k, "v": v} if "pe" in more else (q, k, v)


def _planes(picture: torch.Tensor, dim: int) -> torch.Tensor:
    """[..., rows, columns, width] with its rows and columns (from dimension `dim` on) last: a view."""
    return picture.movedim((dim, dim + 1), (-2, -1))


def high_share(planes: torch.Tensor) -> float:
    """The share of the energy of planes [..., h, w] beyond half of the highest frequency, their mean left out; 0..1."""
    spectrum = torch.fft.rfft2(planes.float()).abs().square().reshape(-1, planes.shape[-2], planes.shape[-1] // 2 + 1).sum(0)
    down = 2 * torch.fft.fftfreq(planes.shape[-2], device=planes.device)[:, None].abs()
    across = 2 * torch.fft.rfftfreq(planes.shape[-1], device=planes.device)[None]
    # A row of columns counts for its mirror image too, but for the first and, of even widths, the last.
    twice = torch.full_like(spectrum, 2.0)
    twice[:, 0] = 1
    if planes.shape[-1] % 2 == 0:
        twice[:, -1] = 1
    energy = spectrum * twice
    energy[0, 0] = 0
    total = float(energy.sum())
    return float(energy[torch.maximum(down.expand_as(energy), across.expand_as(energy)) >= 0.5].sum()) / total if total else 0.0


def extreme_blocks(fine: dict[int, float]) -> frozenset[int]:
    """Those blocks whose features are the coarsest and the finest, a fifth of them each, one at least."""
    order = sorted(fine, key=lambda number: (fine[number], number))
    count = max(1, round(EXTREME * len(order)))
    return frozenset(order[:count]) | frozenset(order[-count:])
