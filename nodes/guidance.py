"""Guidance by Bands: as much of the prompt in the coarse of a picture as one likes, and as much in the fine."""

from __future__ import annotations

from comfy_api.latest import io

from .menu import SAMPLING
from .types import Least, share_of_run


class BandGuidance(io.ComfyNode):
    """MODEL -> MODEL whose guidance has a weight for the coarse and one for the fine."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkBandGuidance",
            display_name="Guidance by Bands",
            category=SAMPLING,
            description=(
                "Guides the fine detail of a picture strongly and leaves its coarse, the composition and the light, as the prompt alone has it "
                "(HiWave, FreCaS): sharp texture at a high cfg without its hard contrasts and burnt colours. Takes the place of the sampler's cfg."
            ),
            search_aliases=["hiwave", "frecas", "frequency guidance", "wavelet cfg", "band guidance", "cfg per frequency", "burnt colors"],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model, before or after Tiled Sampling. It must take a negative prompt; one that was distilled for guidance (Flux dev) has no such choice, and the log says so.",
                ),
                io.Combo.Input(
                    "wavelet",
                    options=["sym4", "haar", "db4", "bior4.4"],
                    default="sym4",
                    tooltip="How coarse and fine are told apart. sym4: smooth and nearly symmetric, as published; haar: square cells, the coarse is kept exactly, can show as faint squares; db4: smooth, less symmetric; bior4.4: symmetric, that of JPEG 2000.",
                ),
                io.Int.Input(
                    "levels",
                    default=1,
                    min=1,
                    max=12,
                    tooltip="What counts as fine: 1 what is up to about 2 latent cells wide (16 pixels for most models), 2 up to 4 cells, 3 up to 8. More gives more of the picture to high.",
                ),
                io.Float.Input(
                    "low",
                    default=1.0,
                    min=Least(0.0),
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance of the coarse. 1 is what the model makes of the prompt alone; raise it to 2 or 4 where the picture does not follow the prompt.",
                ),
                io.Float.Input(
                    "high",
                    default=7.5,
                    min=Least(0.0),
                    max=100.0,
                    step=0.1,
                    tooltip="Guidance of the fine. As high as low, it is plain guidance with that cfg.",
                ),
                share_of_run("start", 0.0, "From where in the sampling range; 0 is its beginning. Before it the sampler's own cfg counts."),
                share_of_run(
                    "end",
                    1.0,
                    "Until where in the sampling range; 1 is its end. Behind it the sampler's own cfg counts. The same as start: off.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model", display_name="model", tooltip="The same model; in the range above the sampler's cfg counts no more."
                )
            ],
        )

    @classmethod
    def execute(cls, model, wavelet, levels, low, high, start, end) -> io.NodeOutput:
        """Patch a clone."""
        from ..sampling.band_guidance import BandWeights, guided_by_bands  # here, because it is most of what this file would load
        from ..sampling.sampling_range import SamplingRange

        return io.NodeOutput(guided_by_bands(model, BandWeights(wavelet, levels, low, high, SamplingRange(start, end))))
