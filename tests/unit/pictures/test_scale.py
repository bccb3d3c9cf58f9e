"""The scale and the colours of an influence."""

import numpy as np
import pytest
from tilework.pictures.scale import HIGH, LOW, MARKS, colored, share


def test_decades_are_of_one_length_and_the_ends_hold():
    assert share(LOW) == 0 and share(HIGH) == pytest.approx(1)
    assert share(0.0) == 0 and share(1e9) == pytest.approx(1)
    assert np.diff(share(np.array(MARKS))) == pytest.approx(1 / np.log10(HIGH / LOW))


def test_more_is_brighter():
    colors = colored(np.linspace(0, 1, 50).reshape(5, 10))
    assert colors.shape == (5, 10, 3) and colors.dtype == np.uint8
    assert (np.diff(colors.reshape(50, 3).astype(int) @ [299, 587, 114]) > 0).all()
