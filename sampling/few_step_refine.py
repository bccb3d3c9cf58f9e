"""Few-Step Refine: a SAMPLER for distilled models that refines an enlarged latent in one or two steps (PixelRush-type).

The model is asked once which noise it finds in the clean latent at a noise level of `depth` (partial inversion in one step).
That noise, turned a little towards random noise, is what the latent is noised with; from there `steps` steps lead back.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import comfy.samplers
import torch

from ..blending.coherence.few_steps import slerp
from ..blending.pixels.picture import check_finite
from .run_memory import own_noise
from .sampling_range import is_flow


class FewStepSampler(comfy.samplers.Sampler):
    """The sampler. Of the schedule that it is given it takes nothing but that there is one.

    Args:
        depth: the noise level to go back to, as a share of the sampling range that is left: 0.25 is where the last quarter begins.
        noise: share of random noise, 0 to 1.
        steps: back to the picture.

    Raises:
        ValueError: in words for the user.
    """

    def __init__(self, depth: float = 0.25, noise: float = 0.05, steps: int = 1) -> None:
        if not 0 < depth <= 1:
            raise ValueError(
                f"depth {depth} is no share of the sampling range: use over 0 (nothing changes) to 1 (everything), 0.25 for example"
            )
        if not 0 <= noise <= 1:
            raise ValueError(f"noise {noise} is no share: use 0 (what the model finds alone) to 1 (random noise alone)")
        if steps < 1:
            raise ValueError(f"steps {steps} leads nowhere: use 1 or more")
        self.depth, self.noise, self.steps = depth, noise, steps

    def levels(self, sampling: Any) -> torch.Tensor:
        """Noise levels of the steps back [steps + 1], from the depth's down to 0, even in the sampling range."""
        at = [float(sampling.percent_to_sigma(1 - self.depth * (self.steps - step) / self.steps)) for step in range(self.steps)]
        highest = float(sampling.sigma_max)
        return torch.tensor([*(min(level, highest) for level in at), 0.0], dtype=torch.float32)

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        """As the host calls a sampler.

        Raises:
            ValueError: where there is nothing to refine.
        """
        if latent_image is None or not latent_image.any():
            raise ValueError("the latent is empty: Few-Step Refine refines a picture; connect an enlarged latent")
        check_finite(latent_image, "the latent", mend="encode or sample it again")
        sampling = model_wrap.inner_model.model_sampling
        levels = self.levels(sampling).to(noise.device)
        options = extra_args["model_options"]
        transformer = {**(options.get("transformer_options") or {}), "sample_sigmas": levels}
        options = {**options, "transformer_options": transformer}
        model = comfy.samplers.KSamplerX0Inpaint(model_wrap, levels)
        model.latent_image, model.noise = latent_image, own_noise(noise, extra_args.get("seed"))
        ones = noise.new_ones([noise.shape[0]])

        def clean(x: torch.Tensor, level: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
            return model(x, level * ones, denoise_mask=mask, model_options=options, seed=extra_args.get("seed"))

        # At noise level 0 a model says nothing: it is asked at the level that it is to go to.
        found = (latent_image - clean(latent_image, levels[0], None)) / levels[0]
        if is_flow(sampling):
            found = found + latent_image  # the velocity is noise less picture
        model.noise = slerp(model.noise, found, 1 - self.noise)
        x = sampling.noise_scaling(levels[0], model.noise.clone(), latent_image, False)
        for step, (level, following) in enumerate(pairwise(levels)):
            x0 = clean(x, level, denoise_mask)
            if callback is not None:
                callback(step, x0, x, self.steps)
            x = x0 + (following / level) * (x - x0)
        return sampling.inverse_noise_scaling(levels[-1], x)
