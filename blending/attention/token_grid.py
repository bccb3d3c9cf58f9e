"""Where the image is among the tokens that attend to one another."""

from __future__ import annotations

from typing import NamedTuple

import torch


class TokenGrid(NamedTuple):
    """Tokens of an image in a row, line by line, with others (text, reference pictures) before and behind them.

    Attributes:
        first: tokens before the image.
        rows, columns: of the image, in tokens.
    """

    first: int
    rows: int
    columns: int

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def end(self) -> int:
        """Number of the first token behind the image."""
        return self.first + self.rows * self.columns

    def image(self, tokens: torch.Tensor, dim: int) -> torch.Tensor:
        """The image of [..., tokens, ...] as a view [..., rows, columns, ...] in place of dimension `dim`."""
        return tokens.narrow(dim, self.first, self.rows * self.columns).unflatten(dim, self.size)

    def numbers(self, rows: tuple[int, int], columns: tuple[int, int]) -> torch.Tensor:
        """Numbers of the image's tokens in rows and columns from (including) to (excluding), line by line."""
        lines = torch.arange(*rows)[:, None] * self.columns + torch.arange(*columns)
        return lines.flatten() + self.first


def check_grid_fits(grid: TokenGrid, tokens: int) -> None:
    """Raise ValueError unless the image lies inside of `tokens` tokens."""
    if grid.first < 0 or min(grid.size) < 1 or grid.end > tokens:
        raise ValueError(f"an image of {grid.rows} x {grid.columns} tokens from token {grid.first} on does not fit in {tokens} tokens")
