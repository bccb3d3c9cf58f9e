"""What an edit changed is found beside what it only moved and tinted, and nothing else of the original is touched."""

import re

import pytest
import torch
from tilework.blending.changes.merge import MergeSettings, merge_changes
from tilework.tests.unit.changes.edit_scenes import (
    PHOTOGRAPHS,
    SIDE,
    eight_bit,
    lighter,
    moved,
    noisy,
    overlap_over_union,
    patched,
    photograph,
    square,
)

STILL = MergeSettings(align="off")
CROP = 288  # pixels of the photographs, all of which --release takes


@pytest.fixture(scope="module")
def side(request):
    return None if request.config.getoption("--release") else CROP


@pytest.fixture(scope="module")
def portrait():
    """The middle of a photograph, and the same with one patch painted over."""
    original = photograph("astronaut", 192)
    return original[None], patched(original, 70, 90, 20.0)[None], square(original, 70, 90)


def untouched(out, original, mask):
    return torch.equal(out[mask == 0], original[mask == 0])


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_drift_and_a_moved_frame_are_no_change_and_a_patch_on_them_is(name, side):
    original = photograph(name, side)
    alone = merge_changes(original[None], eight_bit(moved(lighter(original)))[None])
    top, left = round(0.55 * original.shape[0]) - SIDE // 2, round(0.45 * original.shape[1]) - SIDE // 2
    edited = eight_bit(noisy(moved(lighter(patched(original, top, left)))))
    merged = merge_changes(original[None], edited[None])
    score = overlap_over_union(merged.areas[0].inside, square(original, top, left))
    print(f"\n{name}: alone {alone.areas[0].count} areas; patch: intersection over union {score:.3f}; {merged.report}", end="")
    assert alone.areas[0].count == 0 and alone.image.shape == (1, *original.shape) and not alone.mask.any()
    across, down, scale = (float(number) for number in re.findall(r"[+-][0-9.]+", alone.report.split("frame: ")[1])[:3])
    assert abs(across + 3.4) < 0.1 and abs(down - 3.4) < 0.1 and abs(scale - 0.5) < 0.15
    assert torch.equal(alone.image[0], original)
    assert score >= 0.9 and untouched(merged.image[0], original, merged.mask[0])


def test_identical_pictures_give_the_original_itself():
    original = torch.rand(2, 40, 50, 3)
    merged = merge_changes(original, original.clone())
    assert merged.image is original and not merged.mask.any() and "identical, bit for bit" in merged.report


def test_nothing_changed_gives_the_original_itself(portrait):
    original = portrait[0]
    merged = merge_changes(original, eight_bit(original + 0.004))
    assert merged.image is original and "Nothing has changed" in merged.report


@pytest.mark.parametrize("kind", ["flat grain", "stripes", "banded gradient"])
def test_a_picture_without_structure_is_not_moved(kind):
    generator = torch.Generator().manual_seed(3)
    first, second = (0.5 + 2 / 255 * torch.randn(160, 160, 3, generator=generator) for _ in range(2))
    if kind == "stripes":
        wave = 0.2 * torch.sin(torch.arange(160.0) * 0.4)[:, None, None]
        first, second = first + wave, second + wave.roll(2, 0)
    if kind == "banded gradient":
        ramp = torch.linspace(0.2, 0.3, 160)[None, :, None].expand(160, -1, 3)
        first, second = eight_bit(ramp), eight_bit(ramp + 0.0017)
    merged = merge_changes(first[None], second[None])
    print(merged.report)
    assert "frame: left where it is" in merged.report
    if kind != "stripes":
        assert merged.areas[0].count == 0


