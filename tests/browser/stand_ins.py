"""What a template asks of a person's disk: empty files under the names of the models it loads."""

from __future__ import annotations

import json
from pathlib import Path

# Which folder of models a loader of the core lists.
FOLDERS = {
    "CheckpointLoaderSimple": "checkpoints",
    "UNETLoader": "diffusion_models",
    "VAELoader": "vae",
    "CLIPLoader": "text_encoders",
    "DualCLIPLoader": "text_encoders",
    "ControlNetLoader": "controlnet",
    "LoraLoader": "loras",
    "LoraLoaderModelOnly": "loras",
    "UpscaleModelLoader": "upscale_models",
}
# Made by tools/demo/materials.py, and real.
REAL = ("tilework_tiny_x2.safetensors",)


def model_files(templates: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Empty files for every model that a template names, so that it opens as it does for a person who has them.

    Args:
        templates: workflow files.
        folder: where the empty files are written.

    Returns the files by the host's folder of models. Raises ValueError for a loader that is not in FOLDERS.
    """
    files: dict[str, set[Path]] = {}
    for path in templates:
        for node in json.loads(path.read_text("utf-8"))["nodes"]:
            values = node.get("widgets_values") or []
            for name in values if isinstance(values, list) else values.values():
                if not isinstance(name, str) or not name.endswith((".safetensors", ".pth", ".ckpt", ".gguf")) or name in REAL:
                    continue
                if node["type"] not in FOLDERS:
                    raise ValueError(f"{path.name}: {node['type']} loads {name}, and FOLDERS does not say from where. Add it.")
                file = folder / FOLDERS[node["type"]] / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch()
                files.setdefault(FOLDERS[node["type"]], set()).add(file)
    return {kind: sorted(found) for kind, found in files.items()}
