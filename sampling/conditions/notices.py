"""Warnings that are said once per sampling run, however many tiles and steps there are."""

from __future__ import annotations

import logging


class Notices:
    """One per sampling run: remembers what has been said."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def warn(self, kind: str, message: str) -> None:
        """Log `message` as a warning unless something of this `kind` was said before."""
        if kind not in self._said:
            self._said.add(kind)
            logging.warning("Tilework: %s", message)
