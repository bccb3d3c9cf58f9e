"""Hands over to `blending.seam_check.folder`."""

import sys

from ..seam_check.folder import main

sys.exit(main())
