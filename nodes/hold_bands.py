"""Hold Bands to Reference: the coarse and the fine of a picture, each held to a reference as firmly as wished."""

from __future__ import annotations

from comfy_api.latest import io

from .menu import SAMPLING
from .types import Least, latent_samples, share_of_run

WAVELETS = ("haar", "db4", "sym4")
OPERATORS = ("same size", "averaged")
FIRMEST = 1e9


def _weight(name: str, default: float, what: str) -> io.Input:
    return io.Float.Input(
        name,
        default=default,
        min=Least(0.0),
        max=FIRMEST,
        step=0.05,
        tooltip=f"How firmly {what} held. 0: free; 1: half of the way to the reference at every step; 9: nine tenths; 100000 and more: as in the reference.",
    )


class FrequencyGuidance(io.ComfyNode):
    """MODEL -> MODEL whose predictions are held to a reference in bands."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkFrequencyGuidance",
            display_name="Hold Bands to Reference",
            category=SAMPLING,
            description=(
                "Holds what is sampled to a reference, with one weight for the coarse (light, shapes) and one for the fine (texture): repaint "
                "the texture of a picture and keep its light, or the other way round. Or hold the average of a large picture to a small one."
            ),
            search_aliases=[
                "frequency guidance",
                "frequency aware guidance",
                "wavelet guidance",
                "data consistency",
                "ilvr",
                "low frequency lock",
                "keep structure",
                "keep colors",
            ],
            inputs=[
                io.Model.Input("model", tooltip="The model, before or after Tiled Sampling; for Latent Tile Denoise connect it there."),
                io.Latent.Input(
                    "reference",
                    tooltip="What is held to: a LATENT of the same model family, of the canvas' size, or smaller by a whole number of times with operator averaged. One for a batch, or as many as are sampled.",
                ),
                io.Combo.Input(
                    "wavelet",
                    options=list(WAVELETS),
                    default=WAVELETS[0],
                    tooltip="How coarse and fine are told apart. haar: means of square cells, exact and without any ringing, can show as faint squares where low is firm and high is free; db4: smooth, with a sharper cut between the bands; sym4: as db4, and nearly symmetric, so that edges stay where they are.",
                ),
                io.Int.Input(
                    "levels",
                    default=2,
                    min=1,
                    max=12,
                    tooltip="Where the fine begins: each level doubles the size of what counts as fine. 1: two latent cells (16 image pixels for most models); 2: four cells; 3: eight cells. Higher leaves the model more freedom.",
                ),
                _weight("low", 1.0, "the coarse is"),
                _weight("high", 0.1, "the fine is"),
                io.Combo.Input(
                    "operator",
                    options=list(OPERATORS),
                    default=OPERATORS[0],
                    tooltip="What is compared with the reference. same size: the picture itself; averaged: the means of the picture over square cells, for a reference that is 2, 3, 4 ... times smaller. What the small one cannot show is then left to the model whole.",
                ),
                share_of_run("start", 0.0, "From where in the sampling range it is at work; 0 is the beginning."),
                share_of_run(
                    "end",
                    1.0,
                    "To where in the sampling range; 1 is the end, and the finished picture is then held too. 0.7 lets the model smooth over what the reference and it disagree about.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    "model",
                    display_name="model",
                    tooltip="The same model; connect it to Tiled Sampling, Latent Tile Denoise or any sampler. A second Hold Bands to Reference takes the place of the first.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, reference, wavelet, levels, low, high, operator, start, end) -> io.NodeOutput:
        """Patch a clone."""
        samples = latent_samples(reference, "reference")
        from ..blending.pixels.picture import check_finite
        from ..sampling.hold_bands import BandHold, held_to
        from ..sampling.sampling_range import SamplingRange

        check_finite(samples, "reference", mend="sample it again")
        return io.NodeOutput(held_to(model, BandHold(samples, wavelet, levels, low, high, operator, SamplingRange(start, end))))
