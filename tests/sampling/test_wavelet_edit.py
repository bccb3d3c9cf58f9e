"""Wavelet Edit on tiny models of the host's classes: everything, nothing, and the memory between."""

import pytest
import torch
from tilework.tests.pack import families, models

from ..host.recording import relative
from .test_crop_runs import sample
from .test_patches_together import TileLayout, TileSettings, WaveletEdit, node, noise, source_features, tiled, wavelet_edit

UNIT = 8
LAYOUT = TileLayout.grid(32 * UNIT, 56 * UNIT, 32 * UNIT, 32 * UNIT, 8 * UNIT, UNIT)


def tiles(batch=1):
    return lambda model: tiled(model, TileSettings(layout=LAYOUT, tile_batch=batch))


KINDS = {"unet": (models.tiny_unet, 4), "flux": (models.tiny_dit, 16)}


def run(model, channels, seed=4, steps=2):
    return sample(model, noise(1, channels, 32, 56, seed=seed), models.conditioning(1), models.conditioning(5), steps=steps)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_changed_by_no_energy_and_no_range(kind):
    make, channels = KINDS[kind]
    source = {"samples": noise(1, channels, 32, 56, seed=8)}
    plain = run(make(), channels)
    for values in ({"energy": 0.0}, {"start": 0.5, "end": 0.5}):
        assert torch.equal(run(node(WaveletEdit, source=source, **values)(make()), channels), plain)
    assert relative(run(node(WaveletEdit, source=source)(make()), channels), plain) > 5e-5


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_energy_keys_and_values_are_the_sources(kind, monkeypatch):
    """What the model attends to in the edited call, beside a plain call with the noisy source."""
    make, channels = KINDS[kind]
    seen, see = {"source": [], "edit": []}, source_features.SourceFeatures.see

    def look(self, number, asked, grid, dim, k, v):
        made = see(self, number, asked, grid, dim, k, v)
        seen["source" if self.recording else "edit"].append([grid.image(part, dim).clone() for part in made])
        return made

    monkeypatch.setattr(source_features.SourceFeatures, "see", look)
    source = {"samples": noise(1, channels, 32, 56, seed=8)}
    for wavelet in ("haar", "sym4"):
        for calls in seen.values():
            calls.clear()
        run(node(WaveletEdit, source=source, energy=1.0, blocks="all", wavelet=wavelet)(make()), channels, steps=1)
        assert len(seen["source"]) == len(seen["edit"]) > 1
        # The text differs from the first block on, which the picture's keys of later blocks see.
        pairs = zip(seen["source"], seen["edit"], strict=True)
        assert all(relative(edit, own) < 1e-5 for one, other in pairs for edit, own in zip(other, one, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_keep_to_their_part_of_the_source_however_many_run_together(kind):
    make, channels = KINDS[kind]
    patch = node(WaveletEdit, source={"samples": noise(1, channels, 32, 56, seed=8)})
    behind, before, two = (run(model, channels) for model in (tiles()(patch(make())), patch(tiles()(make())), tiles(2)(patch(make()))))
    assert torch.equal(behind, before) and relative(two, behind) < 1e-5
    assert torch.equal(run(tiles()(patch(patch(make()))), channels), behind), "applied twice it is applied once"


@pytest.mark.parametrize("family", ["SDXL", "Qwen-Image"])
def test_other_families_are_edited(family):
    latent = families.latent_of(family, 256, 320)
    given, source = noise(*latent.shape, seed=4), {"samples": noise(*latent.shape, seed=8)}
    prompts = families.prompt_of(family, 1), families.prompt_of(family, 5)
    plain, edited = (
        sample(tiled(patch(families.tiny_of(family)), TileSettings(128, 128, 32)), given, *prompts, steps=2)
        for patch in (lambda model: model, node(WaveletEdit, source=source, blocks="all"))
    )
    assert edited.shape == plain.shape and relative(edited, plain) > 1e-5


def test_a_model_that_shows_its_keys_too_late_is_refused():
    with pytest.raises(ValueError, match="does not show those of WanModel"):
        node(WaveletEdit, source={"samples": noise(1, 16, 1, 8, 8)})(families.tiny_of("Wan"))


def test_memory_is_that_of_the_blocks_kept_and_is_let_go(monkeypatch):
    held, made = [], []
    clear = source_features.SourceFeatures.clear

    def look(self):
        held.append(self.nbytes)
        made.append(self)
        clear(self)

    monkeypatch.setattr(source_features.SourceFeatures, "clear", look)
    run(node(WaveletEdit, source={"samples": noise(1, 16, 32, 56, seed=8)}, blocks="all")(models.tiny_dit()), 16)
    # Two blocks, keys and values, two prompts, 16 x 28 tokens of 64 numbers.
    assert held == [2 * 2 * 2 * 16 * 28 * 64 * 4] * 2 and all(one.nbytes == 0 for one in made)


def test_auto_keeps_the_extremes():
    assert source_features.extreme_blocks({n: n / 10 for n in range(10)}) == {0, 1, 8, 9}
    assert source_features.extreme_blocks({3: 0.5}) == {3}
    assert source_features.high_share(torch.ones(2, 8, 8)) == 0
    checks = torch.ones(1, 8, 8)
    checks[:, ::2] = -1
    assert source_features.high_share(checks) == pytest.approx(1)
    assert source_features.high_share(noise(16, 64, 64)) == pytest.approx(0.75, abs=0.02)


def test_what_cannot_be_edited_is_refused_in_words():
    source = {"samples": noise(1, 16, 32, 56, seed=8)}
    with pytest.raises(ValueError, match="does not show those of ConvDenoiser: it works with Flux, Chroma, Qwen-Image and U-Nets"):
        node(WaveletEdit, source=source)(models.conv_denoiser(1))
    with pytest.raises(ValueError, match="source is an empty latent"):
        run(node(WaveletEdit, source={"samples": torch.zeros(1, 16, 32, 56)})(models.tiny_dit()), 16)
    with pytest.raises(ValueError, match="energy 2 is no share"):
        node(WaveletEdit, source=source, energy=2)(models.tiny_dit())
    with pytest.raises(ValueError, match="has other proportions"):
        run(node(WaveletEdit, source={"samples": noise(1, 16, 30, 30)})(models.tiny_dit()), 16)
    assert wavelet_edit.BLOCKS == ("auto", "all")
