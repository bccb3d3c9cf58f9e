"""Picture to Noise: the noise that a model would make a picture of, found by sampling backwards.

Euler's sampler takes a state y at the noise level b down to x = y - (b - a) eps(y, b) at the level a. Inversion asks for the y
of a given x: y = x + (b - a) eps(y, b), the model asked at the target level b, so never at level 0, where it was not trained. The
equation is solved by fixed-point steps: the first asks about x itself, each correction about what the last one gave (ReNoise,
arXiv 2403.14602; fixed-point inversion of DDIM, arXiv 2305.16807). Where a correction moves the state farther than the one before
did, the steps do not converge, and the picture keeps what it had.

Memory: six canvases of latents beside the recorded predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..blending.coherence.trajectory import Trajectory
from ..host.progress import check_cancelled

# Enough for 20 predictions of a canvas of 10,000 x 10,000 pixels with 4 channels, and for 10 with 16 channels.
MOST_BYTES = 512 * 2**20
MOST_CORRECTIONS = 10

Noise = Callable[[torch.Tensor, float], torch.Tensor]


class InvertedNoise:
    """Noise of one picture, for the core's custom samplers; as the core's Random Noise it makes noise for the latent it is given.

    The noise is chosen such that a sampler which begins at the same noise level begins exactly with the inverted state, whatever
    that latent is: the picture, or an empty one.

    Args:
        state: the inverted state [B, C, ..., h, w], as the model sees it.
        gain: what the host multiplies noise by at the first noise level.
        share: what it multiplies the clean latent by.
        into_model: a LATENT's values as the model sees them.

    Attributes:
        seed: of samplers that add noise of their own.
    """

    def __init__(self, state: torch.Tensor, gain: float, share: float, into_model: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.seed = 0
        self._state, self._gain, self._share, self._into_model = state, gain, share, into_model

    def generate_noise(self, input_latent: dict[str, Any]) -> torch.Tensor:
        """Noise of the size of a LATENT, float32 on the processor.

        Raises:
            ValueError: in words, for a latent of another size.
        """
        clean = input_latent["samples"]
        mine, asked = self._state.shape, clean.shape
        if getattr(clean, "is_nested", False) or asked[1:] != mine[1:] or mine[0] not in (1, asked[0]):
            raise ValueError(
                f"the noise is of a latent of shape {tuple(mine)} and the sampler was given one of shape {tuple(asked)}: connect the "
                "latent that went into Picture to Noise, or an empty latent of the same size and batch"
            )
        clean = clean.detach().to("cpu", torch.float32)
        # As the host does: an empty latent is not shifted.
        seen = self._into_model(clean) if clean.any() else clean
        return ((self._state - self._share * seen) / self._gain).expand(clean.shape).clone()


class InversionSampler:
    """A SAMPLER of the host that goes from the clean picture up to the first noise level.

    Args:
        corrections: fixed-point corrections of every step, at most.
        trajectory: is filled with the predictions of the finished picture.

    Attributes:
        state: what it came to [B, C, ..., h, w], on the processor.
        level: the noise level of that.
    """

    def __init__(self, corrections: int, trajectory: Trajectory) -> None:
        self.corrections, self.trajectory = corrections, trajectory
        self.state: torch.Tensor | None = None
        self.level = 0.0
        # Wrappers of the pack ask for a sampler's function.
        self.sampler_function = self.climb

    def sample(self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        """As the host calls a sampler; gives what a LATENT can hold of the state."""
        state = self.sampler_function(guider, latent_image, sigmas, extra_args=extra_args, callback=callback, disable=disable_pbar)
        self.state, self.level = state.to("cpu", torch.float32, copy=True), float(sigmas[0])
        sampling = guider.inner_model.model_sampling
        held = sampling.inverse_noise_scaling(sigmas[0], state)
        return held if bool(torch.isfinite(held).all()) else state

    def climb(self, model, x: torch.Tensor, sigmas: torch.Tensor, extra_args=None, callback=None, disable=None) -> torch.Tensor:
        """From a clean latent [B, C, ..., h, w] to the first of the noise levels `sigmas`, which fall as a sampler's do."""
        options = {name: value for name, value in (extra_args or {}).items() if name in ("model_options", "seed")}

        def noise_in(state: torch.Tensor, level: float) -> torch.Tensor:
            check_cancelled()
            clean = model(state, state.new_full((state.shape[0],), level), **options)
            return (state - clean) / level

        levels = climbing(sigmas.tolist())
        x, below = x.clone(), 0.0
        for step, level in enumerate(levels):
            above, noise = step_up(noise_in, x, below, level, self.corrections)
            if not bool(torch.isfinite(above).all()):
                raise ValueError(
                    f"the model gave numbers that are not finite at noise level {level:.4g}, step {step + 1} of {len(levels)}: run the "
                    "model in fp32 or bf16, or use fewer corrections"
                )
            # With this prediction Euler's step down from `above` gives x again.
            clean = above - level * noise
            self.trajectory.record(level, clean)
            if callback is not None:
                callback(step, clean, above, len(levels))
            x, below = above, level
        self.trajectory.done = True
        return x


def climbing(sigmas: Sequence[float]) -> list[float]:
    """The noise levels of a schedule from the lowest over 0 up, each once.

    >>> climbing([4.0, 2.0, 2.0, 1.0, 0.0])
    [1.0, 2.0, 4.0]
    """
    return sorted({sigma for sigma in sigmas if sigma > 0})


