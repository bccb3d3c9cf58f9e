"""Which of a sampler's calls are given what it holds, and a model for samplers that may change that before it is called.

A function after guidance changes what the model said; what the sampler itself holds, x, is out of its reach. A sampler hands x
to the model as it is, and computes the next one from the same tensor: what is changed in it, in place, before the model is
called, is changed for the sampler. Samplers that call the model several times in a step do so with other tensors in between,
which are tries and not what they hold: they are counted, and left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

# Calls of ComfyUI's samplers in one step, by the names of their functions.
ONE_CALL = frozenset(
    f"sample_{name}"
    for name in (
        "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "lms", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde",
        "dpmpp_2m_sde_gpu", "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
        "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral", "res_multistep_ancestral_cfg_pp",
        "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde",
    )
)  # fmt: skip
# The second and third of a step are tries. sa_solver_pece predicts, and is then asked about what it holds.
MORE_CALLS = {
    "sample_heun": 2, "sample_dpm_2": 2, "sample_dpm_2_ancestral": 2, "sample_dpmpp_2s_ancestral": 2,
    "sample_dpmpp_2s_ancestral_cfg_pp": 2, "sample_dpmpp_sde": 2, "sample_dpmpp_sde_gpu": 2, "sample_exp_heun_2_x0": 2,
    "sample_exp_heun_2_x0_sde": 2, "sample_seeds_2": 2, "sample_sa_solver_pece": 2, "sample_heunpp2": 3, "sample_seeds_3": 3,
}  # fmt: skip
ANCESTRAL = frozenset({"sample_dpm_2_ancestral", "sample_dpmpp_2s_ancestral", "sample_dpmpp_2s_ancestral_cfg_pp"})
FAST, ADAPTIVE = "dpm_fast_function", "dpm_adaptive_function"
# They correct what they hold behind the model's back, and show it only a prediction of it, or a scaled copy.
HIDDEN = {"sample_unipc": "uni_pc", "sample_unipc_bh2": "uni_pc_bh2", "sample_sa_solver": "sa_solver"}

# (what the sampler holds, its noise level); the first is changed in place.
Change = Callable[[torch.Tensor, torch.Tensor], None]


def calls_once(sampler: Any) -> bool:
    """Whether a SAMPLER is known to call the model once in a step."""
    return _name_of(sampler) in ONE_CALL


def check_sampler(sampler: Any) -> None:
    """Refuse a SAMPLER whose state cannot be reached.

    Raises:
        ValueError: with its name, and what to take instead.
    """
    name = _name_of(sampler)
    if name in HIDDEN:
        raise ValueError(
            f"sampler {HIDDEN[name]} never shows the model what it holds, only a prediction of it, so skip residual cannot change it: "
            "use dpmpp_2m, euler or another sampler, or method structure"
        )
    if name not in ONE_CALL and name not in MORE_CALLS and name not in (FAST, ADAPTIVE):
        raise ValueError(
            f"sampler {name.removeprefix('sample_')} is not known here, and skip residual has to know which of a sampler's calls are given "
            "what it holds: use one of ComfyUI's own samplers, dpmpp_2m for instance, or method structure"
        )


def with_changed_state(sampler: Any, change: Change, is_flow: bool) -> Any:
    """A copy of a SAMPLER of the host that does `change` to what it holds, once at the beginning of every step.

    Args:
        sampler: a KSAMPLER that `check_sampler` lets pass.
        change: see Change.
        is_flow: whether the model is one, see `sampling_range.is_flow`.
    """
    inner, name = sampler.sampler_function, _name_of(sampler)

    def sample(model, x, sigmas, *args, **more):
        calls = _Calls(name, sigmas, more, is_flow)

        def before(held: torch.Tensor, sigma: torch.Tensor, _: dict[str, Any]) -> None:
            if calls.holds(held):
                change(held, sigma)

        # A copy, because some models hand the sampler the very latent they were given.
        return inner(AskedModel(model, before), x.clone(), sigmas, *args, **more)

    changed = copy.copy(sampler)
    changed.sampler_function = sample
    return changed


class ChangedSample:
    """A sampler's `sample`, on a copy of the sampler that is made when it is called.

    Wrappers further in may change the copy as well (`then`): what was changed first is asked first, and theirs find the sampler
    already changed, so that neither is lost.

    Args:
        prepare: (guider, extra_args, noise) -> the changed SAMPLER.
        wraps: what else is done to it, in order.
    """

    def __init__(self, prepare: Callable[..., Any], wraps: Sequence[Callable[[Any], Any]] = ()) -> None:
        self._prepare, self._wraps = prepare, tuple(wraps)

    def then(self, wrap: Callable[[Any], Any]) -> ChangedSample:
        """The same, with one change more."""
        return ChangedSample(self._prepare, (*self._wraps, wrap))

    def __call__(self, guider, sigmas, extra_args, callback, noise, latent_image=None, denoise_mask=None, disable_pbar=False):
        """As the host calls a sampler."""
        sampler = self._prepare(guider, extra_args, noise)
        for wrap in self._wraps:
            sampler = wrap(sampler)
        return sampler.sample(guider, sigmas, extra_args, callback, noise, latent_image, denoise_mask, disable_pbar)


def sample_with(executor: Any, wrap: Callable[[Any], Any]) -> Callable[..., torch.Tensor]:
    """What a SAMPLER_SAMPLE executor samples with, its sampler changed by `wrap`; an outer change of ours is kept."""
    original = executor.original
    return original.then(wrap) if isinstance(original, ChangedSample) else wrap(executor.class_obj).sample


class AskedModel:
    """The model as a sampler sees it, with something that is done before every call; in all else it is the host's own.

    Args:
        model: what the sampler would call.
        before: (x, sigma, the call's other arguments by name); it may change x in place.
    """

    def __init__(self, model: Any, before: Callable[[torch.Tensor, torch.Tensor, dict[str, Any]], None]) -> None:
        self._model, self._before = model, before

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        self._before(x, sigma, more)
        return self._model(x, sigma, *args, **more)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)


class _Calls:
    """Counts a run's calls."""

    def __init__(self, name: str, sigmas: torch.Tensor, options: dict[str, Any], is_flow: bool) -> None:
        self._name, self._options, self._is_flow = name, options, is_flow
        self._sigmas = [float(sigma) for sigma in sigmas]
        self._step, self._tries = 0, 0
        self._before: torch.Tensor | None = None

    def holds(self, x: torch.Tensor) -> bool:
        """Whether this call, the next one of the run, is given what the sampler holds, and for the first time."""
        if self._tries:
            self._tries -= 1
            return False
        self._tries = self._tries_of(self._step)
        self._step += 1
        # dpm_adaptive comes again with the same tensor where a step was too large.
        again, self._before = x is self._before, x
        return not again

    def _tries_of(self, step: int) -> int:
        last = len(self._sigmas) - 2
        if self._name == FAST:
            orders = _orders_of_fast(last + 1)
            return orders[step] - 1 if step < len(orders) else 0
        if self._name == ADAPTIVE:
            return int(self._options.get("order", 3)) - 1
        tries = MORE_CALLS.get(self._name, 1) - 1
        if self._name == "sample_heunpp2":
            return min(tries, last - step)
        if self._name in ANCESTRAL and not self._is_flow and step <= last and self._goes_down_to_nothing(step):
            return 0
        return tries

    def _goes_down_to_nothing(self, step: int) -> bool:
        """With an eta over 1 all that is left is new noise, and there is no try."""
        from comfy.k_diffusion.sampling import get_ancestral_step

        levels = (torch.tensor(sigma) for sigma in self._sigmas[step : step + 2])
        return float(get_ancestral_step(*levels, eta=self._options.get("eta", 1.0))[0]) == 0


def _orders_of_fast(calls: int) -> Sequence[int]:
    """How many calls each step of dpm_fast makes, for so many in all (DPM-Solver, arXiv 2206.00927, appendix)."""
    threes, left = divmod(calls, 3)
    return [3] * (threes - 1) + [2, 1] if left == 0 else [3] * threes + [left]


def _name_of(sampler: Any) -> str:
    function = getattr(sampler, "sampler_function", None)
    return type(sampler).__name__ if function is None else getattr(function, "__name__", type(function).__name__)
