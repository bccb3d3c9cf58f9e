"""Nodes for tests of tiled VAEs: VAEs of every family, and latents that have gone bad."""

from __future__ import annotations

from comfy_api.latest import io

from .sources import CATEGORY
from .vaes import KINDS, SELF_TILING, tiny


class TestVAE(io.ComfyNode):
    """Choice -> VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestVAE",
            display_name="Test VAE",
            category=CATEGORY,
            description="A tiny untrained VAE.",
            inputs=[io.Combo.Input("kind", options=[*KINDS, *SELF_TILING], tooltip="Of which family.")],
            outputs=[io.Vae.Output("vae", display_name="vae")],
        )

    @classmethod
    def execute(cls, kind) -> io.NodeOutput:
        """Build the VAE."""
        return io.NodeOutput(tiny(kind))


class PoisonLatent(io.ComfyNode):
    """LATENT -> the same with one value that is not a number."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTestPoisonLatent",
            display_name="Test Poison Latent",
            category=CATEGORY,
            description="The latent with NaN in its last cell.",
            inputs=[io.Latent.Input("samples", tooltip="The latent.")],
            outputs=[io.Latent.Output("result", display_name="samples")],
        )

    @classmethod
    def execute(cls, samples) -> io.NodeOutput:
        """Poison a copy."""
        poisoned = samples["samples"].clone()
        poisoned[-1, ..., -1, -1] = float("nan")
        return io.NodeOutput({**samples, "samples": poisoned})
