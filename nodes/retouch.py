"""Frequency Separation, Frequency Join, Transfer Retouch: a picture by its bands, and which of them a retouch may change."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.progress import Watch
from .menu import REPAIR
from .types import Least, check_image, check_painted
from .ui import show_bands

LIGHTING, BLEMISHES, TEXTURE, GAINS = "lighting", "blemishes", "keep texture", "gains"
FACE_TIP = (
    "Height of the face in pixels, from chin to hairline: bands are parts of it, so one setting fits a picture of any size. "
    "0 = the picture's height, for a face that fills it, or no face."
)


def _face() -> io.Int.Input:
    return io.Int.Input("face", default=0, min=0, max=65536, advanced=True, tooltip=FACE_TIP)


class FrequencySeparation(io.ComfyNode):
    """IMAGE -> bands from fine to coarse, and what is coarser still."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkBandSplit",
            display_name="Frequency Separation",
            category=REPAIR,
            description=(
                "Takes a picture apart into bands, from skin texture to lighting, that sum to it exactly. Change one, and put them "
                "together with Frequency Join."
            ),
            search_aliases=["frequency separation", "band split", "high low frequency", "wavelet decompose", "skin texture layer"],
            inputs=[
                io.Image.Input("image", tooltip="The picture. RGB, RGBA or grey; batches. Alpha goes with the residual."),
                io.Int.Input(
                    "bands",
                    default=4,
                    min=1,
                    max=6,
                    tooltip="spline: how many bands. They end at a smoothing of 0.25, 0.75, 2.25, 6.75, 20 and 61 % of the face: fewer leave the coarse ones in the residual. gaussian: there is one band; the number says at which of these widths it ends (2: 0.75 %, usual for skin).",
                ),
                _face(),
                io.Combo.Input(
                    "mode",
                    options=["spline", "gaussian"],
                    default="spline",
                    tooltip="spline: bands by a B-spline wavelet at full size. gaussian: the two layers that retouchers know, a blurred picture (residual) and the texture that the blur took away (one band).",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "bands",
                    display_name="bands",
                    is_output_list=True,
                    tooltip="A list, the finest band first. Values are signed, around 0: a preview or a saved file shows what is below 0 as black.",
                ),
                io.Image.Output("residual", display_name="residual", tooltip="What is coarser than the bands: the blurred picture."),
            ],
        )

    @classmethod
    def execute(cls, image, bands, face, mode) -> io.NodeOutput:
        """Take it apart."""
        from ..blending.frequency.separation import separate  # here and below, because it is most of what this file would load

        return io.NodeOutput(*separate(check_image(image), bands, face, mode, Watch()))


class FrequencyJoin(io.ComfyNode):
    """Bands, residual, gains -> IMAGE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkBandJoin",
            display_name="Frequency Join",
            category=REPAIR,
            description=(
                "Puts the bands of Frequency Separation together again, each as strong as you say. After a run the picture in the node "
                "follows the sliders at once."
            ),
            search_aliases=["frequency join", "band join", "wavelet recompose", "texture strength", "detail equalizer"],
            has_intermediate_output=True,
            is_input_list=True,
            inputs=[
                io.Image.Input("bands", tooltip="The bands of one Frequency Separation, as they came or changed, the finest first."),
                io.Image.Input("residual", tooltip="The residual of the same Frequency Separation, as it came or changed."),
                io.String.Input(
                    "gains",
                    default="1, 1, 1, 1, 1",
                    tooltip="One number for each band, finest first, and the residual's last. 1 as it is, 0 without it, 2 twice as strong. The sliders below write this text, and follow it.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "image", display_name="image", tooltip="The sum. Nothing is clipped: gains over 1 can leave the range of 0 to 1."
                )
            ],
        )

    @classmethod
    def execute(cls, bands, residual, gains) -> io.NodeOutput:
        """Sum them."""
        from ..blending.frequency.separation import join_bands, read_gains

        if len(residual) != 1:
            raise ValueError(f"{len(residual)} residuals came: connect one, of the Frequency Separation that the bands are of")
        bands = [check_image(band, f"band {index}") for index, band in enumerate(bands, 1)]
        strengths = read_gains(gains[0])
        joined = join_bands(bands, check_image(residual[0], "residual"), strengths)
        return io.NodeOutput(joined, ui=show_bands([*bands, *residual], strengths))


class TransferRetouch(io.ComfyNode):
    """Original, retouched -> the original with chosen bands of the retouch, and what was changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkRetouchMerge",
            display_name="Transfer Retouch",
            category=REPAIR,
            description=(
                "Takes of a retouched or generated version of a picture only what you want: its light, its repaired blemishes, or all "
                "but its texture. The original keeps the rest. Inspired by band-wise face retouching; no network is in it."
            ),
            search_aliases=["retouch", "skin retouch", "keep skin texture", "blemish removal", "frequency separation merge", "relight"],
            inputs=[
                io.Image.Input("original", tooltip="The picture before. Its texture, and its alpha, are kept."),
                io.Image.Input("retouched", tooltip="The same picture retouched, by hand or by a model; of the same size and in register."),
                io.Combo.Input(
                    "preset",
                    options=[LIGHTING, BLEMISHES, TEXTURE, GAINS],
                    default=LIGHTING,
                    tooltip="What is taken. lighting: broad light and colour, nothing finer than 2.25 % of the face. blemishes: spots and folds of 0.25 to 2.25 %, neither texture nor light. keep texture: all that is coarser than 0.75 %. gains: as the next input says.",
                ),
                io.String.Input(
                    "gains",
                    default="0, 1, 1, 0, 0",
                    tooltip="For the preset gains: how much of each band of the change is taken, finest first, and the residual's last. 0 nothing, 1 all. As many bands as numbers but one, as in Frequency Separation.",
                ),
                _face(),
                io.Float.Input(
                    "quiet",
                    default=0.0,
                    min=Least(0.0),
                    max=64.0,
                    step=0.1,
                    advanced=True,
                    tooltip="Changes of a band smaller than this, in levels of 255, are left out and the others made this much smaller. 0 = off; 0.5 to 2 drops what a VAE or a model changed everywhere and nobody sees.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The change is taken only where this is white; of the original's size. One for all, or one for each.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The original with what was taken. Nothing is clipped."),
                io.Image.Output(
                    "difference",
                    display_name="difference",
                    tooltip="What was changed: mid grey where nothing was, lighter where the picture became lighter, at half strength.",
                ),
            ],
        )

    @classmethod
    def execute(cls, original, retouched, preset, gains, face, quiet, mask=None) -> io.NodeOutput:
        """Take the bands."""
        from ..blending.frequency.retouch import PRESETS, transfer_retouch
        from ..blending.frequency.separation import read_gains

        if mask is not None:
            mask = check_painted(mask[None] if getattr(mask, "ndim", 3) == 2 else mask)
        if preset not in (*PRESETS, GAINS):
            raise ValueError(f"preset {preset!r} is not known: use one of {', '.join((*PRESETS, GAINS))}")
        chosen = read_gains(gains) if preset == GAINS else PRESETS[preset]
        pictures = check_image(original, "original"), check_image(retouched, "retouched")
        return io.NodeOutput(*transfer_retouch(*pictures, chosen, face, quiet, mask, Watch()))
