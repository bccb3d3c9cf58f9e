"""Hold Bands to Reference, Guidance by Bands and Wavelet Edit beside a ControlNet, and cancelled in the middle of a step.

What a ControlNet, masks, areas and prompts are to a tile under the first two is in test_patches_together; LoRAs are in test_lora.
"""

import pytest
import torch
from tilework.tests.pack import models

from ..host.recording import comfy, relative
from .test_crop_controls import UNIT, Network, controlnet, ramp
from .test_crop_runs import sample
from .test_patches_together import BandGuidance, FrequencyGuidance, TileLayout, TileSettings, WaveletEdit, node, noise, tiled

LAYOUT = TileLayout.grid(32 * UNIT, 56 * UNIT, 32 * UNIT, 32 * UNIT, 8 * UNIT, UNIT)
WIDTH = 64  # of both networks where the control is added
KINDS = {"unet": (models.tiny_unet, 4), "flux": (models.tiny_dit, 16)}


class Inside(Network):
    """A control network that answers where the model wants it: in the middle of a UNet, or before Flux's first block."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x, hint=None, **more):
        self.hints.append(hint)
        unet = self.kind == "unet"
        cells = torch.nn.functional.avg_pool2d(hint, UNIT * (4 if unet else 2)).mean(1, keepdim=True)
        # Not alike in all channels: a norm would take that out again.
        cells = cells * torch.linspace(-1, 1, WIDTH).view(1, -1, 1, 1)
        answer = [cells if unet else cells.flatten(2).movedim(1, -1)]
        return {"input": [] if unet else answer, "middle": answer if unet else [], "output": []}


def patches(channels):
    small, source = noise(1, channels, 16, 28, seed=8), noise(1, channels, 32, 56, seed=8)
    return {
        "held bands": node(FrequencyGuidance, reference={"samples": small}, operator="averaged"),
        "guidance by bands": node(BandGuidance),
        "wavelet edit": node(WaveletEdit, source={"samples": source}, energy=0.8, blocks="all"),
    }


def tiles(model):
    return tiled(model, TileSettings(layout=LAYOUT, tile_batch=1))


def run(model, channels, control=None, steps=2):
    more = {} if control is None else {"control": control}
    positive, negative = ([[context, {**said, **more}]] for context, said in models.conditioning(1) + models.conditioning(5))
    return sample(model, noise(1, channels, 32, 56, seed=4), positive, negative, steps=steps)


@pytest.mark.parametrize("kind", KINDS)
def test_under_wavelet_edit_a_tile_has_its_part_of_the_control_and_it_counts(kind):
    """The model is asked about the source as well; there, too, the control is the tile's own."""
    (make, channels), network = KINDS[kind], Inside(kind)
    edit = patches(channels)["wavelet edit"]

    def made(patch, strength):
        network.hints.clear()
        picture = run(tiles(patch(make())), channels, controlnet(ramp(32 * UNIT, 56 * UNIT), strength, network=network))
        return picture, list(network.hints)

    (plain, wanted), (edited, seen) = made(lambda model: model, 0.8), made(edit, 0.8)
    assert len(wanted) > len(LAYOUT) and len(seen) == 2 * len(wanted)
    assert all(torch.equal(hint, wanted[index // 2]) for index, hint in enumerate(seen))
    assert relative(edited, plain) > 1e-4 < relative(edited, made(edit, 0.0)[0]), "both of them count"


@pytest.mark.parametrize("name", patches(4))
@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_within_a_tile_stops_there_and_leaves_nothing_behind(kind, name):
    make, channels = KINDS[kind]
    model, calls = make(), []
    patched = patches(channels)[name](tiles(model))
    wanted = run(patched, channels)

    def look(executor, *args):
        calls.append(1)
        if len(calls) == 3:
            comfy.model_management.interrupt_current_processing()
        return executor(*args)

    watched = patched.clone()
    watched.add_wrapper_with_key("calc_cond_batch", "look", look)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(watched, channels)
    assert len(calls) == 3, "nothing is asked after it, of the second tile or of the second step"
    assert torch.equal(run(patched, channels), wanted)