@pytest.mark.parametrize("blend", ["gradient", "feather"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("grow", "feather"), [(0, 0), (8, 16), (3, 0)])
def test_outside_the_feather_every_bit_is_the_originals(portrait, blend, channels, grow, feather):
    original, edited, truth = portrait
    if channels == 1:
        original, edited = (one.mean(-1, keepdim=True) for one in (original, edited - 0.2 * truth[None, ..., None]))
    if channels == 4:
        alpha = torch.ones(1, 192, 192, 1)
        alpha[:, :30] = 0.0
        alpha[:, 150:] = 0.4
        original = torch.cat((original, alpha), -1)  # the edit has none, as edit models give it
    before = original.clone(), edited.clone()
    merged = merge_changes(original, edited, MergeSettings(grow=grow, feather=feather, blend=blend, align="off"))
    assert torch.equal(original, before[0]) and torch.equal(edited, before[1])
    assert merged.areas[0].count == 1 and overlap_over_union(merged.areas[0].inside, truth) > 0.9
    assert merged.image.shape == original.shape and merged.image.isfinite().all()
    assert untouched(merged.image[0], original[0], merged.mask[0])
    reach = torch.nn.functional.max_pool2d(truth[None].float(), 2 * (grow + feather + 4) + 1, 1, grow + feather + 4)[0]
    assert not merged.mask[0][reach == 0].any() and float(merged.mask[0][truth].mean()) > 0.9
    if channels == 4:
        assert torch.equal(merged.image[..., 3], original[..., 3])
    inner = torch.zeros_like(truth)
    inner[80:100, 100:120] = True
    aim = edited if channels < 4 else torch.cat((edited, original[..., 3:]), -1)
    assert float((merged.image[0][inner] - aim[0][inner]).abs().max()) < 0.02, "the edit itself is taken as it is"


def test_the_gradient_meets_the_original_where_the_mask_ends(portrait):
    """A whole that is lighter by 8 levels, whose colours are not matched: feathered to nothing, it leaves a step; solved, none."""
    original, edited, _ = portrait
    lightened = edited + 8 / 255
    steps = {}
    for blend in ("gradient", "feather"):
        settings = STILL._replace(grow=12, feather=0, match_color=False, blend=blend)
        merged = merge_changes(original, lightened, settings)
        taken = merged.mask[0] > 0
        rim = taken & (torch.nn.functional.max_pool2d((~taken)[None].float(), 3, 1, 1)[0] > 0)
        assert merged.areas[0].count == 1 and rim.sum() > 100
        steps[blend] = float((merged.image[0] - original[0])[rim].mean().abs()) * 255
    print(steps)
    assert steps["feather"] > 7 and steps["gradient"] < 0.05


def test_match_color_takes_the_drift_out_of_what_is_put_in(portrait):
    original, edited, truth = portrait
    drifted = lighter(edited[0], 4.0)[None]
    for match, most in ((True, 0.5), (False, 99.0)):
        merged = merge_changes(original, drifted, STILL._replace(match_color=match, blend="feather"))
        off = float((merged.image[0] - edited[0])[truth].mean()) * 255
        print(match, off, merged.report)
        assert abs(off) < most and (match or off > 6)
        assert "drifted by up to Delta-E 4" in merged.report


def test_a_frame_that_moved_by_whole_pixels_is_put_back_exactly(portrait):
    original, edited, truth = portrait
    rolled = torch.nn.functional.pad(edited[:, :-5, 3:].movedim(-1, 1), (0, 3, 5, 0), mode="replicate").movedim(1, -1)
    merged = merge_changes(original, rolled, MergeSettings(align="shift", match_color=False, blend="feather"))
    assert "moved by -3.00 px across and +5.00 px down; undone" in merged.report
    assert torch.equal(merged.image[0][truth], edited[0][truth])
    left = merge_changes(original, rolled, MergeSettings(align="off"))
    assert left.areas[0].inside.sum() > 2 * truth.sum() and "align is off" in left.report


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.5])
def test_an_edit_of_another_size_is_brought_to_the_originals(portrait, scale):
    original, edited, truth = portrait
    size = [round(side * scale) for side in original.shape[1:3]]
    resized = torch.nn.functional.interpolate(edited.movedim(-1, 1), size=size, mode="bicubic", antialias=True).movedim(1, -1)
    merged = merge_changes(original, eight_bit(resized))
    print(merged.report)
    assert f"size: the edited picture is {size[1]} x {size[0]} and was brought to 192 x 192" in merged.report
    assert overlap_over_union(merged.areas[0].inside, truth) > 0.75
    assert untouched(merged.image[0], original[0], merged.mask[0])
    assert float((merged.image[0] - edited[0])[truth].abs().mean()) < 0.06


