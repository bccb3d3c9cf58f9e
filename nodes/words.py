"""Auto Prompts per Tile: those words of one prompt that belong to each tile."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..blending.pixels.picture import check_finite
from .menu import COHERENCE
from .types import Layout, Least, check_grid, latent_samples


class TileWords(io.ComfyNode):
    """MODEL, CLIP, one text, the picture made small, layout -> a CONDITIONING per tile."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkTileWords",
            display_name="Auto Prompts per Tile",
            category=COHERENCE,
            description=(
                "Gives every tile those words of your prompt that belong to it: the model looks at the small picture once, and a word is "
                "kept where the model looks for it. A tile of sky is then not asked for a castle. No captioner is needed."
            ),
            search_aliases=[
                "words per tile",
                "accdiffusion",
                "patch content aware prompt",
                "prompt per tile",
                "repeated objects",
                "cross attention map",
                "daam",
                "regional prompt",
                "caption per tile",
            ],
            is_input_list=True,
            inputs=[
                io.Model.Input("model", tooltip="The model that will sample. It is asked once, as it is without tiles."),
                io.Clip.Input("clip", tooltip="The text encoder of that model; it also encodes each tile's words."),
                io.String.Input(
                    "text",
                    multiline=True,
                    default="",
                    tooltip="The prompt of the whole picture. A tile that no word belongs to gets all of it. A list with one text per tile (captions) is only encoded, as it is.",
                ),
                io.Latent.Input(
                    "latent",
                    tooltip="The whole picture at the size the model was made for (512 for SD 1.5, 1024 for SDXL and Flux), out of VAE Encode or the small run's sampler; the layout's picture has the same proportions. Of a batch, what the pictures have in common counts.",
                ),
                Layout.Input("layout", tooltip="The tiles of the large picture: the layout that goes to Tile Prompts and to the sampler."),
                io.Float.Input(
                    "threshold",
                    default=0.3,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="How much of a tile a word must cover to be kept there. 0.3 is AccDiffusion's; higher drops more words, 0 keeps all.",
                ),
                io.Float.Input(
                    "sigma",
                    default=0.4,
                    min=Least(0.01),
                    max=1.0,
                    step=0.01,
                    advanced=True,
                    tooltip="How much noise the small picture is given before the model looks at it, as a share of the sampling range: 0.2 sees small things, 0.8 only the composition.",
                ),
                io.Combo.Input(
                    "method",
                    options=["auto", "attention", "left out"],
                    default="auto",
                    advanced=True,
                    tooltip="How it is found out where a word is. attention: where the model looks for it, in one call; for SD 1.5, SDXL, SD3, Flux.1 and Chroma. left out: where the model sees something else when the word is left out, one call per word; for every model and text encoder. auto: attention where it can be read, else left out.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    "conditioning",
                    display_name="conditioning",
                    is_output_list=True,
                    tooltip="One prompt per tile, for tile_conditioning of Tile Prompts.",
                ),
                io.String.Output(
                    "words", display_name="words", is_output_list=True, tooltip="The words of each tile, to look at or to edit."
                ),
            ],
        )

    @classmethod
    def execute(cls, model, clip, text, latent, layout, threshold, sigma, method) -> io.NodeOutput:
        """Look, choose, encode."""
        from ..sampling.tile_words import captioned, tile_words  # here, because it is most of what this file would load

        plan = check_grid(_only_one(layout, "layout"), "Auto Prompts per Tile", wraps=True).in_pixels()
        asked, encoder = _only_one(model, "model"), _only_one(clip, "clip")
        samples = latent_samples(_only_one(latent, "latent"), "latent")
        check_finite(samples, "latent", mend="encode the picture again")
        if encoder is None:
            raise ValueError("clip is empty: the checkpoint holds no text encoder; load the one that belongs to the model")
        if len(text) > 1:
            made = captioned(encoder, text, plan)
        else:
            chosen = (_only_one(values, name) for values, name in ((threshold, "threshold"), (sigma, "sigma"), (method, "method")))
            made = tile_words(asked, encoder, text[0], samples, plan, *chosen)
        return io.NodeOutput(made.conditioning, made.texts)


def _only_one(values: list[Any], name: str) -> Any:
    if len(values) != 1:
        raise ValueError(f"{len(values)} came for {name}, which takes one; only text may be a list, with one text per tile")
    return values[0]
