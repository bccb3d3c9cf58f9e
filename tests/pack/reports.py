"""Output nodes that say in JSON what reached them, one text per item, for tests to read from the history."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

import torch
from comfy_api.latest import io

from .sources import CATEGORY, FOREIGN_KEY, FOREIGN_VALUE

Record = dict[str, Any]


def _schema(name: str, description: str, inputs: list[io.Input]) -> io.Schema:
    return io.Schema(
        node_id=f"TileworkTest{name}",
        display_name=f"Test {name}",
        category=CATEGORY,
        description=description,
        is_input_list=True,
        is_output_node=True,
        inputs=inputs,
        outputs=[],
    )


def _said(records: list[Record]) -> io.NodeOutput:
    # allow_nan: a NaN in a record would be no JSON; the records have None there.
    return io.NodeOutput(ui={"text": [json.dumps(record, allow_nan=False) for record in records]})


def differences(a: torch.Tensor | None, b: torch.Tensor | None, name: str = "") -> Record:
    """How two tensors differ; either may be missing.

    Returns:
        shape, dtype and contiguous of each (None where it is missing), and max_abs and mean_abs, which are None where
        the shapes differ or where a value is NaN or infinite. Keys begin with `name`.
    """
    record: Record = {}
    for which, tensor in (("a", a), ("b", b)):
        there = tensor is not None
        record[f"{name}shape_{which}"] = list(tensor.shape) if there else None
        record[f"{name}dtype_{which}"] = str(tensor.dtype).removeprefix("torch.") if there else None
        record[f"{name}contiguous_{which}"] = tensor.is_contiguous() if there else None
    largest = mean = None
    if a is not None and b is not None and a.shape == b.shape:
        error = (a.detach().cpu().float() - b.detach().cpu().float()).abs_()
        # A sum of a hundred million float32 needs float64 to add up.
        largest, mean = float(error.max()), float(error.mean(dtype=torch.float64))
    finite = largest is not None and torch.isfinite(torch.tensor([largest, mean])).all()
    record[f"{name}max_abs"] = largest if finite else None
    record[f"{name}mean_abs"] = mean if finite else None
    return record


def latent_differences(a: Record | None, b: Record | None) -> Record:
    """How two LATENTs differ: samples and noise mask, and whether batch_index is equal and `a` still has the foreign key."""
    a, b = a or {}, b or {}
    return {
        **differences(a.get("samples"), b.get("samples"), "samples_"),
        **differences(a.get("noise_mask"), b.get("noise_mask"), "mask_"),
        "batch_index_a": a.get("batch_index"),
        "batch_index_b": b.get("batch_index"),
        "batch_index_equal": a.get("batch_index") == b.get("batch_index"),
        "foreign_kept": a.get(FOREIGN_KEY) == FOREIGN_VALUE,
        "downscale_ratio_a": a.get("downscale_ratio_spacial"),
        "downscale_ratio_b": b.get("downscale_ratio_spacial"),
        "keys_a": sorted(a),
        "keys_b": sorted(b),
    }


class Compare(io.ComfyNode):
    """Two lists of IMAGE -> one text per pair."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        inputs = [io.Image.Input("a", tooltip="What came out."), io.Image.Input("b", tooltip="What should have come out.")]
        return _schema("Compare", "How two pictures differ, pair by pair; one that has no partner is reported too.", inputs)

    @classmethod
    def execute(cls, a, b) -> io.NodeOutput:
        """Compare pair by pair."""
        return _said([differences(one, other) for one, other in zip_longest(a, b)])


class CompareLatent(io.ComfyNode):
    """Two lists of LATENT -> one text per pair."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        inputs = [io.Latent.Input("a", tooltip="What came out."), io.Latent.Input("b", tooltip="What should have come out.")]
        return _schema("CompareLatent", "How two latents differ, pair by pair; one that has no partner is reported too.", inputs)

    @classmethod
    def execute(cls, a, b) -> io.NodeOutput:
        """Compare pair by pair."""
        return _said([latent_differences(one, other) for one, other in zip_longest(a, b)])


class Count(io.ComfyNode):
    """List of IMAGE -> one text: how many, and their shapes."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """The node as the host shows it."""
        return _schema("Count", "How many pictures came, and their shapes.", [io.Image.Input("images", tooltip="The pictures to count.")])

    @classmethod
    def execute(cls, images) -> io.NodeOutput:
        """Count."""
        return _said([{"count": len(images), "shapes": [list(image.shape) for image in images]}])
