#!/usr/bin/env python3
"""Try, test and measure Tilework on a real ComfyUI: python dev.py demo | serve | test | bench.

Needs Python 3.11 or newer and nothing else; `python dev.py --help` says more.
"""

import sys

OLDEST = (3, 11)


def run():
    if sys.version_info < OLDEST:
        print("This needs Python 3.11 or newer and was started with " + sys.version.split()[0] + ": use another one.")
        return 2
    try:
        from tools.commands import main

        return main(sys.argv[1:])
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.exit(run())
