"""The coherence test bed as nodes: its models, its prompts and its drawn scenes."""

from __future__ import annotations

from comfy_api.latest import io

from .coherence import scenes
from .coherence.models import KINDS, scene_model, scene_prompt
from .words import WordClip


class SceneModel(io.ComfyNode):
    """A small diffusion model that was trained on drawn scenes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema("TileworkTestSceneModel", inputs=[io.Combo.Input("kind", options=list(KINDS))], outputs=[io.Model.Output()])

    @classmethod
    def execute(cls, kind) -> io.NodeOutput:
        """Load it."""
        return io.NodeOutput(scene_model(kind))


class ScenePrompt(io.ComfyNode):
    """What the models are told."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        kinds, scopes = ["nothing", *scenes.KINDS], list(scenes.SCOPES)
        inputs = [io.Combo.Input("kind", options=kinds), io.Combo.Input("scope", options=scopes)]
        return io.Schema("TileworkTestScenePrompt", inputs=inputs, outputs=[io.Conditioning.Output()])

    @classmethod
    def execute(cls, kind, scope) -> io.NodeOutput:
        """The prompt."""
        return io.NodeOutput(scene_prompt() if kind == "nothing" else scene_prompt(kind, scope))


class SceneLatent(io.ComfyNode):
    """Drawn scenes as a LATENT of native size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        inputs = [
            io.Int.Input("count", default=1, min=1),
            io.Int.Input("seed", default=90),
            io.Combo.Input("kind", options=list(scenes.KINDS)),
        ]
        return io.Schema("TileworkTestSceneLatent", inputs=inputs, outputs=[io.Latent.Output()])

    @classmethod
    def execute(cls, count, seed, kind) -> io.NodeOutput:
        """Draw them."""
        return io.NodeOutput({"samples": scenes.drawn(count, seed, kind=kind)})


class TestClip(io.ComfyNode):
    """A text encoder of whole words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema("TileworkTestClip", inputs=[], outputs=[io.Clip.Output()])

    @classmethod
    def execute(cls) -> io.NodeOutput:
        """Make it."""
        return io.NodeOutput(WordClip())
