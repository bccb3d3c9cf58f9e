"""Solar curves: the published points, their gain, their stripes, their phases, and what a picture keeps."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.solar.curves import (
    CHANNELS,
    DEFAULT_POINTS,
    EACH,
    FOUR,
    INVERSIONS,
    LIGHTNESS,
    LUMINANCE,
    MOST_POINTS,
    PEAK,
    PHASES,
    POINTS,
    PRESETS,
    SHAPES,
    SIX,
    SMOOTH,
    TABLES,
    best_slope,
    check_points,
    sampled_curve,
    solar_curve,
)
from tilework.blending.solar.solarize import Range, curve_input, edges, range_of, solarize

LEVELS = torch.arange(256, dtype=torch.float32) / 255
PUBLISHED = {FOUR: [0, 51, 101, 152, 203, 255], SIX: [0, 36, 72, 109, 145, 181, 218, 255], PEAK: [0, 128, 255]}


def stripes(curve, samples=100_001):
    out = curve.at(torch.linspace(0, 1, samples, dtype=torch.float64)) - 0.5
    return int(((out[1:] >= 0) != (out[:-1] >= 0)).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("preset", list(PUBLISHED))
def test_published_points_are_hit_exactly(preset, shape):
    out = solar_curve(preset, shape).at(LEVELS)[PUBLISHED[preset]]
    assert out.dtype == torch.float32
    assert out.tolist() == [float(i % 2) for i in range(len(PUBLISHED[preset]))]


@pytest.mark.parametrize(("preset", "least"), [(FOUR, 4.9), (SIX, 6.89)])
def test_a_step_of_one_level_on_every_run_of_a_table(preset, least):
    curve = solar_curve(preset)
    out = (curve.at(LEVELS.double()) * 255).tolist()
    smallest = min(abs(out[v + 1] - out[v]) for v in range(255))
    print(f"{preset}: smallest step {smallest:.4f} levels")
    assert smallest >= least


@pytest.mark.parametrize("inversions", [1, 4, 6, 9, 16])
def test_a_step_inside_a_run_of_a_wave_is_k_plus_1_times_as_high(inversions):
    curve = solar_curve(INVERSIONS, inversions=inversions)
    for run in range(inversions + 1):
        inside = (torch.tensor([run + 0.2, run + 0.2]) / (inversions + 1)).double()
        inside[1] += 0.5 / 255 / (inversions + 1)
        low, high = curve.at(inside).tolist()
        assert abs(high - low) / (inside[1] - inside[0]).item() == pytest.approx(inversions + 1, abs=1e-6)
    one_level = curve.at(torch.tensor([0.001, 0.001 + 1 / 255]).double()).diff().item() if inversions < 16 else (inversions + 1) / 255
    assert one_level * 255 == pytest.approx(inversions + 1, abs=1e-6)


@pytest.mark.parametrize("preset", [FOUR, SIX, INVERSIONS])
def test_the_smooth_form_has_its_analytic_slope(preset):
    curve = solar_curve(preset, SMOOTH, inversions=5, gain=1.5)
    x = torch.linspace(0.003, 0.997, 4001, dtype=torch.float64)
    h = 1e-6
    measured = ((curve.at(x + h) - curve.at(x - h)) / (2 * h)).abs()
    away = torch.stack([(x - knot).abs() for knot in curve.knots]).amin(0) > 1e-5
    assert (measured - curve.slope(x))[away].abs().max() < 1e-4
    if preset == INVERSIONS:
        assert curve.slope(x).max().item() == pytest.approx(1.5 * 6 * math.pi / 2, rel=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_ramp_shows_k_plus_1_stripes(shape):
    for inversions in range(1, 17):
        assert stripes(solar_curve(INVERSIONS, shape, inversions=inversions)) == inversions + 1
    assert [stripes(solar_curve(preset, shape)) for preset in (FOUR, SIX, PEAK)] == [5, 7, 2]


@given(x=st.floats(-1, 2), inversions=st.integers(1, 16), part=st.floats(1e-7, 1e-4))
@settings(max_examples=200, deadline=None)
def test_the_largest_difference_of_four_phases_is_k_plus_1_times_the_plain_one(x, inversions, part):
    pair = torch.tensor([x, x + part], dtype=torch.float64)
    curve = solar_curve(INVERSIONS, inversions=inversions)
    largest = max(curve.shifted(phase).at(pair).diff().abs().item() for phase in PHASES)
    assert largest == pytest.approx((inversions + 1) * part, rel=1e-6, abs=1e-12)


def test_no_level_is_blind_to_all_phases():
    x = torch.linspace(0, 1, 25_601)
    for shape in SHAPES:
        for preset, k in ((FOUR, 4), (SIX, 6), (PEAK, 1)):
            assert best_slope(solar_curve(preset, shape), x).min() >= k
        for k in range(1, 17):
            assert best_slope(solar_curve(INVERSIONS, shape, inversions=k), x).min() >= k
    straight = best_slope(solar_curve(INVERSIONS, inversions=4), x)
    assert torch.allclose(straight, torch.full_like(straight, 5.0), rtol=1e-5)


@given(phase=st.floats(0, 1), preset=st.sampled_from(PRESETS), shape=st.sampled_from(SHAPES))
@settings(max_examples=60, deadline=None)
def test_one_phase_is_once_round_and_half_of_it_swaps_light_and_dark(phase, preset, shape):
    x = torch.linspace(-0.5, 1.5, 333, dtype=torch.float64)
    curve = solar_curve(preset, shape, phase=phase)
    assert torch.allclose(curve.at(x), curve.shifted(1.0).at(x), atol=1e-9)
    if preset != POINTS:
        assert torch.allclose(curve.at(x) + curve.shifted(0.5).at(x), torch.ones_like(x), atol=1e-9)


def test_beyond_0_and_1_the_wave_goes_on_as_its_mirror_image():
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    for preset in (POINTS, INVERSIONS):
        curve = solar_curve(preset)
        assert torch.allclose(curve.at(-x), curve.at(x)) and torch.allclose(curve.at(2 - x), curve.at(x))
    six = solar_curve(SIX)
    assert torch.equal(six.at(torch.tensor([-36 / 255, -72 / 255])).round(decimals=6), torch.tensor([1.0, 0.0]))


def test_own_points_are_hit_and_gain_turns_about_mid_grey():
    points = [[0, 0.1], [0.3, 0.8], [0.5, 0.25], [1, 1]]
    xs, ys = torch.tensor(points, dtype=torch.float64).unbind(1)
    for shape in SHAPES:
        assert torch.allclose(solar_curve(POINTS, shape, points=points).at(xs), ys)
        assert torch.allclose(solar_curve(POINTS, shape, gain=3, points=points).at(xs), (ys - 0.5) * 3 + 0.5)
    half = solar_curve(POINTS, SMOOTH, points=points).at(torch.tensor([0.15], dtype=torch.float64))
    assert half.item() == pytest.approx(0.45)
    inner = solar_curve(POINTS, points=[[0.25, 0.5], [0.75, 1]])
    assert inner.at(torch.tensor([0.0, 0.1, 0.9])).tolist() == [0.5, 0.5, 1.0] and inner.slope(torch.tensor([0.1])).item() == 0
    assert torch.allclose(sampled_curve([0, 1, 0.5]).at(torch.tensor([0.25, 0.5, 0.75])), torch.tensor([0.5, 1.0, 0.75]))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ("[[0, 0], [1, 1]]", "points is a str"),
        ({"x": 1}, "points is a dict"),
        (None, "points is a NoneType"),
        ([[0, 0]], "1 point: use 2 to 64"),
        ([[i / 99, 0] for i in range(100)], "100 points: use 2 to 64"),
        ([[0, 0], ["<img onerror=x>", 1]], "point 1 of points is a list"),
        ([[0, 0], 7], "point 1 of points is 7"),
        ([[0, 0], "x" * 999], "point 1 of points is 'xxxx"),
        ([[0, 0], [1, 1, 1]], "point 1"),
        ([[0, math.nan], [1, 1]], "point 0"),
        ([[0, 0], [math.inf, 1]], "point 1"),
        ([[0, 0], [10**400, 1]], "point 1"),
        ([[0, 0], [True, 1]], "point 1"),
        ([[0, 0], [1, -0.1]], "point 1"),
        ([[0.5, 0], [0.5, 1]], "x = 0.5 and 0.5"),
    ],
)
def test_untrusted_points_are_refused_in_words(points, words):
    with pytest.raises(ValueError) as caught:
        check_points(points)
    assert words in str(caught.value) and len(str(caught.value)) < 200


def test_points_are_sorted_and_as_many_as_allowed():
    assert check_points([[1, 0], [0, 1]]) == ((0.0, 1.0), (1.0, 0.0))
    assert len(check_points([[i / 63, 0.5] for i in range(MOST_POINTS)])) == MOST_POINTS


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"preset": "five points"}, "preset 'five points' does not exist"),
        ({"shape": "bent"}, "shape 'bent' does not exist"),
        ({"preset": INVERSIONS, "inversions": 0}, "inversions 0 is out of range: use 1 to 16"),
        ({"gain": math.nan}, "gain nan is out of range"),
        ({"phase": math.inf}, "phase inf is no number"),
    ],
)
def test_settings_out_of_range_are_refused_in_words(changed, words):
    with pytest.raises(ValueError, match=words):
        solar_curve(**{"preset": FOUR, **changed})


# ---- pictures


def test_channels():
    picture = torch.rand(1, 40, 50, 3, generator=torch.Generator().manual_seed(1))
    red, green, blue = picture.unbind(-1)
    curve = solar_curve(FOUR)
    grey = solarize(picture, curve, LUMINANCE)
    assert torch.allclose(grey[..., 0], curve.at(0.2126 * red + 0.7152 * green + 0.0722 * blue), atol=1e-5)
    assert torch.equal(grey[..., 0], grey[..., 1]) and torch.equal(grey[..., 0], grey[..., 2])
    assert torch.allclose(solarize(picture, curve, EACH), curve.at(picture))
    greys = torch.linspace(0, 1, 9).view(1, 1, 9, 1).expand(1, 1, 9, 3)
    known = torch.tensor([0.0, 0.1190, 0.2709, 0.4084, 0.5339, 0.6548, 0.7717, 0.8866, 1.0])  # CIE L* / 100 of these greys
    assert torch.allclose(curve_input(greys, LIGHTNESS)[0, 0, :, 0], known, atol=6e-3)
    assert curve_input(greys, LIGHTNESS)[0, 0, -1, 0].item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_alpha_shape_type_and_input_are_kept(channel, channels):
    picture = torch.rand(2, 31, 17, channels, generator=torch.Generator().manual_seed(2)) * 3 - 1
    before = picture.clone()
    out = solarize(picture.half(), solar_curve(SIX), channel)
    assert out.shape == picture.shape and out.dtype == torch.float32
    if channels == 4:
        assert torch.equal(out[..., 3], picture[..., 3].half().float()), "alpha, outside 0..1 too"
    mask = edges(picture, solar_curve(SIX), channel)
    assert mask.shape == (2, 31, 17) and mask.dtype == torch.float32 and mask.min() >= 0 and mask.max() <= 1
    assert torch.equal(picture, before)


def test_values_outside_0_to_1_go_on_along_the_wave_and_gain_is_not_clipped():
    ramp = torch.linspace(-1, 2, 3001).view(1, 1, -1, 1)
    out = solarize(ramp, solar_curve(INVERSIONS, inversions=4))[0, 0, :, 0]
    assert int(((out[1:] >= 0.5) != (out[:-1] >= 0.5)).sum()) == 15, "five stripes each below, inside and above"
    loud = solarize(ramp, solar_curve(INVERSIONS, inversions=4, gain=2))
    assert loud.min() < -0.49 and loud.max() > 1.49


def test_expand_stretches_the_1st_to_99th_percentile_of_each_picture():
    white = 0.97 + 0.02 * torch.rand(1, 200, 300, 3, generator=torch.Generator().manual_seed(3))
    span = range_of(white[0], EACH)
    assert span.low == pytest.approx(0.9702, abs=1e-4) and span.high == pytest.approx(0.9898, abs=1e-4)
    pair = torch.cat((white, white * 0.1))
    out = solarize(pair, solar_curve(POINTS, points=[[0, 0], [1, 1]]), EACH, True)
    inside = (white > span.low) & (white < span.high)
    assert torch.allclose(out[0][inside[0]], span.stretch(white)[inside], atol=1e-5)
    assert torch.allclose(out[0][inside[0]], out[1][inside[0]], atol=1e-3)
    flat = torch.full((1, 8, 8, 3), 0.4)
    assert range_of(flat[0], LUMINANCE) == Range() and torch.isfinite(solarize(flat, solar_curve(FOUR), expand=True)).all()


@pytest.mark.parametrize(("value", "name"), [(math.nan, "NaN"), (math.inf, "Inf")])
def test_nan_and_inf_are_refused_with_the_pictures_number(value, name):
    picture = torch.zeros(2, 4, 4, 3)
    picture[1, 2, 2, 1] = value
    for work in (solarize, edges):
        with pytest.raises(ValueError, match=f"picture 1 has {name} in it"):
            work(picture, solar_curve(FOUR))


# ---- edges


def faint_disc():
    """A disc of 2/255 on 250/255 with grain of 1/255, and each pixel's distance to the rim."""
    y, x = torch.meshgrid(torch.arange(512.0), torch.arange(512.0), indexing="ij")
    away = torch.hypot(y - 255.5, x - 255.5) - 120
    grain = torch.randn(512, 512, generator=torch.Generator().manual_seed(4)) / 255
    return (250 / 255 + (away < 0) * 2 / 255 + grain)[None, ..., None], away


