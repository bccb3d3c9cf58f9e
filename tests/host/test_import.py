"""The pack loads light and silent on top of a running host."""

import json
import subprocess
import sys
from pathlib import Path

from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
# The host has these in memory before any pack is loaded.
SCRIPT = """
import sys, asyncio, json, time
sys.path.insert(0, {comfy!r}); sys.argv = ["x", "--cpu"]
import comfy.options; comfy.options.enable_args_parsing()
import torch, PIL.Image, comfy.utils, comfy.model_management, comfy.samplers, comfy.sd, comfy.controlnet, comfy_api.latest
import importlib.util
before = set(sys.modules)
start = time.perf_counter()
spec = importlib.util.spec_from_file_location("pack", {root!r} + "/__init__.py", submodule_search_locations=[{root!r}])
pack = importlib.util.module_from_spec(spec); sys.modules["pack"] = pack; spec.loader.exec_module(pack)
async def load():
    return await (await pack.comfy_entrypoint()).get_node_list()
nodes = asyncio.run(load())
[node.GET_SCHEMA() for node in nodes]
took = time.perf_counter() - start
print("RESULT" + json.dumps({{"new": sorted(m for m in set(sys.modules) - before if not m.startswith("pack")), "ms": took * 1e3, "nodes": len(nodes)}}))
"""


def test_nothing_heavy_is_imported_and_nothing_printed():
    script = SCRIPT.format(comfy=str(find_host().comfy), root=str(ROOT))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    said = json.loads(lines[-1].removeprefix("RESULT"))
    print(f"import of the pack and its {said['nodes']} nodes: {said['ms']:.1f} ms; new modules: {said['new']}")
    assert said["nodes"] >= 4
    heavy = {"scipy", "kornia", "torchvision", "spandrel", "cv2", "pandas", "matplotlib", "transformers", "skimage"}
    assert not heavy & {name.split(".")[0] for name in said["new"]}
    assert len(said["new"]) < 25, said["new"]
    assert len([line for line in lines if not line.startswith("RESULT")]) == 0, lines


def test_the_server_loaded_the_pack_without_a_word_of_complaint(server):
    log = server.log.read_text(encoding="utf-8", errors="replace")
    mine = [line for line in log.splitlines() if "custom_nodes" in line and line.rstrip().endswith("tilework")]
    assert len(mine) == 1 and "IMPORT FAILED" not in mine[0], mine
    print(mine[0])
