#!/usr/bin/env python3
"""Pictures through a workflow without the editor: python farm.py run | folder.

Needs Python 3.10 or newer; `python farm.py --help` says more.
"""

import sys

OLDEST = (3, 10)


def run():
    if sys.version_info < OLDEST:
        print("This needs Python 3.10 or newer and was started with " + sys.version.split()[0] + ": use another one.")
        return 2
    try:
        import importlib.util
        from pathlib import Path

        # The pack under one name, as ComfyUI loads it by its path.
        folder = Path(__file__).resolve().parent
        spec = importlib.util.spec_from_file_location("tilework", folder / "__init__.py", submodule_search_locations=[str(folder)])
        sys.modules["tilework"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["tilework"])
        from tilework.machines.commands import obey

        return obey(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.exit(run())
