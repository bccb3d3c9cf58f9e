"""Who is measured: everything that puts identity tiles of one picture together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from loading import blending, load_host, monai_inference, node, run_node

# The default of Tile Split; every contestant of ours uses the layout that the node plans.
MULTIPLE_OF = 8

Outputs = tuple[torch.Tensor, ...]
Run = Callable[[], Outputs]


def paint(height: int, width: int) -> torch.Tensor:
    """A test picture [1, height, width, 3] in 0..1: soft ramps with grain, in ordinary memory, made in place."""
    out = torch.empty(1, height, width, 3)
    generator = torch.Generator().manual_seed(7)
    x = torch.linspace(0, 9, width)[:, None] + torch.tensor([0.0, 2.1, 4.2])
    for top in range(0, height, 256):
        rows = out[0, top : top + 256]
        rows.uniform_(0, 0.1, generator=generator)
        y = torch.arange(top, top + len(rows))[:, None, None] * (7 / height)
        rows += (x + y).sin_().mul_(0.4).add_(0.45)
    return out


class Scene:
    """One picture, how it is tiled, and the buffers that are there before the clock starts."""

    def __init__(self, size: tuple[int, int], tile: int, overlap: int) -> None:
        self.size, self.tile, self.overlap = size, tile, overlap
        self.layout = blending().TileLayout.grid(*size, tile, tile, overlap, MULTIPLE_OF)

    @cached_property
    def picture(self) -> torch.Tensor:
        """[1, H, W, C], as the host passes pictures on."""
        return paint(*self.size)

    @cached_property
    def planar(self) -> torch.Tensor:
        """The same picture as [1, C, H, W], contiguous: what MONAI takes."""
        return paint(*self.size).movedim(-1, 1).contiguous()

    @cached_property
    def mapped(self) -> torch.Tensor:
        """An output buffer that has been written to before. Ordinary pages: no contestant is helped by it."""
        return torch.zeros(1, *self.size, 3).fill_(0.5)

    def tiles(self) -> Iterator[torch.Tensor]:
        """The identity tiles: views of the picture."""
        return blending().cut(self.picture, self.layout)


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        key: its name on the command line and in the JSON record.
        label: its name in the table.
        prepare: makes, outside of the timing, the buffers and the call to be timed; that returns its outputs, the picture
            first and as [1, H, W, C]. None where what it needs is not installed.
        mapped: whether it writes to the buffer that is already mapped; it has then no output of its own to count.
        fresh: whether it must not have the memory that Tilework's last result left behind.
    """

    key: str
    label: str
    prepare: Callable[[Scene], Run | None]
    mapped: bool = False
    fresh: bool = False


def _copy(scene: Scene) -> Run:
    source, target = scene.picture, scene.mapped
    return lambda: (target.copy_(source),)


def _copy_fresh(scene: Scene) -> Run:
    source = scene.picture
    empty = blending("pixels.memory").empty
    return lambda: (empty(source.shape).copy_(source),)