def precision_and_recall(found, away):
    near = away.abs() <= 2
    disc = torch.hypot(*torch.meshgrid(torch.arange(-2.0, 3), torch.arange(-2.0, 3), indexing="ij")) <= 2
    spread = torch.nn.functional.conv2d(found[None, None].float(), disc[None, None].float(), padding=2)[0, 0] > 0
    rim = away.abs() < 0.71
    return (found & near).sum().item() / found.sum().item(), (spread & rim).sum().item() / rim.sum().item()


@pytest.mark.parametrize(("preset", "gain"), [(FOUR, 5), (SIX, 7)])
def test_edges_find_the_rim_of_a_faint_disc_and_so_does_the_plain_gradient(preset, gain):
    picture, away = faint_disc()
    step = 2 / 255
    bent = precision_and_recall(edges(picture, solar_curve(preset))[0] > 0.75 * gain * step, away)
    line = solar_curve(POINTS, points=[[0, 0], [1, 1]])
    plain = precision_and_recall(edges(picture, line)[0] > 0.75 * step, away)
    print(f"{preset}: precision {bent[0]:.3f}, recall {bent[1]:.3f}; without the curve {plain[0]:.3f}, {plain[1]:.3f}")
    assert min(bent) > 0.9
    assert min(plain) > 0.9, "the curve adds contrast, not information"


