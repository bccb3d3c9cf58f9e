"""Measuring a VAE where memory runs out: the host would tile by itself, and its seams would be measured."""

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from tilework.blending.receptive_field.report import PASS
from tilework.models import receptive_fields
from tilework.models.receptive_fields import vae_field
from tilework.tests.pack.vaes import tiny

HALF = 0.5 / 255


def tight(vae, what, cells):
    """The same VAE, out of memory for inputs wider than `cells`, decoding or encoding; how often it was."""
    run, times = getattr(vae.first_stage_model, what), []

    def limited(given, *args, **more):
        if given.shape[-1] > cells:
            times.append(given.shape)
            raise torch.OutOfMemoryError("out of memory")
        return run(given, *args, **more)

    setattr(vae.first_stage_model, what, limited)
    return times


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize(("what", "cells"), [("decode", 24), ("encode", 192)])
def test_the_hosts_own_tiles_are_not_measured(what, cells):
    vae = tiny("kl")
    times = tight(vae, what, cells)
    with pytest.raises(ValueError, match="no memory for a probe in one piece"):
        vae_field(vae, HALF)
    assert len(times) == 1
    # The VAE itself keeps its way out.
    assert not [name for name in vars(vae) if "code_tiled" in name]


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError, TypeError, RuntimeError])
def test_a_vae_that_only_decodes_is_measured_and_the_report_says_so(error, monkeypatch):
    monkeypatch.setattr(receptive_fields, "VAE_BUDGET_ON_CPU", 6 * PASS)
    vae = tiny("kl")

    def encode(*args, **more):
        raise error("there is no encoder")

    vae.first_stage_model.encode = encode
    found = vae_field(vae, HALF)
    assert "The VAE's decoder" in found.report and "encoder could not be measured: there is no encoder" in found.report
    assert found.field.radius > 0


def test_main_memory_that_ran_out_is_no_missing_encoder():
    vae = tiny("kl")

    def encode(*args, **more):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    vae.first_stage_model.encode = encode
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        vae_field(vae, HALF)
