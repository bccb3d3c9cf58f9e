"""Developer tools: a real ComfyUI to run Tilework in, its server, and the demonstration.

Nothing here is part of the node pack. Modules that work before the virtual environment
exists (environment, comfy_source, virtual_environment, ...) import the standard library only.
"""

from pathlib import Path

# What the tools share with farm.py is part of the pack and lies in machines/: `tools.process` is machines/process. A relative
# import cannot reach it, for `python dev.py` and `python -m tools.…` know no package above this one.
__path__.append(str(Path(__file__).resolve().parent.parent / "machines"))
