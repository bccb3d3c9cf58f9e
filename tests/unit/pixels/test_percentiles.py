import numpy as np
import pytest
import torch
from tilework.blending.pixels.percentiles import percentiles

SHARES = (0, 0.1, 1, 37.5, 50, 99, 100)


@pytest.mark.parametrize("values", [
    torch.randn(1, generator=torch.Generator().manual_seed(1)),
    torch.randn(1237, 3, generator=torch.Generator().manual_seed(2)) ** 9,
    torch.randint(-3, 4, (50, 70), generator=torch.Generator().manual_seed(3)).float(),
    torch.rand(60, 41, generator=torch.Generator().manual_seed(4)).T[:, ::2] * 1e-30,
    torch.rand(1100, 1000, generator=torch.Generator().manual_seed(5)),
])  # fmt: skip
def test_they_are_those_of_numpy(values):
    found, wanted = percentiles(values, SHARES), np.percentile(values.double().numpy(), SHARES)
    assert np.allclose(found, wanted, rtol=1e-12, atol=0), (found, wanted)


def test_what_has_no_percentiles_is_refused():
    with pytest.raises(ValueError, match="101 is no percentile"):
        percentiles(torch.ones(3), [101])
    with pytest.raises(ValueError, match="one float32 value or more"):
        percentiles(torch.ones(0), [1])
