"""The receptive field of an UPSCALE_MODEL or a VAE, measured on the host's device and kept, also for the next start of the host."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch

from ..blending.networks.network_identity import identity
from ..blending.receptive_field.measure import MEASURING, ReceptiveField, measure
from ..blending.receptive_field.probe_picture import SPREAD, probe_picture
from ..blending.receptive_field.report import PASS, headline, report_text
from ..host.memory import free_after_loading, is_out_of_memory
from ..host.progress import Watch, check_cancelled
from .cells_ratio import cells_ratio
from .kept_fields import Key, read_kept, write
from .memory import CHANNELS, fit_for_vae
from .upscaler import Upscaler

# What measuring may cost, in image pixels through the model. Of an upscale model it is the same on every device, and so is what
# is found; a VAE of 8 pixels to a cell wants large probes, which a processor should not be busy with for long.
UPSCALER_BUDGET = 12 * PASS
VAE_BUDGET, VAE_BUDGET_ON_CPU = 136 * PASS, 34 * PASS

# Sides of the first and the largest probe, and length of the strips, in image pixels.
UPSCALER_PROBE, UPSCALER_LARGEST, UPSCALER_STRIP = 128, 256, 768
VAE_PROBE, VAE_LARGEST, VAE_STRIP = 256, 1024, 2048
VAE_LARGEST_ON_CPU, VAE_STRIP_ON_CPU = 512, 768

# Suggested overlaps are multiples of it, which suits every node that tiles.
OVERLAP_STEP = 8

UPSCALER_REMEDY = "use Tiled Upscale with statistics = image, or match the tiles' colours to the picture with Color Match."
VAE_REMEDY = (
    "use Tiled VAE Decode and Tiled VAE Encode: for VAEs that they know (SD to Flux.2), modes exact and statistics take them from the "
    "whole picture; others, video among them, want larger tiles."
)

# What a VAE answers with that only decodes: an encoder that is missing (AttributeError), not implemented (a RuntimeError), or for
# another kind of input (TypeError, RuntimeError).
NO_ENCODER = (RuntimeError, AttributeError, TypeError)

# Where the host tiles by itself when memory runs out.
HOSTS_TILING = ("decode_tiled", "encode_tiled")

_known: WeakKeyDictionary[Any, dict[tuple[str, float], ReceptiveField]] = WeakKeyDictionary()


class ProbeTooLargeError(ValueError):
    """A probe did not go through the VAE in one piece."""


@dataclass(frozen=True)
class Findings:
    """What is known of one model, in image pixels.

    Attributes:
        field: of an upscale model, or of a VAE's decoder, which is where seams show.
        report: in words; of a VAE, decoder and encoder.
        headline: in one line.
    """

    field: ReceptiveField
    report: str
    headline: str


def upscaler_field(upscaler: Upscaler, threshold: float, watch: Watch | None = None) -> Findings:
    """Measure an upscale model.

    Args:
        threshold: in the model's output, 0..1.
        watch: told how many runs are done, and of how many.

    Raises:
        ValueError: where the model cannot be measured.
    """
    model = upscaler.model
    module = upscaler.network if isinstance(upscaler.network, torch.nn.Module) else None

    def settings() -> Key:
        call = getattr(getattr(model, "_call_fn", None), "__qualname__", type(model).__qualname__)
        traits = {"multiple_of": upscaler.needs, "minimum": upscaler.minimum, "channels": upscaler.takes, "scale": upscaler.scale}
        return {**traits, "call": call, "probes": [UPSCALER_PROBE, UPSCALER_LARGEST, UPSCALER_STRIP, UPSCALER_BUDGET, upscaler.square]}

    def do() -> tuple[ReceptiveField, bool]:
        fit, patchers = upscaler.fit, [] if upscaler.patcher is None else [upscaler.patcher]
        upscaler.load(0)
        largest = _largest(fit, UPSCALER_PROBE, UPSCALER_LARGEST, patchers)
        upscaler.load(fit.needs(largest, largest))
        field = measure(
            _heeding_cancel(lambda tile: model(tile)),
            upscaler.takes,
            upscaler.scale,
            threshold,
            size=UPSCALER_PROBE,
            largest=largest,
            # A model that wants squares would make a square of the strip.
            strip=0 if upscaler.square else UPSCALER_STRIP,
            device=upscaler.device,
            dtype=upscaler.dtype,
            network=module,
            watch=watch,
            budget=UPSCALER_BUDGET,
        )
        return field, largest >= UPSCALER_LARGEST

    key = "upscale", threshold
    field = _kept(upscaler.network, key, lambda: _stored(module, key, settings, do))
    field = replace(field, overlap=_usable(field.overlap, field.lattice))
    return Findings(field, report_text(field, "the upscale model", UPSCALER_REMEDY) + _advice(upscaler), headline(field))


def vae_field(vae: Any, threshold: float, watch: Watch | None = None) -> Findings:
    """Measure a VAE: its decoder, and for the report its encoder.

    Args:
        threshold: in the decoded picture, 0..1.
        watch: told how many runs are done, and of how many.

    Raises:
        ValueError: where the decoder cannot be measured.
    """
    ratio, vae = cells_ratio(vae), _in_one_piece(vae)

    def settings() -> Key:
        probes = [VAE_PROBE, _largest_probe(vae), _strip(vae), _vae_budget(vae)]
        kind = {"channels": vae.latent_channels, "dimensions": vae.latent_dim, "dtype": str(vae.vae_dtype)}
        return {"ratio": ratio, **kind, "probes": probes}

    def found(what: str, measured: Callable[[], tuple[ReceptiveField, bool]]) -> ReceptiveField:
        model, key = vae.first_stage_model, (what, threshold)
        return _kept(model, key, lambda: _stored(model, key, settings, measured))

    decoded = found("decode", lambda: _measure_decoder(vae, ratio, threshold, watch)).stretched(ratio)
    decoded = replace(decoded, overlap=_usable(decoded.overlap, decoded.lattice))
    report = report_text(decoded, "the VAE's decoder", VAE_REMEDY)
    try:
        encoded = found("encode", lambda: _measure_encoder(vae, ratio, threshold, watch))
    except (ProbeTooLargeError, *NO_ENCODER) as error:
        report += f"\n\nThe VAE's encoder could not be measured: {error}"
    else:
        encoded = replace(encoded, overlap=_usable(encoded.overlap, encoded.lattice))
        report += "\n\n" + report_text(encoded, "the VAE's encoder", VAE_REMEDY, "255ths (the latent brought to a picture's contrast)")
    return Findings(decoded, report, headline(decoded))


def _measure_decoder(vae: Any, ratio: int, threshold: float, watch: Watch | None) -> tuple[ReceptiveField, bool]:
    largest = _largest(fit_for_vae(vae, decode=True), VAE_PROBE, _largest_probe(vae), [vae.patcher])
    field = measure(
        _heeding_cancel(lambda cells: _decoded(vae, cells)),
        vae.latent_channels,
        ratio,
        threshold,
        size=max(VAE_PROBE // ratio, 16),
        largest=max(largest // ratio, 16),
        strip=_strip(vae) // ratio,
        lattice=1,
        content=lambda height, width, seed: _latent(vae, ratio, height, width, seed),
        network=getattr(vae.first_stage_model, "decoder", vae.first_stage_model),
        watch=watch,
        budget=_vae_budget(vae) / ratio**2,
    )
    return field, largest >= _largest_probe(vae)


def _measure_encoder(vae: Any, ratio: int, threshold: float, watch: Watch | None) -> tuple[ReceptiveField, bool]:
    from fractions import Fraction

    spread = float(_encoded(vae, probe_picture(VAE_PROBE, VAE_PROBE)).std())
    if not 0 < spread < float("inf"):
        raise RuntimeError("it makes the same of every picture")
    largest = _largest(fit_for_vae(vae, decode=False), VAE_PROBE, _largest_probe(vae), [vae.patcher])
    field = measure(
        _heeding_cancel(lambda picture: _encoded(vae, picture) * (SPREAD / spread)),
        CHANNELS,
        Fraction(1, ratio),
        threshold,
        size=VAE_PROBE,
        largest=largest,
        strip=_strip(vae),
        lattice=ratio,
        network=getattr(vae.first_stage_model, "encoder", vae.first_stage_model),
        watch=watch,
        budget=_vae_budget(vae),
    )
    return field, largest >= _largest_probe(vae)


def _in_one_piece(vae: Any) -> Any:
    """The VAE without the host's way out of too little memory: the seams of its tiles would be measured, not the VAE."""

    def refuse(*args: Any, **more: Any) -> None:
        raise ProbeTooLargeError("there is no memory for a probe in one piece: close what else uses the device, and run again")

    alone = copy.copy(vae)
    for name in dir(alone):
        if name.lstrip("_").startswith(HOSTS_TILING):
            setattr(alone, name, refuse)
    return alone


