"""The linear map that carries one picture's colours to another's at the least cost.

Between two normal distributions optimal transport is linear and has a closed form, the
Monge-Kantorovitch map (Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour
mapping for example-based colour transfer", CVMP 2007): with covariances A and B,

    T = A^-1/2 (A^1/2 B A^1/2)^1/2 A^-1/2

which is symmetric, matches mean and covariance exactly, and mixes channels no more than
it must.
"""

from __future__ import annotations

import torch

# Added to both covariances, so that a flat picture has a map too and equal pictures have the identity.
# As small as it can be: the covariance that comes out is wrong by about this times how much the map stretches.
_REGULARISATION = 1e-6


def _power(matrix: torch.Tensor, exponent: float) -> torch.Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp_min(_REGULARISATION).pow(exponent)) @ vectors.T


def transport(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The Monge-Kantorovitch matrix [C, C] between two covariances [C, C], all float64."""
    ridge = _REGULARISATION * torch.eye(len(source), dtype=source.dtype, device=source.device)
    a, b = source + ridge, target + ridge
    root, inverse = _power(a, 0.5), _power(a, -0.5)
    middle = root @ b @ root
    values, vectors = torch.linalg.eigh((middle + middle.T) / 2)
    matrix = inverse @ ((vectors * values.clamp_min(0).sqrt()) @ vectors.T) @ inverse
    return (matrix + matrix.T) / 2
