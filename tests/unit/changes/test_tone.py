"""The drift of the whole is told from what was edited, and undone to the last digit."""

import pytest
import torch
from tilework.blending.changes.tone import find_tone
from tilework.blending.pixels.lab import rgb_to_lab
from tilework.tests.unit.changes.edit_scenes import from_lab, photograph


@pytest.fixture(scope="module")
def colours():
    return photograph("coffee", 128).reshape(-1, 3).T.contiguous()


@pytest.mark.parametrize("edited", [0.0, 0.35])
def test_gain_and_offset_in_lab_are_found_beside_an_edit(colours, edited):
    gain, shift = torch.tensor([[1.06], [0.9], [1.1]]), torch.tensor([[-4.0], [2.0], [1.0]])
    lab = rgb_to_lab(colours)
    drifted = from_lab((lab - shift) / gain, (1, 1, colours.shape[1], 3)).reshape(-1, 3).T.contiguous()
    changed = drifted.clone()
    count = int(edited * colours.shape[1])
    changed[:, :count] = changed[:, :count].flip(0) * 0.6
    tone = find_tone(lab, rgb_to_lab(changed))
    print(tone)
    kept = slice(count, None)
    assert float((rgb_to_lab(tone.undone(drifted)) - lab)[:, kept].abs().max()) < (0.01 if not edited else 0.6)
    assert float((tone.given(tone.undone(drifted)) - drifted).abs().max()) < 1e-4


def test_no_drift_is_none_and_neither_is_what_cannot_be_measured(colours):
    lab = rgb_to_lab(colours)
    same = find_tone(lab, lab + 0.02)
    assert not same.works and torch.equal(same.gain, torch.ones(3, dtype=torch.float64))
    assert not find_tone(lab[:, :0], lab[:, :0]).works
    grey = torch.rand(1, 500) * 100
    tone = find_tone(grey, grey - 3)
    assert tone.works and abs(tone.largest - 3) < 0.01 and tone.gain.shape == (1,)
