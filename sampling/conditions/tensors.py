"""What reaches the model beside the latent (the host's `model_conds`), cut to a tile.

Which of these tensors lie on the canvas is decided by the host's own type or by their name, never by their size alone:

- a `CONDNoiseShape` is spatial. The host itself crops it along with the latent, so its shape is a promise.
- a `CONDRegular` or `CONDList` is spatial where its name is known to be (PLANES, REFERENCES). The host crops none of
  them, and one whose last two sides happen to be the canvas' may as well be 96 tokens of 160 numbers: it is passed on,
  and said to be where it looks like a picture.
- a `CONDConstant` is a setting, not a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch

from ...blending.layout.grid import Rect
from ...blending.pixels.taps import continued
from .notices import Notices
from .own_pictures import CANVAS, TILE, OwnTile
from .planes import ENDS, Wrap, cut_scaled, has_proportions, is_canvas, within

# On the canvas, cell by cell or at another scale, though the host does not mark them.
PLANES = frozenset(
    {
        "camera_conditions",  # Wan camera control
        "condition",  # SeedVR2
        "control_video",  # Wan sound to video
        "denoise_mask",  # LTX, Cosmos, Wan 2.2
        "effnet",  # Stable Cascade: the prior, stretched over the latent
        "lq_latent",  # PiD
        "pose_latents",  # Wan Animate, SCAIL
        "ref_mask_latents",  # SCAIL 2: beside the frames, as reference_latent is
        "reference_latent",  # Wan: laid beside the frames, so it must have their size
        "reference_motion",  # Wan sound to video: the frames before
        "sam_latents",  # SCAIL 2
        "time_dim_concat",  # Wan: more frames
        "time_dim_replace",  # Kandinsky 5: frames to put in place
        "vace_context",  # Wan VACE
    }
)

# Pictures that are shown to the model as they are, at any size: cut or left whole, as the user chose.
REFERENCES = frozenset({"context_latents", "ref_latent", "ref_latents"})

# Known to have four dimensions or more and to lie nowhere on the canvas.
PLACELESS = frozenset({"audio_embed", "encoder_hidden_states_llama3", "face_pixel_values", "ref_audio", "refer_audio", "siglip_feats"})

# Written for the whole canvas in a way that cannot be cut: token positions and packed layouts.
UNCUTTABLE = {
    "guide_attention_entries": "LTX guide frames (their tokens are counted over the whole canvas)",
    "keyframe_idxs": "LTX guide frames (their tokens are placed on the whole canvas)",
    "minimax_payload": "latents of several kinds packed into one",
    "vinput_mask": "HiDream O1 (its tokens are laid out for the whole canvas)",
}

FLUX_PATCH = 2


@dataclass(frozen=True)
class Tile:
    """Which tile is being cut, and out of what.

    Attributes:
        canvas: the latent's sizes behind its channels, (h, w) or (t, h, w).
        view: the tile, in cells.
        crop_references: whether reference pictures are cut.
        notices: where warnings go.
        own: the tile that the condition belongs to, where it belongs to one.
        wrap: (y, x), where the canvas is joined to itself.
    """

    canvas: tuple[int, ...]
    view: Rect
    crop_references: bool
    notices: Notices
    own: OwnTile | None = None
    wrap: Wrap = ENDS

    # For messages: what cannot be done with it, to whom it is given instead, and what else can be done.
    MADE, EACH, INSTEAD = "cut into tiles", "every tile", "sample without tiles"

    def of(self, plane: torch.Tensor) -> torch.Tensor:
        """What belongs to the tile of a plane [..., h, w] that stands for the canvas at any scale."""
        return cut_scaled(plane, self.view, self.canvas, self.wrap)

    def of_reference(self, plane: torch.Tensor) -> torch.Tensor:
        """The same of a reference picture."""
        return self.of(plane)


@dataclass(frozen=True)
class SmallWhole(Tile):
    """A small view of all of the canvas, see `whole_views`.

    Attributes:
        small: gathers the view of a plane of the canvas' size, and has a shape (h, w).
    """

    small: Any = None

    MADE, EACH = "shown in a small view of the whole picture", "every view of the whole picture"
    INSTEAD = "take out the node that looks at the whole picture in small"

    def of(self, plane: torch.Tensor) -> torch.Tensor:
        """The view of a plane; one at another scale is brought to the view's size at that scale, and never enlarged."""
        size, cells = tuple(plane.shape[-2:]), self.canvas[-2:]
        if size == tuple(cells):
            return self.small.gather(plane)
        wanted = tuple(max(1, round(seen * side / whole)) for seen, side, whole in zip(self.small.shape, size, cells, strict=True))
        return _shrunk(plane, wanted)

    def of_reference(self, plane: torch.Tensor) -> torch.Tensor:
        """A reference picture: of the canvas' size seen as the canvas is, else no larger than the view."""
        if is_canvas(plane, self.canvas):
            return self.small.gather(plane)
        return _shrunk(plane, self.small.shape) if plane.shape[-2] * plane.shape[-1] > self.small.shape[0] * self.small.shape[1] else plane


