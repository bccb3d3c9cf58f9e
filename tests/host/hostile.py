"""Values that have no business in a workflow, and a sound prompt for any node of the pack to put them in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tilework.host.tile_folder import USUAL
from tilework.tests.host.prompts import node

HTML = "<img src=x onerror=window.HACKED=1>"
VALUES: dict[str, Any] = {
    "html": HTML,
    "word": "NaN",
    "negative": -(10**9),
    "huge": 1e308,
    "null": None,
    "true": True,
    "array": [0.5] * 500,
    "nested": [[[[HTML]]]],
    "object": {"__proto__": {"HACKED": 1}, "constructor": {"prototype": {"HACKED": 1}}, HTML: HTML},
}
# The pack's own kinds of sockets, and the host's that it looks into.
LOOKED_INTO = ("IMAGE", "MASK", "LATENT", "TILE_LAYOUT", "CURVE")
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "TILEWORK_CURVE")
# Small, so that what gets through is over soon.
QUICK = {"steps": 1}
SOURCES = {
    "image": node("TileworkTestImage", width=96, height=64, batch=1, channels=3, seed=1, kind="smooth"),
    "latent": node("EmptyLatentImage", width=128, height=128, batch_size=1),
    "model": node("TileworkTestModel", kind="conv denoiser"),
    "upscaler": node("UpscaleModelLoader", model_name="tilework_tiny_x2.safetensors"),
    "split": node("TileworkTileSplit", image=["image", 0], tile_width=64, tile_height=64, overlap=16, multiple_of=8),
}
SOURCES["latent split"] = node(
    "TileworkLatentTileSplit", samples=["latent", 0], tile_width=64, tile_height=64, overlap=16, multiple_of=8, downscale=0
)
SOURCES["mask"] = node("SolidMask", value=1.0, width=96, height=64)
SOURCES["taken"] = node("TileworkTileAt", image=["image", 0], layout=["split", 1], index=0)
SOURCES["found"] = node("TileworkTestDetect", image=["split", 0])
SOURCES["pieces"] = node("TileworkTestSegment", image=["split", 0], individual_masks=True)
SOURCES["wide overlap"] = node("TileworkTileSplit", **{**SOURCES["split"]["inputs"], "overlap": 32})
SOURCES["one tile"] = node("TileworkTileSplit", **{**SOURCES["split"]["inputs"], "tile_width": 1024, "tile_height": 1024})
SOURCES["schedule"] = node("BasicScheduler", model=["model", 0], scheduler="karras", steps=4, denoise=1.0)
SOURCES["clip"] = node("TileworkTestClip")
SOURCES["noise"] = node(
    "TileworkTestLatent", width=12, height=8, batch=1, channels=4, seed=1, frames=0, downscale_ratio=0, mask="", mask_batch=1
)
SOURCES["encoded"] = node("VAEEncode", pixels=["image", 0], vae=["model", 3])
SOURCES["bands"] = node("TileworkBandSplit", image=["image", 0], bands=4, face=0, mode="spline")
SOURCES["network"] = node("TileworkTestModel", kind="unet")
LINKS = {
    "CLIP": ["clip", 0],
    "IMAGE": ["image", 0],
    "MASK": ["mask", 0],
    "BOUNDING_BOX": ["found", 0],
    "LATENT": ["latent", 0],
    "MODEL": ["model", 0],
    "CONDITIONING": ["model", 1],
    "VAE": ["model", 3],
    "UPSCALE_MODEL": ["upscaler", 0],
    "SIGMAS": ["schedule", 0],
    "TILE_LAYOUT": ["split", 1],
}
# Where what fits the type is not yet what fits the node.
OWN_LINKS = {
    "TileworkSeamBlend": {"tiles": ["split", 0]},
    "TileworkAlignTiles": {"tiles": ["wide overlap", 0], "layout": ["wide overlap", 1]},
    "TileworkColorMatch": {"images": ["split", 0], "reference": ["image", 0]},
    "TileworkLatentSeamBlend": {"tiles": ["latent split", 0], "layout": ["latent split", 1]},
    "TileworkTilePrompts": {"layout": ["one tile", 1]},
    "TileworkObjectTiles": {"mask": ["mask", 0]},
    "TileworkPutTile": {"tile": ["taken", 0]},
    "TileworkMergeMasks": {"masks": ["pieces", 0]},
    "TileworkKeepTiles": {"tiles": ["split", 0]},
    "TileworkCanvasGuide": {"reference": ["noise", 0]},
    "TileworkFrequencyGuidance": {"reference": ["noise", 0]},
    "TileworkTileWords": {"latent": ["encoded", 0]},
    "TileworkInvert": {"latent": ["encoded", 0]},
    "TileworkBandJoin": {"bands": ["bands", 0], "residual": ["bands", 1]},
    "TileworkWaveletEdit": {"model": ["network", 0], "source": ["noise", 0]},
}


def leave_a_tile(base: Path) -> None:
    """Put the file where it is that Read Tile File reads with its defaults, into the server's folder `base`."""
    folder = base / "output" / USUAL
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "tile_00000.npy", np.random.default_rng(1).random((1, 64, 64, 3), np.float32))


def kind_of(spec: list[Any]) -> str:
    """The type of an input as /object_info gives it."""
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def inputs_of(info: dict[str, Any]) -> dict[str, list[Any]]:
    """All inputs of a node of /object_info but the hidden ones: name -> [type, options]."""
    return {name: spec for category, specs in info["input"].items() if category != "hidden" for name, spec in specs.items()}


def sound(name: str, info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A prompt in which node "it" is `name` with its defaults, fed by small sources and looked at by an output node.

    Raises ValueError for a required input of a type that LINKS does not know.
    """
    values: dict[str, Any] = {}
    for key, spec in inputs_of(info).items():
        kind, options = kind_of(spec), spec[1] if len(spec) > 1 else {}
        if kind in WIDGETS:
            choices = spec[0] if isinstance(spec[0], list) else options.get("options", [None])
            values[key] = QUICK.get(key, options.get("default", choices[0]))
            if kind == "TILEWORK_CURVE":
                values[key] = {"__value__": values[key]}
        elif key in info["input"].get("required", {}) or kind == "UPSCALE_MODEL":
            # An optional one is one of several of which a node wants one.
            if kind not in LINKS:
                raise ValueError(f"{name} needs {key} of type {kind}, and LINKS has no source for that: add one")
            values[key] = list(LINKS[kind])
    values.update({key: list(link) for key, link in OWN_LINKS.get(name, {}).items()})
    return {**SOURCES, "it": node(name, **values), "end": node("PreviewAny", source=["it", 0])}
