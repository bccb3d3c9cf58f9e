"""Hands over to `folder.py`."""

import sys

from .folder import judge_folder

sys.exit(judge_folder())
