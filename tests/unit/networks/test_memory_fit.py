"""The line through measured memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilework.blending.networks.memory_fit import MemoryFit, SharedFit, fit

MB = 1024**2
# Published for a U-Net of 20 MB in FP16: side of the picture, bytes.
REFERENCE = [(128, 60 * MB), (256, 140 * MB), (512, 450 * MB), (1024, 1.6 * 1024 * MB)]


def test_the_published_reference_is_met_within_a_fifth_at_every_point():
    line = fit([(side * side, size) for side, size in REFERENCE])
    off = {side: line.needs(side, side) / size - 1 for side, size in REFERENCE}
    print(f"{line.fixed / MB:.1f} MB + {line.per_pixel:.0f} bytes per pixel: " + ", ".join(f"{s} px {e:+.1%}" for s, e in off.items()))
    assert max(map(abs, off.values())) < 0.2


def test_a_line_is_found_again_and_batches_count_as_pixels():
    line = MemoryFit(25 * MB, 1500.0)
    found = fit([(side * side, line.needs(side, side)) for side in (64, 128, 640)])
    assert found.fixed == pytest.approx(line.fixed) and found.per_pixel == pytest.approx(line.per_pixel)
    assert line.needs(100, 50, batch=4) == line.needs(200, 100)


def test_no_term_is_negative():
    assert fit([(100, 50.0), (200, 200.0)]).fixed == 0 and fit([(100, 50.0), (200, 200.0)]).per_pixel > 0
    flat = fit([(100, 200.0), (200, 100.0)])
    assert flat.per_pixel == 0 and 100 <= flat.fixed <= 200
    for samples in ([(100, 300.0)], [(100, 300.0), (100, 300.0)]):
        assert fit(samples).fixed == 0 and fit(samples).per_pixel == pytest.approx(3.0)


@pytest.mark.parametrize("samples", [[], [(0, 1.0)], [(10, 0.0)], [(10, float("nan"))], [(10, float("inf"))]])
def test_what_is_no_measurement_is_refused(samples):
    with pytest.raises(ValueError, match="measurement"):
        fit(samples)


def test_models_that_share_tiles_need_what_the_hungriest_needs():
    both = SharedFit((MemoryFit(100.0, 1.0), MemoryFit(0.0, 2.0)))
    assert both.needs(5, 5) == 125 and both.needs(50, 50) == 5000


@given(st.lists(st.tuples(st.integers(1, 10**7), st.floats(1, 1e12)), min_size=1, max_size=6))
def test_no_line_without_a_negative_term_comes_nearer(samples):
    """The best one is that of both terms where neither is negative, else that of one of them alone."""
    found = fit(samples)
    assert found.fixed >= 0 and found.per_pixel >= 0

    def away(fixed, per_pixel):
        return sum((fixed / size + per_pixel * pixels / size - 1) ** 2 for pixels, size in samples)

    slopes, heights = [pixels / size for pixels, size in samples], [1 / size for _, size in samples]
    best_slope = sum(slopes) / sum(slope**2 for slope in slopes)
    best_height = sum(heights) / sum(height**2 for height in heights)
    assert away(found.fixed, found.per_pixel) <= min(away(0, best_slope), away(best_height, 0)) + 1e-6