def _cores(axis: Any) -> list[tuple[int, int]]:
    """The part of an axis that each tile has for itself when every overlap is cut in its middle."""
    cuts = [(a + axis.tile + b) // 2 for a, b in zip(axis.origins, axis.origins[1:], strict=False)]
    return list(zip([0, *cuts], [*cuts, axis.size], strict=True))


def _hard(scene: Scene, into_mapped: bool) -> Run:
    target = scene.mapped if into_mapped else None
    picture = scene.picture
    ys, xs = (_cores(axis) for axis in scene.layout.axes)
    places = [(*y, *x) for y in ys for x in xs]

    def run() -> Outputs:
        out = torch.empty_like(picture) if target is None else target
        for (top, bottom, left, right), tile, rect in zip(places, scene.tiles(), scene.layout.tiles, strict=True):
            out[:, top:bottom, left:right] = tile[:, top - rect.y : bottom - rect.y, left - rect.x : right - rect.x]
        return (out,)

    return run


def _compose(scene: Scene, into_mapped: bool = False, seams: bool = False) -> Run:
    library = blending()
    target = scene.mapped if into_mapped else None
    _ = scene.picture

    def run() -> Outputs:
        image = library.compose(scene.tiles(), scene.layout, out=target)
        return (image, library.Mosaic(scene.layout, scene.layout.tile_size).seams(1)) if seams else (image,)

    return run


def _blend_node(scene: Scene) -> Run | None:
    blend = node("blend", "SeamBlend")
    if blend is None:
        return None
    tiles = list(scene.tiles())

    def run() -> Outputs:
        images, masks = run_node(blend, tiles=tiles, layout=[scene.layout])
        return images[0], masks[0]

    return run


def _both_nodes(scene: Scene) -> Run | None:
    split, blend = node("split", "TileSplit"), node("blend", "SeamBlend")
    if split is None or blend is None:
        return None

    picture = scene.picture

    def run() -> Outputs:
        tiles, layout, _ = run_node(
            split, image=picture, tile_width=scene.tile, tile_height=scene.tile, overlap=scene.overlap, multiple_of=MULTIPLE_OF
        )
        images, masks = run_node(blend, tiles=tiles, layout=[layout])
        return images[0], masks[0]

    return run


def _core_nodes(scene: Scene) -> Run | None:
    if not load_host():
        return None
    from comfy_extras.nodes_images import ImageMergeTileList, SplitImageToTileList

    picture = scene.picture
    height, width = scene.size

    def run() -> Outputs:
        (tiles,) = SplitImageToTileList.execute(picture, scene.tile, scene.tile, scene.overlap).result
        return ImageMergeTileList.execute(tiles, [width], [height], [scene.overlap]).result

    return run


def _monai(scene: Scene, mode: str) -> Run | None:
    inference = monai_inference()
    if inference is None:
        return None
    planar, scratch = scene.planar, torch.empty(1, 3, scene.tile, scene.tile)

    # MONAI multiplies the weights into the very tensor the predictor returns. In constant mode they are ones and the
    # picture itself may be handed back; otherwise that would spoil it, and one tile's buffer is used over and over,
    # which is cheaper than a clone.
    def identity(tile: torch.Tensor) -> torch.Tensor:
        return tile if mode == "constant" else scratch.copy_(tile)

    def run() -> Outputs:
        out = inference(planar, (scene.tile, scene.tile), 1, identity, overlap=scene.overlap / scene.tile, mode=mode)
        return (out.movedim(1, -1),)

    return run


COPY, HARD, MAPPED, NODE = "copy", "hard-mapped", "compose-mapped", "node"

CONTESTANTS = (
    Contestant(COPY, "one plain copy, mapped buffer", _copy, mapped=True),
    Contestant("copy-fresh", "one plain copy, fresh buffer of ours (huge pages)", _copy_fresh, fresh=True),
    Contestant(HARD, "hard tiles, no blend, mapped buffer", lambda s: _hard(s, True), mapped=True),
    Contestant("hard", "hard tiles, no blend, allocating", lambda s: _hard(s, False)),
    Contestant(MAPPED, "**Tilework** compose, mapped buffer", lambda s: _compose(s, into_mapped=True), mapped=True),
    Contestant("compose", "**Tilework** compose, allocating", _compose),
    Contestant("compose-seams", "**Tilework** compose and seams mask, allocating", lambda s: _compose(s, seams=True)),
    Contestant(NODE, "**Tilework** Seam Blend node (image, seams mask, preview)", _blend_node),
    Contestant("node-first", "**Tilework** Seam Blend node, its first run", _blend_node, fresh=True),
    Contestant("nodes", "**Tilework** Tile Split and Seam Blend nodes", _both_nodes),
    Contestant("monai-constant", "MONAI sliding_window_inference, constant", lambda s: _monai(s, "constant")),
    Contestant("monai-gaussian", "MONAI sliding_window_inference, gaussian", lambda s: _monai(s, "gaussian")),
    Contestant("core", "ComfyUI core, split and merge nodes", _core_nodes),
)
BY_KEY = {contestant.key: contestant for contestant in CONTESTANTS}
