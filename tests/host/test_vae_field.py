"""Measuring a VAE where memory runs out: the host would tile by itself, and its seams would be measured."""

import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
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
