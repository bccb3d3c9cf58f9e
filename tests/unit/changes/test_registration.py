"""The frame of a large picture is found at whatever scale the picture has structure, and kept from there to single pixels."""

import pytest
import torch
from tilework.blending.changes import registration
from tilework.blending.changes.registration import find_edit_frame
from tilework.tests.unit.changes.edit_scenes import eight_bit, moved, photograph

SIDE = 640
COARSE = 160  # so that a small picture is looked at in cells of 4, 2 and 1, as a large one is in cells of 16 and fewer


@pytest.fixture(autouse=True)
def _as_if_large(monkeypatch):
    monkeypatch.setattr(registration, "_COARSE", COARSE)
    monkeypatch.setattr(registration, "_ACROSS", 4)


def ramps(side=SIDE, grain=0.1):
    """Soft ramps with grain, which means over cells leave nothing of."""
    y, x = (torch.linspace(0, end, side) for end in (7, 9))
    ground = 0.45 + 0.4 * torch.sin(y[:, None, None] + x[:, None] + torch.tensor([0.0, 2.1, 4.2]))
    return ground + grain * (torch.rand(side, side, 3, generator=torch.Generator().manual_seed(7)) - 0.5)


def enlarged(name, crop, side=SIDE):
    """The middle of a photograph, enlarged until its pixels are blur."""
    part = photograph(name, crop).movedim(-1, 0)[None]
    return torch.nn.functional.interpolate(part, size=(side, side), mode="bicubic")[0].movedim(0, -1).clamp(0, 1)


def off(frame, dy, dx, scale=0.0, side=SIDE):
    """By how many pixels a frame is wrong at the picture's sides, at most."""
    found = ((frame.dy, frame.scale_y, dy), (frame.dx, frame.scale_x, dx))
    return max(abs(shift + way * share * side / 2 - true - way * scale * side / 2) for shift, share, true in found for way in (-1, 1))


def test_grain_alone_tells_the_frame_where_cells_show_none():
    original = ramps()
    edited = original.roll((5, 3), (0, 1)) * 0.97 + 0.03
    edited[:320, :320, 0] = 1 - edited[:320, :320, 0]
    frame = find_edit_frame(original, edited, scaled=True)
    print(frame)
    assert frame is not None and frame[:4] == (5.0, 3.0, 0.0, 0.0)


def test_an_enlarged_photographs_frame_is_found():
    original = enlarged("astronaut", 60)
    frame = find_edit_frame(original, eight_bit(moved(original, 7.4, -5.3, 0.005)), scaled=True)
    print(frame)
    assert frame is not None and off(frame, 7.4, -5.3, 0.005) < 0.3


def test_a_few_sharp_blocks_do_not_overrule_what_most_have_said(monkeypatch):
    """A sharp patch that was itself moved, on a soft picture that was not: single pixels show nothing but the patch."""
    monkeypatch.setattr(registration, "_ACROSS", 5)
    original = enlarged("astronaut", 24)
    sharp = photograph("coffee", 280)
    original[60:340, 60:340] = sharp
    edited = original.clone()
    edited[62:342, 62:342] = sharp
    frame = find_edit_frame(original, eight_bit(edited), scaled=True)
    print(frame)
    assert frame is not None and off(frame, 0, 0) < 0.2


@pytest.mark.parametrize("kind", ["flat grain", "banded gradient"])
def test_without_structure_at_any_scale_there_is_no_frame(kind):
    generator = torch.Generator().manual_seed(3)
    first, second = (0.5 + 2 / 255 * torch.randn(SIDE, SIDE, 3, generator=generator) for _ in range(2))
    if kind == "banded gradient":
        ramp = torch.linspace(0.2, 0.3, SIDE)[None, :, None].expand(SIDE, -1, 3)
        first, second = eight_bit(ramp), eight_bit(ramp + 0.0017)
    assert find_edit_frame(first, second, scaled=True) is None
