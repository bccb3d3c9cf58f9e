"""Runs of the host's own sampling code with tiny models, tiled and untiled, in this process; prints the figures as JSON.

    python tests/sampling/tiled_runs.py COMFYUI_FOLDER [all]

A script of its own, because the host can only be set up before it is imported. `test_tiled_runs.py` starts it once and
judges the figures; with `all` every combination is run that the tests only sample.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMFY = sys.argv[1]
EVERYTHING = "all" in sys.argv[2:]
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
from tilework.tests.sampling.figures import composing, exactness, hints, placing  # noqa: E402

CHECKS = {
    "pointwise": partial(exactness.pointwise, EVERYTHING),
    **{
        check.__name__: check
        for check in (
            exactness.convolution, exactness.one_tile, exactness.batches, composing.out_of_memory, hints.noise_mask,
            hints.areas_and_masks, hints.context_windows, composing.composing, composing.guiders, composing.state,
            placing.position_ids, placing.jitter, exactness.half_precision, composing.refusals,
        )
    },
}  # fmt: skip

if __name__ == "__main__":
    for name, check in CHECKS.items():
        print("RESULT" + json.dumps({name: check()}), flush=True)
