"""The demonstration's measure and its picture."""

import pytest

numpy = pytest.importorskip("numpy")
pytest.importorskip("PIL")
from tilework.tools.demo.seam_step import ALONG, BORDER, Seam, luminance, most_visible, pieces, seam_step, window, worst_step  # noqa: E402
from tilework.tools.demo.strip import MAGNIFICATION, MARGIN, TITLE_HEIGHT, Panel, draw_strip, gain_for, stretched  # noqa: E402


def stepped(height, width, across, levels):
    error = numpy.zeros((height, width))
    error[:, across:] = levels
    return error


def test_a_known_step_is_measured_exactly_in_both_directions():
    assert seam_step(stepped(100, 200, 90, 3.5), Seam(90, 20, True)) == 3.5
    assert seam_step(stepped(200, 100, 90, 3.5).T, Seam(90, 20, False)) == 3.5
    assert seam_step(stepped(100, 200, 90, 3.5), Seam(150, 20, True)) == 0, "not near that seam"


def test_the_photograph_itself_is_not_taken_for_a_step():
    photograph = numpy.random.default_rng(0).uniform(0, 255, (100, 200))
    assert seam_step(photograph - photograph, Seam(90, 20, True)) == 0


def test_rounding_to_8_bits_adds_less_than_half_a_level():
    smooth = numpy.random.default_rng(0).uniform(0, 255, (100, 200))
    assert seam_step(smooth.round() - smooth, Seam(90, 20, True)) < 0.5


def test_the_most_visible_seam_is_the_smooth_one():
    rng = numpy.random.default_rng(0)
    reference = numpy.full((400, 400), 120.0)
    reference[:200] += rng.uniform(-60, 60, (200, 400))
    error = stepped(400, 400, 200, 5.0)
    error[:200] *= 2
    assert most_visible(error, reference, [[], [200]]).start >= 200 - ALONG
    error[:200] *= 100
    assert most_visible(error, reference, [[], [200]]).start < 200, "a step that is large enough shows in texture, too"


def test_black_areas_are_not_chosen():
    reference = numpy.full((400, 400), 120.0)
    reference[:, :250] = 0
    error = numpy.zeros((400, 400))
    error[:, 100:] = 20
    error[:, 325:] = 23
    assert most_visible(error, reference, [[], [100, 325]]).across == 325
    assert worst_step(error, [[], [100, 325]]) == 20


def test_pieces_keep_away_from_the_border_where_they_can():
    starts = [piece.start for piece in pieces([[], [50]], (400, 100))]
    assert min(starts) == BORDER
    assert max(starts) + ALONG <= 400 - BORDER
    assert [piece.start for piece in pieces([[], [50]], (ALONG, 100))] == [0]


def test_no_boundary_is_said():
    with pytest.raises(ValueError, match="one tile"):
        most_visible(numpy.zeros((100, 100)), numpy.zeros((100, 100)), [[], []])


@pytest.mark.parametrize("seam", [Seam(0, 0, True), Seam(299, 250, True), Seam(150, 100, False)])
def test_the_window_lies_inside_the_picture(seam):
    rows, columns = window(seam, (300, 300))
    assert 0 <= rows.start < rows.stop <= 300
    assert 0 <= columns.start < columns.stop <= 300


def test_the_window_has_the_seam_in_its_middle():
    rows, columns = window(Seam(150, 100, True), (300, 300))
    assert (columns.start + columns.stop) // 2 == 150
    assert (rows.start + rows.stop) // 2 == 100 + ALONG // 2


def test_luminance_weighs_the_channels():
    assert luminance(numpy.full((2, 2, 3), 200, numpy.uint8)) == pytest.approx(200)
    assert luminance(numpy.array([[[0, 255, 0]]], numpy.uint8))[0, 0] == pytest.approx(0.7152 * 255)


def test_contrast_is_stretched_around_the_given_colour():
    cut = numpy.array([[[100, 100, 100], [110, 90, 100]]], numpy.uint8)
    assert stretched(cut, numpy.array([100, 100, 100]), 4).tolist() == [[[128, 128, 128], [168, 88, 128]]]
    assert gain_for(cut, numpy.array([100, 100, 100])) == 4
    assert gain_for(numpy.array([[[0, 0, 0], [255, 255, 255]]], numpy.uint8), numpy.array([128, 128, 128])) == 2


def test_the_strip_shows_the_very_pixels_at_400_percent():
    picture = numpy.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=numpy.uint8)
    seam = Seam(150, 100, True)
    strip = draw_strip([Panel("one", picture, 1.0), Panel("two", picture, 2.0)], seam, ["note"])
    cut = picture[window(seam, (300, 300))]
    top, left = MARGIN + TITLE_HEIGHT, MARGIN
    shown = numpy.asarray(strip)[top : top + MAGNIFICATION * cut.shape[0], left : left + MAGNIFICATION * cut.shape[1]]
    assert (shown[::MAGNIFICATION, ::MAGNIFICATION] == cut).all()
    assert (shown[3::MAGNIFICATION, 3::MAGNIFICATION] == cut).all()
