"""Which models are told where a tile lies."""

from types import SimpleNamespace

import pytest

from ..host.recording import positions


def model_of(kind, network):
    """A BaseModel of that name whose network was written in that module of the host."""
    written = type("Network", (), {"__module__": f"comfy.ldm.{network}"})
    return type(kind, (), {})(), written


@pytest.mark.parametrize(
    ("kind", "network", "heeds"),
    [("WAN21", "wan.model", True), ("Flux", "flux.model", True), ("QwenImage", "qwen_image.model", False), ("LongCatImage", "flux.model", False),
     ("WAN_Animate2", "wan.model_animate2", False)],
)  # fmt: skip
def test_models_that_heed_positions(kind, network, heeds):
    """Wan Animate 2 reads the shift for its picture and not for the poses beside it: moved, a tile would lie on its own poses."""
    model, written = model_of(kind, network)
    model.diffusion_model = written()
    assert positions.heeds_positions(model) == heeds
    assert not heeds or f"comfy.ldm.{network}" in positions.HEEDED_BY
    assert "comfy.ldm.wan.model_animate2" in positions.HEEDED_BY


def test_a_shift_is_in_tokens_and_on_top_of_what_was_there():
    given = {"transformer_options": {"rope_options": {"scale_x": 2.0, "shift_x": 1.0}}}
    moved = positions.at_place(given, SimpleNamespace(y=6, x=10), 2)
    assert moved["transformer_options"]["rope_options"] == {"scale_x": 2.0, "shift_x": 11.0, "shift_y": 3.0}
    assert given["transformer_options"]["rope_options"] == {"scale_x": 2.0, "shift_x": 1.0}
