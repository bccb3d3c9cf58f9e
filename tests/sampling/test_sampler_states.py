"""Skip residual with every sampler of the host: what it holds is drawn to the reference, once in a step, or it is refused by name."""

import pytest
import torch

from ..host.recording import canvas_guide, comfy, make_model, noise, prompt, relative, sampler_states
from .test_canvas_guide import EVER, NATIVE, SKIP_RESIDUAL, Guide, SamplingRange, flow_model, guided, patcher_of, words

SAMPLERS = comfy.samplers.KSampler.SAMPLERS


@pytest.mark.parametrize("kind", ["noise", "flow"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_skip_residual_changes_what_every_sampler_holds(name, kind, monkeypatch, request):
    """Drawn to the reference at one step alone, the run is the one that began nearer to it; and no step is drawn twice."""
    if SAMPLERS.index(name) % 2 != (kind == "flow") and not request.config.getoption("--release"):
        pytest.skip("with --release every sampler runs with both kinds of model")
    make = flow_model if kind == "flow" else make_model
    base = make()
    model, shape = patcher_of(base), (1, 4, 6, 8)
    ms = base.model_sampling
    sampler = comfy.samplers.sampler_object(name)
    levels = [ms.percent_to_sigma(share) for share in (0.2, 0.35, 0.5, 0.65, 0.8)]
    sigmas = torch.tensor([*levels, 0.0])
    source, reference, drawn_noise = noise(*shape, seed=1), noise(*shape, seed=2), noise(*shape, seed=3)

    def made(patched, latent):
        steps = []
        with torch.inference_mode():
            x = comfy.sample.sample_custom(
                patched, drawn_noise, 2.0, sampler, sigmas, prompt(1), prompt(2), base.process_latent_out(latent), disable_pbar=True, seed=5,
                callback=lambda step, x0, x, total: steps.append(x.clone()),
            )  # fmt: skip
        return x, steps

    def with_skip(where):
        return guided(model, Guide(SKIP_RESIDUAL, base.process_latent_out(reference), NATIVE, where=where))

    if sampler.sampler_function.__name__ in sampler_states.HIDDEN:
        assert f"sampler {name} " in words(lambda: made(with_skip(EVER), source))
        return
    plain, before = made(model, source)
    drawn = []
    monkeypatch.setattr(canvas_guide, "draw_to", lambda held, noised, weight: (drawn.append(weight), held.lerp_(noised, weight)))
    first = SamplingRange(0.0, 0.25)
    pulled, _ = made(with_skip(first), source)
    assert len(drawn) == 1 or name == "dpm_adaptive", drawn
    if name != "dpm_adaptive":  # it may make several steps inside of the range
        nearer, _ = made(model, torch.lerp(source, reference, drawn[0]))
        assert relative(pulled, nearer) < 1e-4 and relative(pulled, plain) > 1e-3
    # In the middle of a run: the state before, mixed with the reference noised to its level.
    if name not in ("dpm_adaptive", "dpm_fast", "ipndm", "ipndm_v", "deis"):  # other levels; told of another tensor
        drawn.clear()
        _, after = made(with_skip(SamplingRange(0.45, 0.55)), source)
        noised = ms.noise_scaling(sigmas[2:3], drawn_noise, reference)
        assert len(drawn) == 1 and torch.equal(after[1], before[1])
        assert name == "sa_solver_pece" or relative(after[2], torch.lerp(before[2], noised, drawn[0])) < 1e-4
        assert relative(after[3], before[3]) > 1e-3
    drawn.clear()
    made(with_skip(EVER), source)
    if name not in ("dpm_adaptive", "dpm_fast"):
        assert len(drawn) == len(levels) and drawn == sorted(drawn, reverse=True)
    if name == "dpm_fast":
        assert len(drawn) == len(sampler_states._orders_of_fast(5))
