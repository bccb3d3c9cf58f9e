"""Frequency separation and what it is for: bands sum to the picture, parts of a retouch are taken by them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.frequency.retouch import PRESETS, transfer_retouch
from tilework.blending.frequency.separation import MODES, SPLINE, band_edges, join_bands, read_gains, separate
from tilework.blending.frequency.smoothing import Smoother, gaussian

FACE = 1000


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 40), st.integers(1, 40), st.sampled_from((1, 3, 4))),
    st.integers(1, 6),
    st.sampled_from((0, 1, 30, 900, 60_000)),
    st.sampled_from(MODES),
)
@settings(max_examples=40, deadline=None)
def test_bands_and_residual_sum_to_the_picture(shape, bands, face, mode):
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    kept = image.clone()
    made, residual = separate(image, bands, face, mode)
    assert len(made) == (bands if mode == SPLINE else 1)
    assert (join_bands(made, residual, [1] * (len(made) + 1)) - image).abs().max() <= 1e-6
    assert torch.equal(image, kept)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 7.5, 22.5, 60.0])
def test_smoothing_is_as_wide_as_asked_and_next_to_a_gaussian(sigma):
    dot = torch.zeros(1, 1001)
    dot[0, 500] = 1
    smooth = Smoother(dot).to(sigma)[0]
    place = torch.arange(1001) - 500
    assert smooth.sum() == pytest.approx(1, abs=1e-5)
    # Further out is rounding alone, which the squares would make much of.
    near = place.abs() <= 8 * sigma + 2
    assert smooth[~near].abs().sum() < 1e-4 or not (~near).any()
    assert math.sqrt(float((smooth * place**2)[near].sum())) == pytest.approx(sigma, rel=1e-3)
    # Nothing comes back at the frequencies that the holes between the taps would let through.
    response, waves = torch.fft.rfft(smooth).abs(), torch.linspace(0, math.pi, 501)
    # A width of less than a pixel cannot be the Gaussian's: it has no more than five taps.
    assert (response - torch.exp(-((sigma * waves) ** 2) / 2)).abs().max() <= (0.05 if sigma >= 1 else 0.2)
    assert waves[-1] < 5 / sigma or response[waves > 5 / sigma].max() <= 0.01


def test_smoothing_goes_with_a_shift_and_is_five_taps_at_a_time():
    from scipy.ndimage import correlate1d

    dots = torch.zeros(2, 200, 200)
    dots[0, 100, 100] = dots[1, 103, 107] = 1
    first, second = (Smoother(dot).to(6.0) for dot in dots)
    assert (first.roll((3, 7), (0, 1)) - second).abs().max() <= 1e-6
    plane = torch.rand(31, 20)
    smoother = Smoother(plane)
    # Three steps: the first of full width, the next with taps one and two pixels apart.
    wanted = plane.numpy()
    for apart in (1, 1, 2):
        taps = [0.0] * (4 * apart + 1)
        taps[::apart] = [1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16]
        for axis in (0, 1):
            wanted = correlate1d(wanted, taps, axis, mode="reflect")
    assert (smoother.to(6**0.5) - torch.from_numpy(wanted)).abs().max() <= 1e-6


def test_the_gaussian_is_scipys():
    from scipy.ndimage import gaussian_filter

    plane = torch.rand(61, 44)
    expected = torch.from_numpy(gaussian_filter(plane.numpy(), 3.0, mode="reflect", truncate=8))
    assert (gaussian(plane, 3.0) - expected).abs().max() <= 1e-5


def test_edges_are_parts_of_the_face_and_gains_are_read():
    assert band_edges(4, 1000) == pytest.approx([2.5, 7.5, 22.5, 67.5])
    assert read_gains(" 0, 1.5;2 ") == [0, 1.5, 2]


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (2, 33, 20, 4), (1, 9, 50, 1)])
def test_gains_of_0_are_the_original_and_of_1_the_retouched(shape):
    original, retouched = torch.rand(2, *shape)
    image, difference = transfer_retouch(original, retouched, [0] * 5)
    assert torch.equal(image, original) and (difference[..., :3] == 0.5).all()
    image, _ = transfer_retouch(original, retouched, [1] * 5)
    assert (image - retouched)[..., :3].abs().max() <= 1e-6
    assert shape[-1] != 4 or torch.equal(image[..., 3], original[..., 3])


def test_a_transfer_is_the_original_and_the_gains_times_the_bands_of_the_difference():
    original, retouched = torch.rand(2, 1, 60, 50, 3)
    gains = [0.2, 1, -0.5, 2, 0.7]
    expected = original + join_bands(*separate(retouched - original, 4, 300), gains)
    image, difference = transfer_retouch(original, retouched, gains, 300)
    assert (image - expected).abs().max() <= 1e-6
    assert (difference - 0.5 - (image - original) / 2).abs().max() <= 1e-6
    mask = (torch.arange(50) < 25).float().expand(1, 60, 50)
    half, _ = transfer_retouch(original, retouched, gains, 300, mask=mask)
    assert torch.equal(half[:, :, 25:], original[:, :, 25:]) and torch.equal(half[:, :, :25], image[:, :, :25])
    faint = (original + torch.randn(1, 60, 50, 3) / 2550).clamp(0, 1)
    assert torch.equal(transfer_retouch(original, faint, [1] * 5, quiet=1)[0], original)


def _texture(side: int, scale: int, soft: float, seed: int) -> torch.Tensor:
    """Pores: noise of `soft` px at a face of 1,000 px, and a little that is wider."""
    noise = torch.randn(side, side, generator=torch.Generator().manual_seed(seed))
    fine, wide = Smoother(noise).to(soft * scale).clone(), Smoother(noise).to(5.0 * scale)
    return 0.6 + 0.02 * fine / fine.std() + 0.002 * wide / wide.std()


@pytest.mark.parametrize(("scale", "soft", "seed"), [(1, 0.5, 0), (1, 0.7, 1), (3, 0.5, 2)])
def test_blemishes_go_and_texture_moles_and_shadows_stay(scale, soft, seed):
    """A cut-out of 400 px per 1,000 of the face; the shadow, which is wider, by its own."""
    face, side = FACE * scale, 400 * scale
    clean = _texture(side, scale, soft, seed)
    smooth = Smoother(clean).to(0.02 * face)
    away = (torch.arange(side) - side / 2) ** 2

    def left_of(sigma: float) -> tuple[float, float]:
        spot = -0.2 * torch.exp(-(away[:, None] + away) / (2 * sigma**2))
        spotted, clear = (
            transfer_retouch(one[None, ..., None], smooth[None, ..., None], PRESETS["blemishes"], face)[0][0, ..., 0]
            for one in (clean + spot, clean)
        )
        left = spotted - clear
        fine = [one - Smoother(one).to(band_edges(1, face)[0]) for one in (clear, clean)]
        return float((left**2).sum() / (spot**2).sum()), float(fine[0].var() / fine[1].var())

    left, kept = left_of(6.0 * scale)
    print(f"face {face}, texture {soft} px: spot left {100 * left:.1f} %, finest band kept {100 * kept:.1f} %")
    assert left <= 0.1 and kept >= 0.9
    if scale == 1:
        mole, shadow = left_of(1.0)[0], left_of(0.2 * face)[0]
        print(f"mole of 1 px {100 * mole:.0f} %, shadow {100 * shadow:.0f} % left")
        assert mole >= 0.5 and shadow >= 0.9


def test_lighting_leaves_the_two_finest_bands():
    clean = _texture(400, 1, 0.5, 3)[None, ..., None]
    place = torch.arange(400.0)
    lit = clean + 0.2 * torch.exp(-((place - 150) ** 2) / (2 * 120**2))[None, None, :, None]
    lit = lit - 0.1 * torch.exp(-((place[:, None] - 200) ** 2 + (place - 200) ** 2) / 72)[None, ..., None]
    image, _ = transfer_retouch(clean, lit, PRESETS["lighting"], FACE)
    before, after = (separate(one, 4, FACE)[0] for one in (clean, image))
    change = (lit - clean).abs().max()
    shares = [float((b - a).abs().max() / change) for b, a in zip(before[:2], after[:2], strict=True)]
    print("lighting: of the change in the two finest bands", shares)
    assert max(shares) <= 0.025


def test_one_original_may_have_a_batch_of_retouches_and_each_is_as_by_itself():
    original, retouched = torch.rand(1, 9, 7, 4), torch.rand(3, 9, 7, 3)
    mask = torch.rand(3, 9, 7)
    kept = original.clone()
    together = transfer_retouch(original, retouched, [0.5, 1, 1], mask=mask)
    assert torch.equal(original, kept)
    for number in range(3):
        alone = transfer_retouch(original, retouched[number : number + 1], [0.5, 1, 1], mask=mask[number : number + 1])
        assert all(torch.equal(one[number : number + 1], other) for one, other in zip(together, alone, strict=True))
    with pytest.raises(ValueError, match="a batch of 3, and original is 7 x 9, a batch of 2"):
        transfer_retouch(original.expand(2, -1, -1, -1), retouched, [1, 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: separate(x, 7), "bands 7 cannot be had: use 1 to 6"),
        (lambda x: separate(x, 4, -1), "face -1 is no height"),
        (lambda x: separate(x, 4, 0, "haar"), "mode 'haar' is not known: use one of spline, gaussian"),
        (lambda x: separate(x * float("nan"), 4), "image has NaN in it"),
        (lambda x: join_bands([x], x, [1, 1, 1]), "3 gains for 1 band and the residual: write 2"),
        (lambda x: join_bands([x[:, :2]], x, [1, 1]), "band 1 is (1, 2, 5, 3) and the residual (1, 4, 5, 3)"),
        (lambda x: read_gains("1, much"), 'gains "1, much" are no numbers'),
        (lambda x: read_gains("1, inf"), "gain inf is none"),
        (lambda x: join_bands([x], x, [1, 1e39]), "gain 1e+39 is none"),
        (lambda x: transfer_retouch(x, x, [1e39, 1]), "gain 1e+39 is none"),
        (lambda x: read_gains("1"), "1 gain cannot be shared out"),
        (lambda x: transfer_retouch(x, x[:, :2], [1, 1]), "retouched is 5 x 2, a batch of 1, and original is 5 x 4"),
        (lambda x: transfer_retouch(x, x, [1, 1], quiet=-1), "quiet -1 is no height of a change"),
        (lambda x: transfer_retouch(x, x, [1, 1], quiet=float("inf")), "quiet inf is no height of a change"),
        (lambda x: transfer_retouch(x, x, [1, 1], mask=x[..., 0] + 2), "mask has values outside of 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(call, words):
    with pytest.raises(ValueError) as caught:
        call(torch.rand(1, 4, 5, 3))
    assert words in str(caught.value)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("mode", MODES)
def test_pictures_of_every_kind_of_number_are_taken_apart(kind, mode):
    picture = torch.rand(1, 9, 7, 3, generator=torch.Generator().manual_seed(5)).to(kind)
    bands, residual = separate(picture, 3, 0, mode)
    assert (sum(bands) + residual - picture.float()).abs().max() <= 1e-6
