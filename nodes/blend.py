"""Seam Blend and its latent twin: processed tiles and their layout in, one picture out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io

from ..blending.composition.methods import AUTO, CONFIDENCE, GRADIENT, METHODS, TABLE, method_named
from ..blending.layout.captions import describe_batch, describe_blend, describe_here
from ..blending.layout.tile_layout import TileLayout
from ..blending.layout.windows import WINDOWS
from ..host.progress import WatchedTiles, watched
from ..sampling.settings import check_trim_cells
from .cures import blend_cure
from .menu import CUT
from .types import Layout, Least, check_grid, check_image, check_layout, latent_mask, latent_samples, one_for_each
from .ui import join_ui, show

if TYPE_CHECKING:
    from ..blending.composition.blend import Blended
    from ..blending.composition.survey import OverlapFinding
    from ..blending.layout.mosaic import Mosaic
    from ..blending.layout.regroup import PictureSpan

ALIASES = [
    "untile",
    "stitch",
    "merge tiles",
    "seam",
    "feather",
    "blend tiles",
    "assemble",
    "join tiles",
    "combine tiles",
    "seamless",
    "unsplit",
    "fix seams",
    "tiles to image",
]
WINDOWS_TIP = (
    "linear: a straight ramp; gaussian: a bell-shaped ramp, faster in the middle; average: all tiles alike (leaves steps); none: a "
    "hard cut in the middle of the overlap, to see what the seams are."
)
METHOD_TIP = f"How neighbours mix where they overlap. hann: smooth at both ends, the right choice nearly always; {WINDOWS_TIP}"
IMAGE_METHOD_TIP = (
    "How neighbours mix where they overlap. auto: looks at every overlap; hann where the tiles agree, a cut where the content differs, "
    f"a correction where only the tone does, and says what it found; hann: smooth at both ends, for tiles that agree; {WINDOWS_TIP}"
    " optimal seam: cuts where neighbours differ least, for tiles with different detail (texture, hair, chains); multiband: fine detail "
    "changes over sharply and tone softly, also for different detail; gradient: takes tone steps out of the whole picture at once (studio "
    "grey, sky, metal, skin): connect reference, or the tiles keep their tint. "
    "confidence: a tile that went wrong is outvoted where three or more show the same place, and counts less elsewhere by what was seen "
    "there; for tiles of which one or two failed, best at overlaps of half a tile."
)
TRIM_TIP = (
    "Image pixels to throw away along every side that faces another tile, because the model could not see past it there. "
    "0 is right for most; set it to the model's receptive radius for a result that equals the untiled one. "
    "The overlap must be at least twice this plus one."
)


def _method_inputs(methods: tuple[str, ...], tip: str, default: str) -> list[io.Input]:
    return [
        io.Combo.Input("method", options=list(methods), default=default, tooltip=tip),
        io.Int.Input("trim", default=0, min=0, max=4096, advanced=True, tooltip=TRIM_TIP),
    ]


class SeamBlend(io.ComfyNode):
    """List of tiles, layouts -> one IMAGE and one seams MASK per layout."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkSeamBlend",
            display_name="Seam Blend",
            category=CUT,
            description=(
                "Puts processed tiles together into one picture without visible seams, at whatever scale they came back. "
                "Takes them as a list or in batches, and refuses in words what does not fit. The picture is float32."
            ),
            search_aliases=ALIASES,
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.Image.Input(
                    "tiles",
                    lazy=True,
                    tooltip="The processed tiles, in the order Tile Split gave them. Any one size: an upscaler may stand in between.",
                ),
                Layout.Input("layout", tooltip="The layout output of the Tile Split that cut the tiles."),
                *_method_inputs(METHODS, IMAGE_METHOD_TIP, "auto"),
                io.Float.Input(
                    "scale",
                    default=0.0,
                    min=Least(0.0),
                    max=64.0,
                    step=0.01,
                    round=False,
                    advanced=True,
                    tooltip="How much larger the tiles came back. 0 finds it from their size (and shows it in the node); type it only for an odd factor such as 1.37 where rounding left a doubt.",
                ),
                # Added later, and optional so that prompts saved before still run.
                io.Float.Input(
                    "cut_feather",
                    default=0.0,
                    min=Least(0.0),
                    max=1024.0,
                    step=1.0,
                    round=False,
                    optional=True,
                    advanced=True,
                    tooltip="For optimal seam and auto: source pixels that fine detail takes to change over at a cut. 0 takes an eighth of the overlap, 8 at most. Wider is softer and may ghost.",
                ),
                io.Int.Input(
                    "reference_scale",
                    default=0,
                    min=0,
                    max=1 << 20,
                    optional=True,
                    advanced=True,
                    tooltip="For gradient and auto: source pixels. Structure larger than this keeps the tone of the reference (or of the plain blend, if none is connected). 0 is the longer side of the tile; larger evens out more, and lets the tone wander more.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="For gradient and auto: the picture whose overall tone is right, usually the one that was split. Any size, same proportions (width : height), and the whole scene.",
                ),
                io.Image.Input(
                    "base",
                    optional=True,
                    tooltip="The picture to put the tiles into, where they do not cover all of it (Select Tiles, Tiles on a Mask) or a mask limits them: usually the one that was split, or it enlarged. Where no tile lies it comes back bit for bit, and its size is the result's. One for all layouts, or one for each.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the tiles may change base, and how much: 0 keeps base bit for bit. A mask of the whole picture, at any size.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", is_output_list=True, tooltip="The whole picture, one per layout."),
                io.Mask.Output(
                    "seams",
                    display_name="seams",
                    is_output_list=True,
                    tooltip="1 where two or more tiles mix, 0 elsewhere: ready for an inpaint or refine pass.",
                ),
            ],
        )

    @classmethod
    def check_lazy_status(cls, layout, tiles=None, **more) -> list[str]:
        """The tiles of an empty mask are not asked for, so that nothing is worked on for nothing."""
        asked = any(not isinstance(plan, TileLayout) or len(plan) for plan in layout)
        return ["tiles"] if asked and (not tiles or tiles[0] is None) else []

    @classmethod
    def execute(
        cls, layout, method, trim, scale, tiles=None, cut_feather=(0.0,), reference_scale=(0,), reference=(), base=(), mask=()
    ) -> io.NodeOutput:
        """Blend the tiles of each layout."""
        # Here and not above: ComfyUI waits for every pack when it starts, and nothing of this is needed before the first run.
        from ..blending.composition.survey import summary
        from ..blending.layout.regroup import as_they_came, gather, tile_spans
        from ..blending.pixels.picture import check_mask

        method = method[0]
        chosen = TABLE.get(method) or method_named(method)
        planned = [check_layout(plan).in_pixels() for plan in layout]
        items = [check_image(tile, f"item {i} of tiles") for i, tile in enumerate(tiles or ()) if tile is not None]
        sizes = [len(item) for item in items]
        plans = as_they_came(sizes, planned)
        every = [[] for _ in plans] if not items and not any(map(len, plans)) else tile_spans(sizes, plans)
        count = len(plans)
        references = one_for_each(reference if chosen.uses_reference else None, count)
        bases, limits = one_for_each(base, count, "base"), one_for_each(mask, count, "mask", check_mask)
        images, masks, pictures = [], [], []
        for cut, plan, spans, like, below, limit in zip(planned, plans, every, references, bases, limits, strict=True):
            blended, found, words = _blend(
                [partial(gather, items, parts) for parts in spans],
                plan,
                method,
                {"cut_feather": cut_feather[0], "reference_scale": reference_scale[0], "reference": like},
                {"trim": trim[0], "scale": scale[0], "base": below, "mask": limit},
            )
            images.append(blended.image)
            masks.append(blended.seams)
            if blended.mosaic is None:
                lines = describe_here(plan)
            else:
                lines = describe_blend(blended.mosaic.layout, blended.mosaic, method, typed=scale[0] > 0)
            lines = lines + describe_batch(cut, plan) + blended.lines + (summary(found) if method == AUTO and found else words[:1])
            pictures.append(show(blended.image, plan, lines, [*blend_cure(found), *found, *words[1:]]))
        return io.NodeOutput(images, masks, ui=join_ui(pictures))


