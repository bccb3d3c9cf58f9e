"""A frame is what most blocks agree on, and none where they do not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilework.blending.registration.frame import Frame, fit_frame
from tilework.blending.registration.shift import Shifts

SIZE = (400, 600)


def blocks(dy, dx, scale_y, scale_x, noise=0.05, astray=0.0, seed=0, rows=5, columns=7, unsure=0):
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(48, 351, rows), torch.linspace(48, 551, columns), indexing="ij")
    centres = torch.stack((y.reshape(-1), x.reshape(-1)), 1).double()
    middle = torch.tensor([(side - 1) / 2 for side in SIZE])
    moves = torch.tensor([dy, dx]) + torch.tensor([scale_y, scale_x]) * (centres - middle)
    moves = moves + noise * torch.randn(moves.shape, generator=generator)
    order = torch.randperm(len(moves), generator=generator)
    wrong = order[: int(astray * len(moves))]
    moves[wrong] = 12 * torch.rand(len(wrong), 2, generator=generator).double() - 6
    sure = torch.ones(len(moves), dtype=torch.bool)
    sure[order[len(order) - unsure :]] = False
    return centres, Shifts(moves[:, 0], moves[:, 1], torch.ones(len(moves)), sure)


@settings(max_examples=60, deadline=None)
@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01), st.integers(0, 99))
def test_shift_and_scale_are_found_beside_blocks_that_an_edit_moved(dy, dx, scale_y, scale_x, seed):
    frame = fit_frame(*blocks(dy, dx, scale_y, scale_x, astray=0.35, seed=seed), SIZE, scaled=True)
    wanted = Frame(dy, dx, scale_y, scale_x)
    assert frame is not None and frame.sure == 35 and frame.agree >= 20
    for side, found, true in zip(
        (400, 600), ((frame.dy, frame.scale_y), (frame.dx, frame.scale_x)), ((dy, scale_y), (dx, scale_x)), strict=True
    ):
        for edge in (-side / 2, side / 2):
            assert abs(found[0] + found[1] * edge - true[0] - true[1] * edge) < 0.2, (frame, wanted)


def test_a_shift_alone_is_a_shift():
    assert fit_frame(*blocks(3.4, -2.5, 0, 0), SIZE, scaled=False)[:4] == pytest.approx((3.4, -2.5, 0, 0), abs=0.05)
    whole = fit_frame(*blocks(3.01, -2.02, 0, 0, noise=0.0), SIZE, scaled=True)
    assert whole[:4] == (3.0, -2.0, 0.0, 0.0), "nearly whole pixels are whole, and need no reading between pixels"
    assert not fit_frame(*blocks(0.01, 0.02, 0, 0, noise=0.01), SIZE, scaled=True).moves


def test_blocks_in_one_row_tell_one_scale_for_both():
    frame = fit_frame(*blocks(1.0, 2.0, 0.004, 0.004, rows=1, noise=0.01), SIZE, scaled=True)
    assert frame.scale_y == pytest.approx(0.004, abs=4e-4) and frame.scale_x == pytest.approx(0.004, abs=4e-4)


def test_too_few_and_blocks_that_disagree_leave_the_frame():
    assert fit_frame(*blocks(3, 3, 0, 0, unsure=33), SIZE, scaled=True) is None
    assert fit_frame(*blocks(3, 3, 0, 0, astray=1.0), SIZE, scaled=True) is None
    assert fit_frame(*blocks(3, 3, 0, 0, unsure=35), SIZE, scaled=True) is None


def test_one_frame_after_another():
    first, rest = Frame(2.0, -1.0, 0.01, 0.0, 5, 6), Frame(0.5, 0.25, 0.0, 0.002, 7, 8)
    both = first.after(rest)
    y = 100.0
    between = y + rest.dy + rest.scale_y * y  # where the rest, found in the view, says that it is
    assert both.dy + (1 + both.scale_y) * y == pytest.approx(between + first.dy + first.scale_y * between)
    assert both.agree == 7 and first.times(4).dy == 8.0 and first.times(4).scale_y == 0.01
