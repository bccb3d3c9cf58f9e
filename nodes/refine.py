"""What an enlarged latent needs before and while it is refined: its statistics, its noise schedule, a sampler of few steps."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..blending.coherence.match_statistics import PER, match_channel_statistics, match_tile_statistics
from ..blending.coherence.size_schedule import SHIFTS, shifted_sigmas
from ..blending.pixels.picture import check_finite
from .menu import COHERENCE
from .types import Least, downscale_ratio, latent_samples


class ShiftSigmas(io.ComfyNode):
    """SIGMAS -> SIGMAS for a larger picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkShiftSigmas",
            display_name="Shift Sigmas for Size",
            category=COHERENCE,
            description=(
                "A noise schedule for a picture that is larger than the model's own: through the same noise a larger picture shows more "
                "of itself, so every level is raised. The number of steps stays."
            ),
            search_aliases=["shift schedule", "resolution shift", "frecas", "apt", "scale-aware scheduling", "snr shift"],
            inputs=[
                io.Sigmas.Input("sigmas", tooltip="From any scheduler."),
                io.Model.Input(
                    "model", tooltip="The model that will sample with them: diffusion and flow models are shifted in different ways."
                ),
                io.Float.Input(
                    "scale",
                    default=2.0,
                    min=Least(0.05),
                    max=64.0,
                    step=0.05,
                    tooltip="Sides of the picture over those of the model's own size: 2 for 2048 px with a model made for 1024. 1 changes nothing.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(SHIFTS),
                    default=SHIFTS[0],
                    tooltip="signal: as FreCaS has it; flow models by the square root of scale, others by scale. linear: by scale in both, which for flow models shifts twice as far; for SD 1.5 and SDXL the two are the same.",
                ),
            ],
            outputs=[
                io.Sigmas.Output(
                    "sigmas", display_name="sigmas", tooltip="For SamplerCustom. As many as before; none above the model's highest."
                )
            ],
        )

    @classmethod
    def execute(cls, sigmas, model, scale, method) -> io.NodeOutput:
        """Shift."""
        from ..sampling.sampling_range import is_flow

        sampling = model.get_model_object("model_sampling")
        return io.NodeOutput(shifted_sigmas(sigmas, scale, method, is_flow(sampling), float(sampling.sigma_max)))


class MatchLatents(io.ComfyNode):
    """LATENT with the means and deviations of another."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkMatchLatents",
            display_name="Match Latent Statistics",
            category=COHERENCE,
            description=(
                "Gives an enlarged latent back the contrast that enlarging took: its means and standard deviations become those of the "
                "latent that it was enlarged from, per channel, tile by tile without edges."
            ),
            search_aliases=["statistical matching", "apt", "adain", "latent contrast", "latent color match", "normalize latent"],
            inputs=[
                io.Latent.Input("samples", tooltip="The latent to change, for instance out of Upscale Latent."),
                io.Latent.Input("reference", tooltip="The latent whose statistics it takes: the small one. Of the same model family."),
                io.Combo.Input(
                    "per",
                    options=list(PER),
                    default=PER[0],
                    tooltip="tile: every part of the picture is matched to the same part of the reference, which must show the same picture. channel: the picture as a whole; the reference may be another picture.",
                ),
                io.Int.Input(
                    "size",
                    default=512,
                    min=8,
                    max=32768,
                    step=8,
                    tooltip="For per tile: side of a tile in image pixels of samples. Smaller follows the reference more closely.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="1 for the reference's statistics, 0 leaves the latent as it is.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "samples",
                    display_name="samples",
                    tooltip="The same latent with other statistics; its noise mask and everything else in it are kept.",
                )
            ],
        )

    @classmethod
    def execute(cls, samples, reference, per, size, strength) -> io.NodeOutput:
        """Match."""
        if per not in PER:
            raise ValueError(f"per {per!r} is not known: use one of {', '.join(PER)}")
        if not 0 <= strength <= 1:
            raise ValueError(f"strength {strength} is no share: use 0 (as it is) to 1 (in full)")
        tensor, wanted = latent_samples(samples, "samples"), latent_samples(reference, "reference")
        for one, name in ((tensor, "samples"), (wanted, "reference")):
            check_finite(one, name, mend="encode or sample it again")
        ratios = [latent.get("downscale_ratio_spacial") for latent in (samples, reference)]
        if None not in ratios and ratios[0] != ratios[1]:
            raise ValueError(
                f"samples has {ratios[0]} image pixels per cell and reference {ratios[1]}: connect two latents of the same model family"
            )
        wanted = _alike(tensor, wanted, per)
        if strength == 0:
            return io.NodeOutput({**samples})
        unit = downscale_ratio(samples, 0)
        if size < unit:
            raise ValueError(f"size {size} is smaller than one latent cell of {unit} image pixels: use {8 * unit} or more, for example 512")
        matched = (
            match_channel_statistics(tensor, wanted) if per == "channel" else match_tile_statistics(tensor, wanted, max(size // unit, 1))
        )
        return io.NodeOutput({**samples, "samples": torch.lerp(tensor, matched.to(tensor), strength)})


def _alike(samples: torch.Tensor, reference: torch.Tensor, per: str) -> torch.Tensor:
    """The reference, where it can be one; on the device of the samples."""
    if reference.ndim != samples.ndim or reference.shape[1:-2] != samples.shape[1:-2] or reference.shape[0] not in (1, samples.shape[0]):
        raise ValueError(
            f"reference is a latent of shape {tuple(reference.shape)} and samples one of {tuple(samples.shape)}: connect latents of one model "
            "family with as many frames, and one picture or as many in the reference"
        )
    (rows, columns), (height, width) = reference.shape[-2:], samples.shape[-2:]
    if per == "tile" and abs(height * columns - width * rows) > max(height, width, rows, columns):
        raise ValueError(
            f"reference is {columns} x {rows} cells and samples {width} x {height}, which have other proportions, so that their parts cannot be "
            "compared: connect the latent that samples was enlarged from, or set per to channel"
        )
    return reference.to(samples.device)


class FewStepRefine(io.ComfyNode):
    """A SAMPLER of one or two steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkFewStepRefine",
            display_name="Few-Step Refine",
            category=COHERENCE,
            description=(
                "A sampler that refines an enlarged latent in one or two steps, for distilled models (Turbo, Lightning, LCM, schnell): the "
                "model is asked which noise it finds in the picture, and the picture is noised with that (PixelRush)."
            ),
            search_aliases=["pixelrush", "few step", "one step refine", "turbo upscale", "lightning refine", "partial inversion"],
            inputs=[
                io.Float.Input(
                    "depth",
                    default=0.25,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How far back into the noise: 0.25 is where the last quarter of a run begins. More paints more anew. The schedule that SamplerCustom asks for is not used.",
                ),
                io.Float.Input(
                    "noise",
                    default=0.05,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="Share of random noise. Near 0 the picture is kept and softened; more gives more texture; near 1 it is plain image-to-image.",
                ),
                io.Int.Input(
                    "steps", default=1, min=1, max=100, tooltip="Steps back to the picture. One more call of the model finds the noise."
                ),
            ],
            outputs=[io.Sampler.Output("sampler", display_name="sampler", tooltip="For SamplerCustom or SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, depth, noise, steps) -> io.NodeOutput:
        """Make the sampler."""
        from ..sampling.few_step_refine import FewStepSampler

        return io.NodeOutput(FewStepSampler(depth, noise, steps))