def _decoded(vae: Any, cells: torch.Tensor) -> torch.Tensor:
    """[1, C, h, w] -> [1, 3, H, W], through the host; the first frame of a video VAE's."""
    pixels = vae.decode(cells[:, :, None] if vae.latent_dim == 3 else cells)
    return (pixels[:, 0] if pixels.ndim == 5 else pixels).movedim(-1, 1)


def _encoded(vae: Any, picture: torch.Tensor) -> torch.Tensor:
    """[1, 3, H, W] -> [1, C, h, w], through the host."""
    cells = vae.encode(picture.movedim(1, -1).cpu())
    return cells[:, :, 0] if cells.ndim == 5 else cells


def _latent(vae: Any, ratio: int, height: int, width: int, seed: int) -> torch.Tensor:
    """What the encoder makes of the probe; where it makes nothing, noise with a picture's spectrum."""
    try:
        return _encoded(vae, probe_picture(height * ratio, width * ratio, seed=seed))
    except NO_ENCODER as error:
        if is_out_of_memory(error):
            raise  # that there is an encoder shows another time
        return (probe_picture(height, width, vae.latent_channels, seed) - 0.5) / SPREAD


def _heeding_cancel(run: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    def go(picture: torch.Tensor) -> torch.Tensor:
        check_cancelled()
        return run(picture)

    return go


def _kept(model: Any, key: tuple[str, float], do: Callable[[], ReceptiveField]) -> ReceptiveField:
    known = _known.setdefault(model, {})
    if key not in known:
        known[key] = do()
    return known[key]


def _stored(
    network: torch.nn.Module | None,
    what: tuple[str, float],
    settings: Callable[[], Key],
    do: Callable[[], tuple[ReceptiveField, bool]],
) -> ReceptiveField:
    """What an earlier start of the host has measured, or what `do` measures now, which is kept for later ones.

    Args:
        network: whose numbers it is known by; where they cannot be read it is measured at each start.
        what: what of it, and the threshold.
        settings: what else the result depends on.
        do: measures; and tells whether there was memory for all that it wanted to look at.
    """
    known = None if network is None else identity(network)
    if known is None:
        return do()[0]
    key = {"network": known, "what": what[0], "threshold": what[1], "measuring": MEASURING, **settings()}
    field = read_kept(key)
    if field is None:
        field, unhindered = do()
        if unhindered or field.radius_known:
            write(key, field)
    return field


def _largest(fit: Any, smallest: int, most: int, patchers: list[Any]) -> int:
    """The largest probe that the memory allows, at least the first one."""
    free, side = free_after_loading(patchers), smallest
    while 2 * side <= most and fit.needs(2 * side, 2 * side) <= free:
        side *= 2
    return side


def _on_cpu(vae: Any) -> bool:
    return torch.device(vae.device).type == "cpu"


def _largest_probe(vae: Any) -> int:
    return VAE_LARGEST_ON_CPU if _on_cpu(vae) else VAE_LARGEST


def _vae_budget(vae: Any) -> int:
    return VAE_BUDGET_ON_CPU if _on_cpu(vae) else VAE_BUDGET


def _strip(vae: Any) -> int:
    return VAE_STRIP_ON_CPU if _on_cpu(vae) else VAE_STRIP


def _usable(overlap: int, lattice: int) -> int:
    step = math.lcm(lattice, OVERLAP_STEP)
    return -(-overlap // step) * step


def _advice(upscaler: Upscaler) -> str:
    """What the loader knows about tiling this model."""
    if upscaler.tiling == "DISCOURAGED":
        return "\nIts authors advise against tiling it: tiles may differ in what they make of the picture."
    if upscaler.tiling == "INTERNAL":
        return "\nIt cuts the picture into tiles by itself; tiling it once more is seldom needed."
    return ""
