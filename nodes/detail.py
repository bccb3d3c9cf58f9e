"""Detail Map: where a picture has fine texture, as a mask."""

from __future__ import annotations

from comfy_api.latest import io

from ..host.progress import Watch
from .menu import CHECK
from .types import Least, check_image

WAVELETS = ("db4", "haar", "sym4")


class DetailMap(io.ComfyNode):
    """IMAGE -> MASK and the same as a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkDetailMap",
            display_name="Detail Map",
            category=CHECK,
            description=(
                "Shows where a picture has fine texture and where it is flat: a mask, 1 in the richest texture, 0 in flat sky or skin. "
                "As a noise mask behind Differential Diffusion it lets a sampler repaint texture and leave flat parts alone."
            ),
            search_aliases=[
                "detail mask",
                "texture mask",
                "wavelet energy",
                "high frequency map",
                "flat areas",
                "latent wavelet diffusion",
                "detail heat map",
            ],
            inputs=[
                io.Image.Input("image", tooltip="The picture, of any size; batches too. Where it is transparent there is no detail."),
                io.Combo.Input(
                    "wavelet",
                    options=list(WAVELETS),
                    default=WAVELETS[0],
                    tooltip="The filter that tells detail from tone. db4: does not see smooth slopes of light, right nearly always. haar: sees slopes and soft edges too, fastest. sym4: as db4, more alike to both sides.",
                ),
                io.Int.Input(
                    "levels",
                    default=4,
                    min=1,
                    max=5,
                    tooltip="How coarse detail may be: 1 counts waves of 2 to 4 pixels, and each more twice as long ones, so 4 up to 32 pixels. More for pictures that were enlarged.",
                ),
                io.Float.Input(
                    "low",
                    default=1.0,
                    min=Least(0.0),
                    max=100.0,
                    step=0.5,
                    tooltip="Percentile of the detail at which the mask is 0: at 30 the flattest 30 % of the picture are exactly 0. Must be under high.",
                ),
                io.Float.Input(
                    "high",
                    default=99.0,
                    min=Least(0.0),
                    max=100.0,
                    step=0.5,
                    tooltip="Percentile of the detail from which on the mask is 1: at 70 the richest 30 % are exactly 1.",
                ),
            ],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="0 flat to 1 rich in detail, of the picture's size; each picture of a batch by itself.",
                ),
                io.Image.Output(
                    "map", display_name="map", tooltip="The mask as a grey picture, to look at. It takes no memory of its own."
                ),
            ],
        )

    @classmethod
    def execute(cls, image, wavelet, levels, low, high) -> io.NodeOutput:
        """Measure, and show the same plane twice."""
        from ..blending.frequency.energy import detail_mask

        mask = detail_mask(check_image(image), wavelet, levels, low, high, Watch())
        return io.NodeOutput(mask, mask.unsqueeze(-1).expand(-1, -1, -1, 3))
