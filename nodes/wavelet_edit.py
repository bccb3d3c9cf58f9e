"""Wavelet Edit: an edit that keeps the structure of its source, band by band."""

from __future__ import annotations

from comfy_api.latest import io

from .coherence import Trajectory
from .menu import COHERENCE
from .types import Least, latent_samples, share_of_run


class WaveletEdit(io.ComfyNode):
    """MODEL, the source's LATENT -> MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkWaveletEdit",
            display_name="Wavelet Edit",
            category=COHERENCE,
            description=(
                "Changes a picture by a prompt and keeps its structure: the strongest frequency bands of what the model sees in the source "
                "are put into what it paints. Every tile keeps to its own part of the source, so edits of tiles fit together."
            ),
            search_aliases=[
                "w-edit",
                "edit keep structure",
                "prompt to prompt",
                "structure preserving edit",
                "attention injection",
                "key value injection",
                "plug and play",
                "wavelet",
            ],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model, before or after Tiled Sampling. Flux, Chroma, Qwen-Image, SD 1.5, SDXL and their kin."
                ),
                io.Latent.Input(
                    "source",
                    tooltip="The picture to keep to, out of VAE Encode: of the size that is sampled, or smaller with the same proportions.",
                ),
                io.Float.Input(
                    "energy",
                    default=0.6,
                    min=Least(0.0),
                    max=1.0,
                    step=0.05,
                    tooltip="How much of the source is kept: its strongest bands, until they hold this share of its energy. 0.6 is published; under 0.4 the structure goes, over 0.8 little can change. 0 is off.",
                ),
                io.Combo.Input(
                    "wavelet",
                    options=["haar", "sym4"],
                    default="haar",
                    tooltip="What the bands are made of. haar: the shortest, sharp, the cheapest. sym4: smoother bands that overlap less in frequency; about four times the work.",
                ),
                io.Int.Input(
                    "levels",
                    default=2,
                    min=Least(1),
                    max=4,
                    tooltip="Into how many steps of fineness it is taken apart. More levels make the coarsest band coarser, so less of the source's layout is held.",
                ),
                io.Combo.Input(
                    "blocks",
                    options=["auto", "all"],
                    default="auto",
                    tooltip="Which of the model's attention layers. auto: those that see the coarsest and the finest, a fifth of them each, found out in the first step. all: every one; keeps the most, and an edit is hardly possible.",
                ),
                share_of_run("start", 0.0, "From where in the sampling range it is at work; 0 is the beginning."),
                share_of_run("end", 1.0, "To where in the sampling range; 1 is the end. 0.6 leaves fine detail to the prompt."),
                Trajectory.Input(
                    "trajectory",
                    optional=True,
                    tooltip="The source's own way through the noise, of Record Run or Picture to Noise: followed step by step in place of the finished source.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model",
                    display_name="model",
                    tooltip="The same model; connect it to Tiled Sampling, Latent Tile Denoise or any sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, source, energy, wavelet, levels, blocks, start, end, trajectory=None) -> io.NodeOutput:
        """Patch a clone."""
        from ..blending.pixels.picture import check_finite
        from ..sampling.attention.wavelet_edit import WaveletEditSettings, with_wavelet_edit
        from ..sampling.sampling_range import SamplingRange

        samples = latent_samples(source, "source")
        check_finite(samples, "source", mend="encode the picture again")
        settings = WaveletEditSettings(samples, energy, wavelet, levels, blocks, SamplingRange(start, end), trajectory)
        return io.NodeOutput(with_wavelet_edit(model, settings))