def step_up(noise_in: Noise, x: torch.Tensor, below: float, level: float, corrections: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve y = x + (level - below) * noise_in(y, level) by fixed-point steps.

    A correction counts for those pictures of the batch alone that it moves less than the step before did.

    Args:
        noise_in: (state, noise level) -> the noise in it; never asked at `below`.
        x: state at the noise level `below`, [B, ...].
        below, level: noise levels, 0 <= below < level.
        corrections: at most so many.

    Returns:
        y, and the noise that it was made with: y = x + (level - below) * noise to the last bit.
    """
    rise = level - below
    noise = noise_in(x, level)
    y = x + rise * noise
    moved = _size(y - x)
    going = torch.ones_like(moved, dtype=torch.bool)
    for _ in range(corrections):
        again = noise_in(y, level)
        better = x + rise * again
        now = _size(better - y)
        going &= now < moved
        if not bool(going.any()):
            break
        rows = going.view(-1, *[1] * (x.ndim - 1))
        y, noise, moved = torch.where(rows, better, y), torch.where(rows, again, noise), torch.where(going, now, moved)
    return y, noise


def _size(change: torch.Tensor) -> torch.Tensor:
    """Of each picture: the root of the mean square [B]."""
    return change.flatten(1).square().mean(1).sqrt()


def invert(
    model: Any,
    positive: list,
    samples: torch.Tensor,
    sigmas: torch.Tensor,
    corrections: int = 1,
    callback: Callable[[int, torch.Tensor, torch.Tensor, int], None] | None = None,
) -> tuple[torch.Tensor, InvertedNoise, Trajectory]:
    """Find the noise of a picture by the model's conditional prediction alone (cfg 1), in the host's own sampling.

    Args:
        model: a MODEL; one with Tiled Sampling is asked in tiles.
        positive: CONDITIONING.
        samples: of a LATENT, [B, C, ..., h, w]; not changed.
        sigmas: noise levels as a sampler has them, falling.
        corrections: fixed-point corrections of every step, 0 to MOST_CORRECTIONS.
        callback: as a sampler's: (step, prediction, state, steps).

    Returns:
        The inverted latent (of a flow model that begins at level 1 the state itself), the noise, and the recorded predictions.

    Raises:
        ValueError: in words for the user.
    """
    from comfy.samplers import CFGGuider

    if not 0 <= corrections <= MOST_CORRECTIONS:
        raise ValueError(f"correction {corrections} is not how many corrections to make: use 1, or 0 to {MOST_CORRECTIONS}")
    if not climbing(sigmas.tolist()):
        levels = ", ".join(f"{sigma:g}" for sigma in sigmas.tolist())
        raise ValueError(
            f"the schedule has no noise level over 0 (its levels are {levels}): use more steps, or another scheduler; some, as "
            "kl_optimal, need 2 steps at least"
        )
    if not bool(samples.any()):
        raise ValueError("latent is an empty one: connect a picture's, from a VAE Encode or a sampler")
    _check_unguided(model)
    sampling = model.get_model_object("model_sampling")
    gain, share = _scales(sampling, sigmas)
    trajectory = Trajectory(MOST_BYTES, inverted=True)
    sampler, guider = InversionSampler(corrections, trajectory), CFGGuider(model)
    guider.inner_set_conds({"positive": positive})
    held = guider.sample(torch.zeros_like(samples), samples, sampler, sigmas, callback=callback, disable_pbar=True, seed=0)
    into_model = model.get_model_object("latent_format").process_in
    return held.to("cpu"), InvertedNoise(sampler.state, gain, share, into_model), trajectory


def _scales(sampling: Any, sigmas: torch.Tensor) -> tuple[float, float]:
    """What the host multiplies noise and clean latent by where a sampler begins.

    Raises:
        ValueError: in words, for a model that begins with no noise.
    """
    first, one, nothing = sigmas[0].to("cpu", torch.float32), torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    most = float(sampling.sigma_max)
    full = math.isclose(most, float(first), rel_tol=1e-5) or float(first) > most
    gain, share = (float(sampling.noise_scaling(first, noise.clone(), clean, full)) for noise, clean in ((one, nothing), (nothing, one)))
    if gain == 0:
        raise ValueError("this model does not begin with noise, so a picture has none to find: use a diffusion or a flow model")
    return gain, share


def _check_unguided(model: Any) -> None:
    from .band_guidance import GUIDANCE
    from .canvas_guide import GUIDES
    from .hold_bands import HELD
    from .patch_order import EDIT, has

    options = model.model_options
    found = {"Keep Composition": options.get(GUIDES), "Hold Bands to Reference": options.get(HELD), "Wavelet Edit": has(model, EDIT)}
    name = next((name for name, what in found.items() if what), None)
    if name is not None:
        raise ValueError(
            f"the model keeps to another picture ({name}), so its noise would not be this picture's: connect the model from before "
            f"{name} here, and the one after it to the sampler alone"
        )
    if options.get(GUIDANCE):
        raise ValueError(
            "the model is guided by bands (Guidance by Bands), and a picture is inverted without guidance: connect the model from before "
            "Guidance by Bands here, and the one after it to the sampler alone"
        )
