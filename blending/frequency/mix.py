"""Latent frequency mixing: the coarse of one latent under the fine of another."""

from __future__ import annotations

import torch

from .low_pass import low_pass


def mix(detail: torch.Tensor, structure: torch.Tensor, kind: str, factor: float) -> torch.Tensor:
    """The fine of `detail` over the coarse of `structure`: detail + LP(structure) - LP(detail) (ScaleDiff, arXiv 2510.25818).

        >>> mix(torch.tensor([[[[1.0, 3.0]]]]), torch.tensor([[[[7.0, 7.0]]]]), "haar", 2).tolist()
        [[[[6.0, 8.0]]]]

    Args:
        detail, structure: floating point [..., h, w] of one shape, or such that broadcast.
        kind, factor: of the low pass LP, see `low_pass`.

    Returns:
        a new tensor.
    """
    return detail + low_pass(structure, kind, factor) - low_pass(detail, kind, factor)
