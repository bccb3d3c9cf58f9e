"""Hands over to `folder.py`."""

import sys

from .folder import main

sys.exit(main())
