"""Tiled Attention through the host's own sampling code, with tiny models, in this process; prints the figures as JSON.

    python tests/sampling/attention_runs.py COMFYUI_FOLDER

A script of its own, because the host can only be set up before it is imported. `test_attention_runs.py` starts it once.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMFY = sys.argv[1]
sys.path.insert(0, COMFY)
sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import torch  # noqa: E402

torch.set_num_threads(1)


def _pack(name: str, path: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, path / "__init__.py", submodule_search_locations=[str(path)])
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


_pack("tilework", ROOT)
_pack("tilework_test", ROOT / "tests" / "pack")
from tilework.tests.sampling.figures import attention  # noqa: E402

if __name__ == "__main__":
    for check in attention.CHECKS:
        print("RESULT" + json.dumps({check.__name__: check()}), flush=True)
