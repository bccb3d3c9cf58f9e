"""Hands over to `folder.py`."""

import sys

from .folder import check_results

sys.exit(check_results())
