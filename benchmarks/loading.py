"""Finding what is measured: the pack, loaded as the host loads it, a real ComfyUI, and MONAI.

The pack is needed; the other two are left out, with a line on stderr, where they are
not installed.
"""

from __future__ import annotations

import atexit
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

PACK = Path(__file__).resolve().parent.parent


def note(text: str) -> None:
    """A line of progress, on stderr: stdout is for the table alone."""
    print(text, file=sys.stderr, flush=True)


@cache
def load_pack() -> None:
    """Register the pack as `tilework`, whatever its folder is called."""
    if "tilework" in sys.modules:
        return  # a test has done it
    spec = importlib.util.spec_from_file_location("tilework", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
    module = importlib.util.module_from_spec(spec)
    sys.modules["tilework"] = module
    spec.loader.exec_module(module)


def blending(module: str = "") -> ModuleType:
    """The library, or one module of it."""
    load_pack()
    return importlib.import_module("tilework.blending" + (module and f".{module}"))


def host_root() -> Path:
    """The folder that dev.py sets a host up in: `.host`, or the one that TILEWORK_HOST names."""
    load_pack()
    return importlib.import_module("tilework.tools.setup.environment").host_folder()


def tiny_file() -> Path:
    """The tiny trained upscaler, where dev.py has made it."""
    return host_root() / "models" / "tilework_tiny_x2.safetensors"


def _host_folder() -> Path | None:
    """COMFYUI_PATH, else the ComfyUI the pack is installed in, else the one its own set-up made."""
    given = os.environ.get("COMFYUI_PATH")
    for folder in [Path(given)] if given else [PACK.parent.parent, host_root() / "ComfyUI"]:
        if (folder / "comfy_extras" / "nodes_images.py").is_file():
            return folder
    return None


@cache
def load_host() -> bool:
    """Make the host importable, as on a machine without a GPU; False where there is none."""
    folder = _host_folder()
    if folder is None:
        note("no ComfyUI here: its nodes and ours are left out (set COMFYUI_PATH)")
        return False
    sys.path.insert(0, str(folder))
    arguments, sys.argv = sys.argv, ["benchmark", "--cpu"]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args  # reads sys.argv when it is first imported
        import comfy.model_management
    finally:
        sys.argv = arguments
    import folder_paths

    # Nodes save a small picture of what they did, and what they measured of a model: the host's own folders are not ours to fill,
    # and what is in there is to change no figure.
    scratch = tempfile.mkdtemp(prefix="tilework-benchmark-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    folder_paths.set_temp_directory(scratch)
    folder_paths.set_user_directory(os.path.join(scratch, "user"))
    return True


def node(module: str, name: str) -> Any:
    """A node class of the pack, or None where there is no host or no such node (yet)."""
    if not load_host():
        return None
    load_pack()
    try:
        return getattr(importlib.import_module(f"tilework.nodes.{module}"), name)
    except (ImportError, AttributeError) as error:
        note(f"the node {name} is left out: {error}")
        return None


def run_node(cls: Any, **values: Any) -> tuple[Any, ...]:
    """Execute a V3 node with its schema's defaults where nothing is given; a node that takes lists must be given lists."""
    schema = cls.define_schema()
    given = {i.id: i.default for i in schema.inputs if not i.optional and getattr(i, "default", None) is not None}
    if schema.is_input_list:
        given = {name: [value] for name, value in given.items()}
    return cls.PREPARE_CLASS_CLONE(None).execute(**{**given, **values}).result


def load_upscale_model(file: Path) -> Any:
    """An UPSCALE_MODEL from a file, by the host's own node."""
    import folder_paths

    folder_paths.add_model_folder_path("upscale_models", str(file.absolute().parent))
    loader = importlib.import_module("comfy_extras.nodes_upscale_model").UpscaleModelLoader
    return run_node(loader, model_name=file.name)[0]


@cache
def monai_inference() -> Any:
    """MONAI's sliding_window_inference, or None."""
    try:
        from monai.inferers import sliding_window_inference
    except ImportError:
        note("MONAI is left out: pip install -r benchmarks/requirements.txt")
        return None
    return sliding_window_inference
