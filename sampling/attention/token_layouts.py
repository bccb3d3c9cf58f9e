"""Which of a network's attention calls are self-attention over the picture, and where among their tokens the picture is.

The host tells an attention function neither. For U-Nets it notes the sizes of the level; of transformers the order of text
and picture is known here by their class, and the number of tokens tells the rest. What does not add up is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ...blending.attention.token_grid import TokenGrid
from ...host.latents import cells_per_patch

# The host's networks, by module and class: text in front of the picture, references or padding behind it ...
TEXT_FIRST = frozenset(
    f"comfy.ldm.{name}"
    for name in (
        "flux.model.Flux", "chroma.model.Chroma", "qwen_image.model.QwenImageTransformer2DModel", "lumina.model.NextDiT",
        "modules.diffusionmodules.mmdit.MMDiT", "aura.mmdit.MMDiT", "krea2.model.SingleStreamDiT",
        "mage_flow.model.MageFlowTransformer2DModel", "hunyuan_video.model.HunyuanVideo", "pixeldit.model.PixDiT_T2I",
        "wan.model.WanModel",
    )
)  # fmt: skip
# ... the picture last of all, behind text and references ...
PICTURE_LAST = frozenset(
    f"comfy.ldm.{name}" for name in ("omnigen.omnigen2.OmniGen2Transformer2DModel", "boogu.model.BooguTransformer2DModel")
)
# ... or the picture first.
PICTURE_FIRST = frozenset(
    f"comfy.ldm.{name}"
    for name in (
        "lens.model.LensTransformer2DModel", "joyimage.model.JoyImageTransformer3DModel",
        "hidream.model.HiDreamImageTransformer2DModel", "cosmos.predict2.MiniTrainDIT", "kandinsky5.model.Kandinsky5",
    )
)  # fmt: skip
UNET = "comfy.ldm.modules.diffusionmodules.openaimodel.UNetModel"


class PictureCall(NamedTuple):
    """Self-attention over a picture.

    Attributes:
        grid: where the picture is among the tokens.
        window: (rows, columns) of tokens of a picture of the native size.
    """

    grid: TokenGrid
    window: tuple[int, int]


class TokenLayout:
    """Of one call of a network.

    Args:
        model: the BaseModel.
        shape: of the latent [B, C, (1,) h, w].
        text: how many tokens of text the network was given, 0 where that is not known.
        native: (height, width) of the native size, in cells.

    Attributes:
        unknown: why attention is left as it is, in words; None where it can be cut.
    """

    def __init__(self, model: Any, shape: Sequence[int], text: int, native: tuple[int, int]) -> None:
        self._network, self._cells, self._text, self._native = model.diffusion_model, tuple(shape[-2:]), text, native
        self._patch = cells_per_patch(model)
        kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(self._network).__mro__}
        self._unet = UNET in kinds
        self._order = next((order for order in (TEXT_FIRST, PICTURE_LAST, PICTURE_FIRST) if kinds & order), None)
        self.unknown: str | None = None
        if len(shape) == 5 and shape[2] > 1:
            self.unknown = "a video has frames, and only still pictures are cut into windows"
        elif len(shape) not in (4, 5):
            self.unknown = f"a latent of {len(shape)} dimensions is no still picture"
        elif not self._unet and self._order is None:
            self.unknown = f"where {type(self._network).__name__} keeps the picture among its tokens is not known here"

    def of_call(self, queries: int, keys: int, options: Mapping[str, Any]) -> PictureCall | None:
        """Of an attention call, or None where that is not self-attention over the picture.

        Args:
            queries, keys: how many tokens.
            options: the transformer options it came with.
        """
        if self.unknown is not None or queries != keys:
            return None
        return self._of_unet(queries, options) if self._unet else self._of_transformer(queries, options)

    def _of_unet(self, tokens: int, options: Mapping[str, Any]) -> PictureCall | None:
        level = options.get("activations_shape")
        if level is None or len(level) != 4 or level[-2] * level[-1] != tokens:
            return None
        if tokens == self._text:
            return None  # it may be the text that is attended to
        # A level halves the sides and rounds up, so many times as its sides tell.
        window = []
        for cells, there, native in zip(self._cells, level[-2:], self._native, strict=True):
            halved = next((times for times in range(16) if -(-cells // 2**times) <= there), 0)
            window.append(max(-(-native // 2**halved), 1))
        return PictureCall(TokenGrid(0, *level[-2:]), tuple(window))

    def _of_transformer(self, tokens: int, options: Mapping[str, Any]) -> PictureCall | None:
        rows, columns = (-(-cells // self._patch) for cells in self._cells)
        picture = rows * columns
        others = tokens - picture
        if self._order is TEXT_FIRST:
            multiple = getattr(self._network, "pad_tokens_multiple", None) or 1
            others -= -picture % multiple + sum(options.get("reference_image_num_tokens") or ())
        # No text at all, or about as much as was given: a refiner of text alone may have more tokens than the picture.
        if others < 0 or (others and 2 * others < self._text):
            return None
        first = 0 if self._order is PICTURE_FIRST else others
        return PictureCall(TokenGrid(first, rows, columns), tuple(max(cells // self._patch, 1) for cells in self._native))