@dataclass(frozen=True)
class PaddedTile(Tile):
    """All of the canvas and some cells around it, mirrored: the view begins before the canvas and ends behind it."""

    def of_reference(self, plane: torch.Tensor) -> torch.Tensor:
        """A reference of the canvas' size, padded alike; any other has tokens of its own, and is given as it is."""
        return self.of(plane) if is_canvas(plane, self.canvas) else plane


def _shrunk(plane: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A plane [..., h, w] at `size`, as means over areas."""
    if tuple(plane.shape[-2:]) == tuple(size):
        return plane
    flat = plane.reshape(1, -1, *plane.shape[-2:]).float()
    return torch.nn.functional.interpolate(flat, size=tuple(size), mode="area").reshape(*plane.shape[:-2], *size).to(plane.dtype)


@dataclass(frozen=True)
class RolledCanvas(Tile):
    """All of the canvas, its cells rolled by `turn` (y, x): what left it at one side is at the other."""

    turn: tuple[int, int] = (0, 0)

    def of(self, plane: torch.Tensor) -> torch.Tensor:
        """The plane, rolled as far at its own scale."""
        turn = (round(cells * size / whole) for cells, size, whole in zip(self.turn, plane.shape[-2:], self.canvas[-2:], strict=True))
        return torch.roll(plane, tuple(turn), dims=(-2, -1))


def cut_tensors(conds: dict[str, Any], tile: Tile) -> dict[str, Any]:
    """The host's `model_conds` for one tile, or for a canvas that was rolled: a new dict, which shares what is not spatial.

    Raises:
        ValueError: for what was made for the whole canvas and cannot be cut.
    """
    _check(conds, tile)
    return {name: _cut_one(name, value, conds, tile) for name, value in conds.items()}


def _check(conds: dict[str, Any], tile: Tile) -> None:
    for name, what in UNCUTTABLE.items():
        if name in conds:
            raise ValueError(f"condition {name!r} cannot be {tile.MADE}: {what}; remove it or {tile.INSTEAD}")
    shapes = conds.get("latent_shapes")
    if shapes is not None and len(shapes.cond) > 1:
        raise ValueError(
            f"this model packs {len(shapes.cond)} latents into one, which has no plane and cannot be {tile.MADE}: {tile.INSTEAD}"
        )


def _cut_one(name: str, value: Any, conds: dict[str, Any], tile: Tile) -> Any:
    content = getattr(value, "cond", None)
    if isinstance(value, comfy.conds.CONDConstant) or content is None:
        return value
    if isinstance(value, comfy.conds.CONDNoiseShape) and isinstance(content, torch.Tensor):
        return value._copy_with(_plane(name, content, tile))
    if name in REFERENCES and not tile.crop_references:
        return value
    if name in PLANES | REFERENCES:
        one = _reference if name in REFERENCES else _plane
        planes = [one(name, plane, tile) for plane in content] if isinstance(content, list) else one(name, content, tile)
        return value._copy_with(planes)
    if name == "attention_mask" and isinstance(content, torch.Tensor) and content.ndim > 2:
        return value._copy_with(_token_mask(content, conds, tile))
    _mention_pictures(name, content, tile)
    return value


def _plane(name: str, plane: torch.Tensor, tile: Tile) -> torch.Tensor:
    # A prior of Stable Cascade is stretched over the latent whatever its proportions.
    if name == "effnet" and isinstance(tile, SmallWhole):
        return plane
    if is_canvas(plane, tile.canvas) or has_proportions(plane, tile.canvas) or name == "effnet":
        return tile.of(plane)
    tile.notices.warn(
        f"plane {name}",
        f"condition {name!r} is {plane.shape[-1]} x {plane.shape[-2]} and the latent {tile.canvas[-1]} x {tile.canvas[-2]}: it "
        f"does not lie on it and {tile.EACH} is given all of it",
    )
    return plane


def _reference(name: str, plane: torch.Tensor, tile: Tile) -> torch.Tensor:
    if tile.own is not None:
        size = tuple(plane.shape[-2:])
        shown = tile.own.shown_by(size)
        if not shown.sure and shown.what is not None:
            tile.notices.warn("reference in doubt", tile.own.doubt("a reference", size, shown))
        if shown.what == TILE:
            return cut_scaled(plane, within(tile.view, tile.own.frame), tuple(tile.own.frame[2:]))
    if (tile.own is not None and shown.what == CANVAS) or has_proportions(plane, tile.canvas):
        return tile.of_reference(plane)
    if isinstance(tile, SmallWhole | PaddedTile):
        return plane
    tile.notices.warn(
        f"reference {tuple(plane.shape)}",
        f"a reference of {plane.shape[-1]} x {plane.shape[-2]} cells has not the proportions of the latent ({tile.canvas[-1]} x "
        f"{tile.canvas[-2]}): it is another picture, and every tile is shown all of it",
    )
    return plane


def _mention_pictures(name: str, content: Any, tile: Tile) -> None:
    for tensor in content if isinstance(content, list) else [content]:
        if isinstance(tensor, torch.Tensor) and tensor.ndim > 3 and is_canvas(tensor, tile.canvas) and name not in PLACELESS:
            tile.notices.warn(
                f"unknown {name}",
                f"condition {name!r} of shape {tuple(tensor.shape)} may lie on the latent, but Tilework does not know it: "
                f"{tile.EACH} is given all of it",
            )


def _tokens(start: int, length: int, cells: int, wraps: bool) -> torch.Tensor:
    """Which tokens of a line of `cells` a tile's tokens are; a border tile's last may be mirrored, or those of the other side."""
    first = start // FLUX_PATCH
    return continued(torch.arange(first, first + -(-length // FLUX_PATCH)), -(-cells // FLUX_PATCH), wraps)


def _token_mask(mask: torch.Tensor, conds: dict[str, Any], tile: Tile) -> torch.Tensor:
    """Flux's mask [..., tokens, tokens] (a style model makes it): the prompt's tokens, then the picture's, row by row."""
    if isinstance(tile, RolledCanvas):
        raise ValueError("the attention mask of a style model cannot be joined at the picture's sides: take Seamless Tiling out")
    rows, columns = (-(-cells // FLUX_PATCH) for cells in tile.canvas[-2:])
    words = mask.shape[-1] - rows * columns
    prompt = conds.get("c_crossattn")
    known = mask.shape[-1] == mask.shape[-2] and prompt is not None and prompt.cond.shape[1] == words
    if known and isinstance(tile, SmallWhole | PaddedTile):
        # The picture's tokens that lie where the view's do; what the mask says changes from prompt to picture, not within it.
        size = tile.small.shape if isinstance(tile, SmallWhole) else tile.view[2:]
        y, x = (
            torch.arange(-(-seen // FLUX_PATCH)) * count // -(-seen // FLUX_PATCH)
            for seen, count in zip(size, (rows, columns), strict=True)
        )
        return _of_tokens(mask, words, (y.unsqueeze(1) * columns + x).flatten())
    if not known or tile.view.y % FLUX_PATCH or tile.view.x % FLUX_PATCH:
        raise ValueError(
            f"the attention mask of {mask.shape[-1]} tokens cannot be cut for a tile at x {tile.view.x}, y {tile.view.y} of a "
            f"latent of {tile.canvas[-1]} x {tile.canvas[-2]}: it covers prompt and picture in a way Tilework does not know; "
            "use the style model without an attention bias (strength_type multiply)"
        )
    y = _tokens(tile.view.y, tile.view.height, tile.canvas[-2], tile.wrap[0])
    x = _tokens(tile.view.x, tile.view.width, tile.canvas[-1], tile.wrap[1])
    return _of_tokens(mask, words, (y.unsqueeze(1) * columns + x).flatten())


def _of_tokens(mask: torch.Tensor, words: int, picture: torch.Tensor) -> torch.Tensor:
    at = torch.cat([torch.arange(words), words + picture]).to(mask.device)
    return mask.index_select(-2, at).index_select(-1, at)
