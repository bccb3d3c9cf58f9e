"""Picture to Noise: the noise that a model would make a picture of."""

from __future__ import annotations

import comfy.samplers
from comfy_api.latest import io

from .coherence import Trajectory
from .menu import COHERENCE
from .types import latent_samples


class PictureToNoise(io.ComfyNode):
    """LATENT -> the inverted LATENT, its NOISE, and the way there."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkInvert",
            display_name="Picture to Noise",
            category=COHERENCE,
            description=(
                "Finds the noise that the model would make this picture of (inversion), in tiles where the model has Tiled Sampling. A "
                "sampler that begins with it makes the picture again; with another prompt, more guidance or a guide it makes it anew, with "
                "the same things in the same places."
            ),
            search_aliases=[
                "invert latent",
                "inversion",
                "ddim inversion",
                "unsampler",
                "rf inversion",
                "hiwave",
                "noise from image",
                "renoise",
            ],
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model, with its LoRAs and with Tiled Sampling where the picture is larger than the model was made for; from before Keep Composition. Diffusion and flow models.",
                ),
                io.Conditioning.Input(
                    "positive",
                    tooltip="What is to be seen in the picture. Used alone, without guidance (cfg 1). Masks, areas and Tile Prompts are followed.",
                ),
                io.Latent.Input("latent", tooltip="The picture, from a VAE Encode or a sampler. Its noise mask is not used here."),
                io.Int.Input(
                    "steps",
                    default=20,
                    min=1,
                    max=10000,
                    tooltip="Noise levels on the way. Give the sampler that begins with the noise the same steps and scheduler. 20 keep what the picture shows, 40 and more its details too.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    tooltip="How noise is gradually added; the same as that of the sampler which begins with the noise.",
                ),
                io.Int.Input(
                    "correction",
                    default=1,
                    min=0,
                    max=10,
                    advanced=True,
                    tooltip="How often every step is made more exact; each costs as much as the step itself. 0: fast, and 3 to 40 times less exact; 1: right for most; 2 and more help with few steps. Where a correction would make it worse it is left out.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="The picture as noise, for samplers that add none of their own (Disable Noise, add_noise off). Of a flow model (SD3, Flux, Qwen) samplers cannot begin with it: use noise.",
                ),
                io.Noise.Output(
                    "noise",
                    display_name="noise",
                    tooltip="For SamplerCustomAdvanced, in place of Random Noise; its latent_image is the picture's latent, or an empty one of that size. Exact for every model.",
                ),
                Trajectory.Output(
                    "trajectory",
                    display_name="trajectory",
                    tooltip="What was predicted on the way, for Keep Composition: method skip residual then follows this picture's own states. At most 512 MB of main memory; longer ones are thinned out.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, positive, latent, steps, scheduler, correction) -> io.NodeOutput:
        """Invert."""
        samples = latent_samples(latent, "latent")
        if steps < 1:
            raise ValueError(f"steps {steps} is not how many noise levels to take: use 20, or 1 or more")
        if scheduler not in comfy.samplers.KSampler.SCHEDULERS:
            raise ValueError(f"scheduler {scheduler!r} is not known: use one of {', '.join(comfy.samplers.KSampler.SCHEDULERS)}")
        from comfy.sample import fix_empty_latent_channels
        from latent_preview import prepare_callback

        from ..blending.pixels.picture import check_finite
        from ..sampling.inversion import climbing, invert

        check_finite(samples, "latent", mend="encode it again")
        # As the host's samplers do: models of video take a picture as one frame.
        samples = fix_empty_latent_channels(model, samples)
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), scheduler, steps)
        callback = prepare_callback(model, len(climbing(sigmas.tolist())))
        held, noise, trajectory = invert(model, positive, samples, sigmas, correction, callback)
        # A sampler would keep the noise itself where the mask is nothing.
        kept = {name: value for name, value in latent.items() if name != "noise_mask"}
        return io.NodeOutput({**kept, "samples": held}, noise, trajectory)