def _blend(
    tiles: list[Callable[[], torch.Tensor]], plan: TileLayout, method: str, more: dict[str, Any], over: dict[str, Any]
) -> tuple[Blended, list[OverlapFinding], list[str]]:
    """The tiles of one layout, with progress; what *auto* found at its overlaps, and what *confidence* says."""
    import comfy.model_management

    from ..blending.composition.auto import auto_rounds
    from ..blending.composition.blend import blend
    from ..blending.composition.gradient import correction_rounds

    channels = tiles[0]().shape[-1] if tiles else 0
    # Once to blend, and for a gradient as often as it says; of auto it is told later.
    stream = WatchedTiles(lambda i: tiles[i](), len(plan), 1 + (correction_rounds(plan.batch, channels) if method == GRADIENT else 0))
    found, words = [], []

    def tell(findings):
        if method == CONFIDENCE:
            words.extend(findings)
            return
        found.extend(findings)
        stream.expect(auto_rounds(findings, plan.batch, channels, more["reference"] is not None))

    device = comfy.model_management.intermediate_device()
    return blend(stream, plan, method, device=device, tell=tell, **over, **more), found, words


class LatentSeamBlend(io.ComfyNode):
    """List of latent tiles, layouts -> one LATENT per layout."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkLatentSeamBlend",
            display_name="Latent Seam Blend",
            category=CUT,
            description=(
                "Puts latent tiles together into one latent, their noise masks along with them. For tiles that a sampler painted "
                "one by one, blending gives ghosts; it is meant for tiles that agree. The latent is float32."
            ),
            search_aliases=[*ALIASES, "latent merge", "stitch latent"],
            is_input_list=True,
            has_intermediate_output=True,
            inputs=[
                io.Latent.Input("tiles", tooltip="The processed latent tiles, in the order Latent Tile Split gave them."),
                Layout.Input("layout", tooltip="The layout output of the Latent Tile Split that cut the tiles."),
                *_method_inputs(WINDOWS, METHOD_TIP, "hann"),
            ],
            outputs=[io.Latent.Output("samples", display_name="samples", is_output_list=True, tooltip="The whole latent, one per layout.")],
        )

    @classmethod
    def execute(cls, tiles, layout, method, trim) -> io.NodeOutput:
        """Blend the tiles of each layout."""
        from ..blending.composition.masks import compose_masks
        from ..blending.layout.mosaic import Mosaic
        from ..blending.layout.regroup import as_they_came, tile_spans

        planned = [check_grid(plan, "Latent Seam Blend", wraps=True) for plan in layout]
        items = [latent_samples(tile, f"item {i} of tiles") for i, tile in enumerate(tiles)]
        masks = [latent_mask(tile, f"item {i} of tiles") for i, tile in enumerate(tiles)]
        sizes = [len(item) for item in items]
        plans = as_they_came(sizes, planned)
        latents, pictures = [], []
        for cut, plan, spans in zip(planned, plans, tile_spans(sizes, plans), strict=True):
            check_trim_cells(trim[0], plan.unit)
            first = spans[0][0].item
            mosaic = Mosaic(plan, tuple(items[first].shape[-2:]), method[0], trim[0])
            latent = dict(tiles[first])
            latent["samples"] = _blend_samples(items, plan, spans, mosaic)
            latent.pop("noise_mask", None)
            mask = compose_masks(masks, sizes, spans, plan, method[0], trim[0])
            if mask is not None:
                latent["noise_mask"] = mask
            latent.pop("batch_index", None)
            index = _batch_index(tiles, spans[0])
            if index is not None:
                latent["batch_index"] = index
            latents.append(latent)
            lines = describe_blend(plan, mosaic, method[0], typed=False) + describe_batch(cut, plan)
            pictures.append(show(latent["samples"], plan, lines))
        return io.NodeOutput(latents, ui=join_ui(pictures))


def _blend_samples(items: list[torch.Tensor], plan: TileLayout, spans: list[list[PictureSpan]], mosaic: Mosaic) -> torch.Tensor:
    """Latents are blended plane by plane: batch, channels and frames all alike."""
    import comfy.model_management

    from ..blending.composition.compose import compose_on
    from ..blending.layout.regroup import gather

    def planes(parts: list[PictureSpan]) -> torch.Tensor:
        tile = gather(items, parts)
        return tile.reshape(-1, *tile.shape[-2:], 1)

    stream = watched((planes(parts) for parts in spans), len(plan))
    blended = compose_on(stream, mosaic, device=comfy.model_management.intermediate_device())
    return blended.reshape(-1, *items[spans[0][0].item].shape[1:-2], *mosaic.size)


def _batch_index(tiles: list[dict], spans: list[PictureSpan]) -> list[int] | None:
    """The batch_index of the pictures of one tile, None where it cannot be put together."""
    index = []
    for span in spans:
        given = tiles[span.item].get("batch_index")
        if given is None or len(given) < span.stop:
            return None
        index += [int(i) for i in given[span.start : span.stop]]
    return index
