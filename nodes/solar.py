"""Solar Curve Preview: a picture through a curve that makes faint steps strong, live in the node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image

from ..blending.pixels.picture import colours
from ..blending.solar.curves import (
    CHANNELS,
    DEFAULT_POINTS,
    MOST_GAIN,
    MOST_INVERSIONS,
    POINTS,
    PRESETS,
    SHAPES,
    SolarCurve,
    check_points,
    sampled_curve,
    solar_curve,
)
from ..host.own_pixels import lend
from ..host.progress import watched_steps
from ..host.temp_pictures import saved
from ..pictures.layers import small_copy
from .menu import CHECK
from .types import Least, check_image
from .ui import decoration

# A key of our own: under "images" the host would draw a second preview.
UI_KEY = "tilework_solar"
# Four values per 8-bit level: the same samples are used here and in the browser.
CURVE_SAMPLES = 255 * 4 + 1
MOST_CURVE_POINTS = 4096


# The core's type without the core's widget, which the classic canvas cannot draw: a socket alone. Its default is for the
# editor, whose preview in the search box draws every curve; what is not connected has no curve.
Curve = io.Custom("CURVE")
STRAIGHT = {"points": [[0.0, 0.0], [1.0, 1.0]], "interpolation": "monotone_cubic"}


@io.comfytype(io_type="TILEWORK_CURVE")
class CurvePoints(io.ComfyTypeIO):
    """The widget for curve points of web/js/solar_curve.js. Its value is plain JSON: [[x, y], ...], all in 0..1."""

    Type = list

    class Input(io.WidgetInput):
        """A widget without a socket."""

        def __init__(self, id: str, tooltip: str, default: list[list[float]]) -> None:
            super().__init__(id, tooltip=tooltip, default=default, socketless=True)


class SolarCurvePreview(io.ComfyNode):
    """Image -> the image through a solar curve, and a mask of edges; the preview in the node follows the widgets."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return io.Schema(
            node_id="TileworkSolarCurvePreview",
            display_name="Solar Curve Preview",
            category=CHECK,
            description=(
                "Shows faint steps, banding, spots and seams by a curve that goes up and down several times, so that they come "
                "out five or seven times as strong. The picture in the node follows the widgets at once, without a run."
            ),
            search_aliases=[
                "solarize",
                "solarise",
                "solar curve",
                "helper curve",
                "check layer",
                "retouching curve",
                "banding check",
                "seam check",
                "edge map",
                "curves",
                "dust",
                "dodge",
                "dodge and burn",
                "spots",
                "quality check",
            ],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("image", tooltip="The picture to look at: any size, RGB, RGBA or grey. Alpha is passed on."),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default=PRESETS[0],
                    tooltip="four points and six points are the retouchers' published curves (a step comes out about 5 and 7 times as high); one peak turns at mid-grey alone; inversions makes a wave of any number of turns; curve is yours, drawn below or connected.",
                ),
                io.Combo.Input(
                    "shape",
                    options=list(SHAPES),
                    default=SHAPES[0],
                    tooltip="straight: the same gain at every level. smooth: rounded, easier on the eye, but blind at its peaks and valleys; move the phase to see those levels.",
                ),
                io.Int.Input(
                    "inversions",
                    default=4,
                    min=1,
                    max=MOST_INVERSIONS,
                    tooltip="For preset inversions: how often the curve turns. A ramp from black to white shows one stripe more, and every step is that many times as high.",
                ),
                io.Float.Input(
                    "phase",
                    default=0.0,
                    min=Least(0.0),
                    max=1.0,
                    step=0.01,
                    tooltip="Moves the curve along the levels; 1 is one whole wave, 0.5 swaps light and dark. Sweep it: a defect that sits on a turn is seen at another phase.",
                ),
                io.Float.Input(
                    "gain",
                    default=1.0,
                    min=Least(0.0),
                    max=MOST_GAIN,
                    step=0.05,
                    tooltip="Contrast of the result about mid-grey. Above 1 it leaves 0..1, which is cut off when it is shown or saved.",
                ),
                io.Boolean.Input(
                    "expand",
                    default=False,
                    tooltip="First stretch the range in which 98 % of the values lie (1st to 99th percentile) to black to white: for white on white and black on black.",
                ),
                io.Combo.Input(
                    "channel",
                    options=list(CHANNELS),
                    default=CHANNELS[0],
                    tooltip="luminance: form and light, in grey. each channel: red, green and blue each through the curve, for colour casts. lightness: as the eye weighs it (L* of CIELAB), in grey.",
                ),
                CurvePoints.Input(
                    "points",
                    tooltip="For preset curve: the points, from black to white. Drag them, double-click for a new one, Delete takes one away.",
                    default=[list(point) for point in DEFAULT_POINTS],
                ),
                Curve.Input(
                    "curve",
                    optional=True,
                    extra_dict={"forceInput": True, "default": STRAIGHT},
                    tooltip="For preset curve: a curve from ComfyUI's Curve Editor, in place of the points. Its own interpolation is used, not shape.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The picture through the curve, float32, at full size."),
                io.Mask.Output(
                    "edges",
                    display_name="edges",
                    tooltip="Where the picture has edges, as strong as the curve makes them at the best of four phases, smoothed by 2 px. A step of 2/255 reads about 10/255 with four points. An extra input for segmentation.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, points=None) -> bool | str:
        """Refuse points that a saved workflow made up, before anything runs."""
        try:
            if points is not None:
                _points(points)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(cls, image, preset, shape, inversions, phase, gain, expand, channel, points, curve=None) -> io.NodeOutput:
        """Bend every picture and show the first."""
        from ..blending.solar.solarize import edges, solarize

        check_image(image)
        samples = None if curve is None else _samples(curve)
        if samples is not None and preset == POINTS:
            bend: SolarCurve = sampled_curve(samples, phase, gain)
        else:
            bend = solar_curve(preset, shape, inversions, phase, gain, _points(points) if preset == POINTS else DEFAULT_POINTS)
        watch = watched_steps(2 * len(image) * image.shape[1])
        out = solarize(image, bend, channel, expand, watch)
        return io.NodeOutput(out, edges(image, bend, channel, expand, watch=watch), ui=_shown(image, samples))


def _points(value: Any) -> tuple[tuple[float, float], ...]:
    """The widget's value, or the same wrapped in a dict as the core's curves are."""
    return check_points(value.get("points") if isinstance(value, dict) else value)


def _samples(curve: Any) -> list[float]:
    """A CURVE of the core, its object or its raw dict, as CURVE_SAMPLES outputs from 0 to 1; or ValueError."""
    from comfy_api.input import CurveInput

    if not isinstance(curve, CurveInput):
        points = curve.get("points") if isinstance(curve, dict) else curve
        way = curve.get("interpolation", "monotone_cubic") if isinstance(curve, dict) else "monotone_cubic"
        try:
            checked = check_points(points, MOST_CURVE_POINTS, 0.0)
        except ValueError as error:
            raise ValueError(f"curve cannot be used, its {error}; connect the output of a Curve Editor") from error
        if way not in ("monotone_cubic", "linear"):
            raise ValueError("curve has an unknown interpolation: expected monotone_cubic or linear; connect the output of a Curve Editor")
        curve = CurveInput.from_raw({"points": checked, "interpolation": way})
    samples = [float(value) for value in curve.to_lut(CURVE_SAMPLES)]
    if len(samples) != CURVE_SAMPLES or not all(math.isfinite(value) for value in samples):
        raise ValueError("curve has NaN or Inf in it: connect the output of a Curve Editor")
    # Rounded, so that the browser gets the very same numbers in little text.
    return [round(value, 6) for value in samples]


@decoration(UI_KEY)
def _shown(image: torch.Tensor, samples: list[float] | None) -> dict[str, Any]:
    """The first picture as a PNG in ComfyUI's temp folder, and what the widget must know to bend it as `execute` does."""
    from ..blending.solar.solarize import range_of

    picture = image[0]
    height, width = picture.shape[:2]
    seen = small_copy(colours(picture).float().cpu())
    values = (seen.clamp(0, 1) * 255).round().to(torch.uint8)
    levels = np.ascontiguousarray(values.expand(*values.shape[:2], 3).numpy())
    file = saved(Image.fromarray(levels, "RGB"), "png", "tilework_solar", compress_level=1)
    if file is None:
        return {UI_KEY: []}
    about = {
        **file,
        "width": values.shape[1],
        "height": values.shape[0],
        "full_width": width,
        "full_height": height,
        "count": len(image),
        "run": lend([image]),
        "ranges": {channel: list(range_of(picture, channel)) for channel in CHANNELS},
        "curve": samples,
    }
    return {UI_KEY: [about]}
