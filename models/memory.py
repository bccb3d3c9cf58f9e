"""How much memory there is, and how much of it a model needs for a tile.

What ComfyUI itself expects of a model is the start. Where a CUDA device can count, two small runs replace it for
upscale models and VAEs. On a processor the tensors of an upscale model are counted (`live_memory.py`). Diffusion models,
which run only with prompts, keep the host's estimate.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import torch

from ..blending.networks.live_memory import META, peak_bytes, without_numbers
from ..blending.networks.memory_fit import MemoryFit, fit
from ..host.latents import pixels_per_cell
from .cells_ratio import cells_ratio

if TYPE_CHECKING:
    from .upscaler import Upscaler

# ComfyUI's own estimate of an upscale model: bytes for each byte of the picture in three channels of float32.
UPSCALER_FACTOR = 384.0
CHANNELS = 3

# Sides in image pixels that estimates are read off at, and that probes run at.
READ_AT = (512, 1024)
PROBED = (128, 256)
# On a processor: sides that are counted at, and, where a network does not run without numbers, sides that it is run at.
COUNTED, RUN_ON_CPU = (128, 512, 1024), (64, 128)
# The most that the processor's allocator was seen to hold, for each byte that is in use: small blocks leave gaps. Blocks above
# 32 MB come and go one by one, and then it is 1. GAPS are what it holds beside that of networks whose blocks are all smaller.
ALLOCATOR, GAPS = 1.85, 1 << 24

CPU_USE = "upscale on a processor"

_measured: WeakKeyDictionary[Any, dict[str, MemoryFit]] = WeakKeyDictionary()


class PeakCounter(Protocol):
    """Counts the most memory that was in use since `reset`, over what was in use then."""

    def reset(self) -> None:
        """Start counting."""

    def peak(self) -> float:
        """Bytes."""


class CudaPeak:
    """PyTorch's own count of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before = 0

    def reset(self) -> None:
        """Start counting."""
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        self.before = torch.cuda.memory_allocated(self.device)

    def peak(self) -> float:
        """Bytes since `reset`."""
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - self.before


def probe(run: Callable[[int], object], sides: Sequence[int], counter: PeakCounter) -> MemoryFit:
    """Measure a model at square tiles of a few sides.

    Args:
        run: side in pixels -> anything; runs the model once.
        sides: of the tiles, in pixels; two or more different ones.
        counter: of the device that the model runs on.
    """
    run(sides[0])  # libraries load and allocate at the first run what they keep
    samples = []
    for side in sides:
        counter.reset()
        run(side)
        samples.append((side * side, max(float(counter.peak()), 1.0)))
    return fit(samples)


def fit_for_upscaler(upscaler: Upscaler) -> MemoryFit:
    """Memory of an upscale model per pixel of the tile that is given to it, its output in float32 included."""
    prior = MemoryFit(0.0, CHANNELS * 4 * max(float(upscaler.scale), 1.0) * UPSCALER_FACTOR)
    if upscaler.device.type == "cpu":
        known = _measured.setdefault(upscaler.network, {})
        if CPU_USE not in known:
            known[CPU_USE] = _count(prior, upscaler)
        return known[CPU_USE]

    def run(side: int) -> object:
        return upscaler.model(torch.zeros(1, upscaler.takes, side, side, device=upscaler.device))

    return _corrected(prior, "upscale", upscaler.network, upscaler.device, upscaler.load, run, upscaler.patcher)


def fit_for_vae(vae: Any, decode: bool) -> MemoryFit:
    """Memory of a VAE, decoding or encoding, per IMAGE pixel of the tile (not per latent cell)."""
    ratio = cells_ratio(vae)
    video = getattr(vae, "latent_dim", 2) == 3
    channels = vae.latent_channels if decode else CHANNELS

    def shape(side: int) -> tuple[int, ...]:
        length = side // ratio if decode else side
        return (1, channels, 1, length, length) if video else (1, channels, length, length)

    estimate = vae.memory_used_decode if decode else vae.memory_used_encode
    prior = fit([(side * side, float(estimate(shape(side), vae.vae_dtype))) for side in READ_AT])
    model = vae.first_stage_model

    def run(side: int) -> object:
        tile = torch.zeros(shape(side), device=vae.device, dtype=vae.vae_dtype)
        return model.decode(tile) if decode else model.encode(tile)

    def load(needed: float) -> None:
        import comfy.model_management as management

        management.load_models_gpu([vae.patcher], memory_required=needed)

    return _corrected(prior, "decode" if decode else "encode", model, torch.device(vae.device), load, run, vae.patcher)


def fit_for_model(model: Any) -> MemoryFit:
    """Memory of a diffusion MODEL per image pixel of a tile with its two prompts (positive and negative) at once."""
    inner = model.model
    latent = inner.latent_format
    ratio = pixels_per_cell(inner)
    frames = [1] * (int(getattr(latent, "latent_dimensions", 2)) - 2)
    samples = []
    for side in READ_AT:
        shape = [2, latent.latent_channels, *frames, side // ratio, side // ratio]
        samples.append((side * side, float(inner.memory_required(shape))))
    return fit(samples)


def _count(prior: MemoryFit, upscaler: Upscaler) -> MemoryFit:
    """What the tensors of an upscale model add up to on the processor, else the prior."""

    def counted(model: Any, sides: Sequence[int], device: torch.device) -> MemoryFit:
        samples = []
        for side in sides:
            given = torch.empty(1, upscaler.takes, side, side, dtype=upscaler.dtype, device=device).zero_()
            samples.append((side * side, ALLOCATOR * peak_bytes(model, given) + GAPS))
        return fit(samples)

    def bare() -> MemoryFit:
        return counted(without_numbers(upscaler.model, upscaler.network, (upscaler.patcher,)), COUNTED, META)

    def small() -> MemoryFit:
        upscaler.load(0)
        return counted(upscaler.model, RUN_ON_CPU, upscaler.device)

    for way in (bare, small):
        try:
            return way()
        except Exception as error:
            # What a model does without numbers, or with a small picture, need not be what it does with a tile.
            logging.info("Tilework: the model's memory was not counted (%s)", error)
    return prior


def _corrected(
    prior: MemoryFit,
    use: str,
    model: Any,
    device: torch.device,
    load: Callable[[float], None],
    run: Callable[[int], object],
    patcher: Any,
) -> MemoryFit:
    """What two small runs say where the device can count, else the prior; once for each model and use."""
    if device.type != "cuda" or not torch.cuda.is_available():
        return prior
    known = _measured.setdefault(model, {})
    key = f"{use} {getattr(patcher, 'model_dtype', lambda: None)()}"
    if key not in known:
        known[key] = _measure(prior, device, load, run)
    return known[key]


def _measure(prior: MemoryFit, device: torch.device, load: Callable[[float], None], run: Callable[[int], object]) -> MemoryFit:
    import comfy.model_management as management

    try:
        load(prior.needs(PROBED[-1], PROBED[-1]))
        with torch.inference_mode():
            return probe(run, PROBED, CudaPeak(device))
    except Exception as error:
        # A model that cannot run such a tile is not this module's business to report: running it will.
        logging.info("Tilework: the model's memory was not measured (%s); going by ComfyUI's estimate", error)
        management.soft_empty_cache()
        return prior
