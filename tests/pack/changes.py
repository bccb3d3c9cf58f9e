"""Nodes that stand between split and blend: honest ones, and ones that break the list of tiles. None edits its input."""

from __future__ import annotations

import time

import torch
from comfy_api.latest import io

from .convolution import conv_image
from .sources import CATEGORY, seed_input

DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
NAP = 0.02


def _schema(name: str, description: str, inputs: list[io.Input], lists: bool = False) -> io.Schema:
    """IMAGE in, IMAGE out; as lists both ways if `lists`."""
    picture = io.Image.Input("images", tooltip="All the pictures, as a list.") if lists else io.Image.Input("image", tooltip="The picture.")
    return io.Schema(
        node_id=f"TileworkTest{name}",
        display_name=f"Test {name}",
        category=CATEGORY,
        description=description,
        is_input_list=lists,
        inputs=[picture, *inputs],
        outputs=[io.Image.Output("result", display_name="images" if lists else "image", is_output_list=lists)],
    )


def _index_input() -> io.Input:
    return io.Int.Input("index", default=0, min=0, max=65535, tooltip="Which picture of the list, counted from 0.")


def _check_index(index: int, images: list) -> int:
    if index >= len(images):
        raise ValueError(f"index {index} is not in a list of {len(images)}: use {len(images) - 1} or less")
    return index


def _with(images: list, index: int, image: torch.Tensor) -> list:
    return [*images[:index], image, *images[index + 1 :]]


class Dtype(io.ComfyNode):
    """IMAGE -> the same in another floating point type."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        kind = io.Combo.Input("dtype", options=list(DTYPES), tooltip="Floating point type of the result.")
        return _schema("Dtype", "The picture in another floating point type.", [kind])

    @classmethod
    def execute(cls, image, dtype) -> io.NodeOutput:
        """Convert."""
        return io.NodeOutput(image.to(DTYPES[dtype]))


class Resize(io.ComfyNode):
    """IMAGE -> the same in another size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        scale = io.Float.Input("scale", default=2.0, min=0.01, max=64.0, step=0.01, tooltip="Each side becomes round(side * scale).")
        mode = io.Combo.Input("mode", options=["bicubic", "area", "nearest"], tooltip="Interpolation, without antialiasing.")
        return _schema("Resize", "The picture at another size, straight from torch.", [scale, mode])

    @classmethod
    def execute(cls, image, scale, mode) -> io.NodeOutput:
        """Interpolate."""
        size = [max(1, round(side * scale)) for side in image.shape[1:3]]
        resized = torch.nn.functional.interpolate(image.movedim(-1, 1), size=size, mode=mode)
        return io.NodeOutput(resized.movedim(1, -1))


class Conv(io.ComfyNode):
    """IMAGE -> the same through a convolutional network of known radius."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        radius = io.Int.Input("radius", default=2, min=0, max=64, tooltip="Receptive radius in pixels, exact.")
        return _schema("Conv", "The picture through a zero-padded network of known receptive radius, in float32.", [radius, seed_input()])

    @classmethod
    def execute(cls, image, radius, seed) -> io.NodeOutput:
        """Run the network, one image at a time: its inner channels are the largest thing here."""
        network = conv_image(radius, seed, image.shape[-1])
        done = [network(one.movedim(-1, 0)[None].float())[0].movedim(0, -1) for one in image]
        return io.NodeOutput(torch.stack(done))


class Drop(io.ComfyNode):
    """List of IMAGE -> the list without one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return _schema("Drop", "Leaves one picture out.", [_index_input()], lists=True)

    @classmethod
    def execute(cls, images, index) -> io.NodeOutput:
        """Leave it out."""
        at = _check_index(index[0], images)
        if len(images) == 1:
            # The host cannot pass on an empty list.
            raise ValueError("images has one picture only: there would be none left")
        return io.NodeOutput([image for i, image in enumerate(images) if i != at])


class Poison(io.ComfyNode):
    """List of IMAGE -> the list with one bad value in one of them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        value = io.Combo.Input("value", options=["nan", "inf"], tooltip="What one number of that picture becomes.")
        return _schema("Poison", "Makes one number of one picture NaN or infinite.", [_index_input(), value], lists=True)

    @classmethod
    def execute(cls, images, index, value) -> io.NodeOutput:
        """Replace the picture by a poisoned copy."""
        at = _check_index(index[0], images)
        poisoned = images[at].clone()
        poisoned[0, poisoned.shape[1] // 2, poisoned.shape[2] // 2, 0] = float(value[0])
        return io.NodeOutput(_with(images, at, poisoned))


class Lighten(io.ComfyNode):
    """List of IMAGE -> the list with one of them lighter."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        amount = io.Float.Input("levels", default=6.0, min=-255.0, max=255.0, step=0.1, tooltip="How much, in 8-bit levels.")
        return _schema("Lighten", "Makes one picture lighter than it was.", [_index_input(), amount], lists=True)

    @classmethod
    def execute(cls, images, index, levels) -> io.NodeOutput:
        """Add to every value of a copy."""
        at = _check_index(index[0], images)
        return io.NodeOutput(_with(images, at, images[at] + levels[0] / 255))


class Shift(io.ComfyNode):
    """List of IMAGE -> the list with one of them shifted."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        by = io.Int.Input("by", default=3, min=-64, max=64, tooltip="How many pixels to the right.")
        return _schema("Shift", "Shifts one picture to the right.", [_index_input(), by], lists=True)

    @classmethod
    def execute(cls, images, index, by) -> io.NodeOutput:
        """Move every row; what leaves at the right comes in at the left."""
        at = _check_index(index[0], images)
        return io.NodeOutput(_with(images, at, images[at].roll(by[0], 2)))


class Stretch(io.ComfyNode):
    """List of IMAGE -> the list with one of them a pixel wider."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return _schema("Stretch", "Makes one picture one pixel wider than it was.", [_index_input()], lists=True)

    @classmethod
    def execute(cls, images, index) -> io.NodeOutput:
        """Repeat the last column."""
        at = _check_index(index[0], images)
        return io.NodeOutput(_with(images, at, torch.cat([images[at], images[at][:, :, -1:]], dim=2)))


class Slow(io.ComfyNode):
    """IMAGE -> the same, later."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        seconds = io.Float.Input("seconds", default=1.0, min=0.0, max=600.0, step=0.01, tooltip="How long it takes.")
        return _schema("Slow", "Does nothing for a while, and can be cancelled.", [seconds])

    @classmethod
    def execute(cls, image, seconds) -> io.NodeOutput:
        """Wait in small steps, asking each time whether the user has cancelled."""
        import comfy.model_management

        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            comfy.model_management.throw_exception_if_processing_interrupted()
            time.sleep(min(NAP, left))
        return io.NodeOutput(image)