def test_changes_are_taken_only_where_the_mask_allows(portrait):
    original, edited, _ = portrait
    twice = edited.clone()
    twice[:, 10:40, 10:40] = 1 - twice[:, 10:40, 10:40]
    mask = torch.zeros(1, 192, 192)
    mask[:, :, 60:] = 1.0
    free, held = merge_changes(original, twice, STILL), merge_changes(original, twice, STILL, mask)
    assert free.areas[0].count == 2 and held.areas[0].count == 1
    assert torch.equal(held.image[..., :60, :], original[..., :60, :]) and not held.mask[..., :60].any()
    none = merge_changes(original, edited, STILL, torch.zeros(1, 192, 192))
    assert none.image is original


def test_every_picture_of_a_batch_by_itself(portrait):
    original, edited, _ = portrait
    other = patched(original[0], 20, 30, 20.0)[None]
    both = merge_changes(original.expand(2, -1, -1, -1), torch.cat((edited, other)), STILL)
    one = merge_changes(original, torch.cat((edited, other)), STILL)
    alone = [merge_changes(original, single, STILL) for single in (edited, other)]
    for merged in (both, one):
        assert merged.image.shape[0] == 2 and merged.report.count("of the batch") == 2
        for index in (0, 1):
            assert torch.equal(merged.image[index], alone[index].image[0]) and torch.equal(merged.mask[index], alone[index].mask[0])


def test_an_edit_may_be_the_larger_part(portrait):
    """Three fifths are another picture: what is left tells tone and noise nevertheless."""
    original, edited = portrait[0], portrait[0] * 0.9 + 0.05
    edited[:, :, :115] = photograph("coffee", 192)[:, :115]
    inside = merge_changes(original, eight_bit(edited), STILL).areas[0].inside
    assert float(inside[:, :113].float().mean()) > 0.9 and not inside[:, 119:].any()


def test_alpha_that_was_edited_is_a_change_and_hidden_colour_is_none(portrait):
    original = torch.cat((portrait[0], torch.ones(1, 192, 192, 1)), -1)
    edited = original.clone()
    edited[:, 70:110, 90:130, 3] = 0.0
    merged = merge_changes(original, edited, STILL._replace(grow=2, feather=2))
    assert merged.areas[0].count == 1 and not merged.image[0, 75:105, 95:125, 3].any()
    hidden = original.clone()
    hidden[:, 70:110, 90:130, 3] = 0.0
    painted = hidden.clone()
    painted[:, 72:108, 92:128, :3] = 1.0
    assert merge_changes(hidden, painted, STILL).image is hidden


def test_work_is_told_and_half_precision_is_taken(portrait):
    told = []
    original, edited, _ = (one.half() if one.is_floating_point() else one for one in portrait)
    merged = merge_changes(original, edited, STILL, step=lambda done, total: told.append((done, total)))
    assert merged.image.dtype == torch.float32 and untouched(merged.image[0], original[0].float(), merged.mask[0])
    assert told[-1] == (100, 100) and told == sorted(told)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"edited": torch.zeros(1, 192, 140, 3)}, "edited is 140 x 192 and original 192 x 192, which is another shape"),
        ({"edited": torch.full((1, 192, 192, 3), float("nan"))}, "edited has NaN in it"),
        ({"edited": torch.zeros(3, 192, 192, 3), "original": torch.zeros(2, 192, 192, 3)}, "original has a batch of 2 and edited one of 3"),
        ({"mask": torch.zeros(1, 64, 64)}, "mask is 64 x 64, a batch of 1, and original is 192 x 192"),
        ({"mask": torch.full((1, 192, 192), float("inf"))}, "mask has Inf in it"),
        ({"mask": torch.full((1, 192, 192), 1.5)}, "mask has values outside of 0 to 1: .*1.5"),
        ({"mask": torch.full((1, 192, 192), -0.5)}, "mask has values outside of 0 to 1: .*-0.5"),
        ({"settings": MergeSettings(threshold=0.0)}, "threshold 0.0 is no colour difference"),
        ({"settings": MergeSettings(grow=-1)}, "grow is -1"),
        ({"settings": MergeSettings(align="rotate")}, "align 'rotate' is not known: use one of shift, shift and scale, off"),
        ({"settings": MergeSettings(blend="alpha")}, "blend 'alpha' is not known"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(portrait, change, words):
    with pytest.raises(ValueError, match=words):
        merge_changes(**{"original": portrait[0], "edited": portrait[1], **change})