def test_a_clean_step_reads_its_height_times_the_slope_wherever_it_lies():
    for level in torch.linspace(0.05, 0.9, 12).tolist():
        step = torch.full((1, 24, 40, 3), level)
        step[:, :, 20:] += 2 / 255
        mask = edges(step, solar_curve(INVERSIONS, inversions=4))[0]
        assert mask.max().item() == pytest.approx(10 / 255, rel=1e-3)
        assert mask[:, 19:21].min().item() == pytest.approx(10 / 255, rel=1e-3)
        assert mask[:, :8].max() < 1e-5
    hard = torch.zeros(1, 24, 40, 3)
    hard[:, :, 20:] = 1
    assert edges(hard, solar_curve(FOUR)).max() == 1


def test_parts_of_a_picture_make_no_difference(monkeypatch):
    picture = torch.rand(1, 150, 60, 3, generator=torch.Generator().manual_seed(5))
    whole = [work(picture, solar_curve(SIX), EACH) for work in (solarize, edges)]
    monkeypatch.setattr("tilework.blending.solar.solarize._PIXELS_AT_ONCE", 100)
    parts = [work(picture, solar_curve(SIX), EACH) for work in (solarize, edges)]
    assert torch.equal(whole[0], parts[0]) and torch.allclose(whole[1], parts[1], atol=1e-5)
    done = []
    solarize(picture, solar_curve(SIX), watch=done.append)
    edges(picture, solar_curve(SIX), watch=done.append)
    assert sum(done) == 300 and len(done) > 5
    with pytest.raises(ValueError, match="smoothing 0 is out of range"):
        edges(picture, solar_curve(SIX), smoothing=0)


# ---- the same tables in the browser


def test_the_browsers_tables_are_these():
    source = (Path(__file__).resolve().parents[3] / "web" / "js" / "solar" / "curve_math.js").read_text("utf-8")
    for name, table in TABLES.items():
        assert f'"{name}": {json.dumps(list(table))}' in source
    for names in (PRESETS, SHAPES, CHANNELS):
        assert json.dumps(list(names)) in source
    widget = (Path(__file__).resolve().parents[3] / "web" / "js" / "solar_curve.js").read_text("utf-8")
    assert "FALLBACK_POINTS = " + json.dumps([[int(v) if v == int(v) else v for v in point] for point in DEFAULT_POINTS]) in widget
