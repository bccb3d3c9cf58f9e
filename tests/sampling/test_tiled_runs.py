"""Tiled sampling through the host's own code: judges the figures of `tiled_runs.py`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]
# Of the largest absolute value of the untiled result.
BOUND = 1e-5


@pytest.fixture(scope="module")
def figures():
    """All figures, by check."""
    command = [sys.executable, str(ROOT / "tests" / "sampling" / "tiled_runs.py"), str(find_host().comfy)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    said = {}
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            said.update(json.loads(line.removeprefix("RESULT")))
    return said


def test_a_pointwise_model_gives_the_same_picture_tiled(figures):
    said = figures["pointwise"]
    print(f"largest of {len(said)} combinations: {max(said.values()):.1e}")
    assert len(said) >= 18 and max(said.values()) <= BOUND
    for word in (
        "euler ",
        "euler_ancestral",
        "dpmpp_2m",
        "dpmpp_sde",
        "uni_pc",
        "lcm",
        "res_multistep",
        "(2, 16, 97, 131)",
        "(1, 16, 5, 40, 72)",
    ):
        assert any(word in name for name in said), word
    for word in ("hann", "gaussian", "average", "fixed", "jitter"):
        assert sum(word in name for name in said) >= 4, word


def test_a_convolution_is_exact_with_trim_and_not_without(figures):
    for name, errors in figures["convolution"].items():
        print(f"{name}: {errors['trim']:.1e} with trim, {errors['no trim']:.1e} without")
        assert errors["trim"] <= BOUND < errors["no trim"]


def test_one_tile_over_everything_is_the_untiled_run_to_the_bit(figures):
    assert len(figures["one_tile"]) == 6 and all(figures["one_tile"].values()), figures["one_tile"]


def test_the_number_of_tiles_at_once_changes_rounding_only(figures):
    said = figures["batches"]
    for model in ("unet", "dit"):
        print(model, said[model])
        assert max(said[model].values()) <= BOUND
    assert [count for count, _ in said["counted and expected"].values()] == [1, 4, 9]
    assert all(count == expected for count, expected in said["counted and expected"].values())
    assert said["even"] == [3, 3, 3, 4], "9 by at most 4 are 3 + 3 + 3"


def test_memory_that_runs_out_halves_the_chunk_and_is_said(figures):
    said = figures["out_of_memory"]
    assert said["error"] <= BOUND and said["tiles"] == 12
    # 12 tiles by at most 8 are 6 + 6; 6 and then 3 do not fit, and from then on 2 go together.
    assert said["log"] == [f"Tilework: out of memory with {a} tiles at once; going on with {b}" for a, b in ((6, 3), (3, 2))]
    assert sum(said["sizes"]) == 12 * 2 * 3 and max(said["sizes"]) == 4
    assert "no memory for 2 pictures" in said["gave up"], "one tile that does not fit is the host's to report"


def test_outside_of_a_noise_mask_the_source_stays(figures):
    for name, errors in figures["noise_mask"].items():
        print(name, errors)
        assert errors["untiled"] <= BOUND and errors["inside"] > 0.1
        # The host itself drifts there with uni_pc.
        assert errors["source"] <= (0.02 if name == "uni_pc" else 1e-6)


def test_areas_and_masks_of_prompts(figures):
    said = figures["areas_and_masks"]
    print(said)
    for name, error in said.items():
        assert error > 0.1 if name.endswith("matters") else error <= BOUND, name


def test_context_windows_over_frames_hold_tiles(figures):
    said = figures["context_windows"]
    assert said["error"] <= BOUND
    assert said["sizes"] == [[5, 32, 32]] and said["reserved"] == [[1, 16, 5, 32, 32]]


def test_other_wrappers_and_settings_applied_twice(figures):
    said = figures["composing"]
    assert said["error"] <= BOUND and said["wrappers"] == [1, 1, 1]
    assert said["outside"] == [[1, 4, 72, 96]] and said["outside calls"] == 3, "before ours: the canvas, once a step"
    assert said["inside"] == [[2, 4, 32, 32]] and said["inside calls"] == 3 * said["tiles"] / 2, "after ours: tiles of the last settings"
    assert said["slot"] == said["inside calls"], "the one-slot function of another pack is still called"
    assert said["reserved"] == [[2, 4, 32, 32]], "memory is reserved for the tiles"


def test_every_guider(figures):
    print(figures["guiders"])
    assert len(figures["guiders"]) == 5 and max(figures["guiders"].values()) <= BOUND


def test_no_state_outlives_a_run_or_is_shared(figures):
    assert figures["state"] == {"runs": 4, "alive": 0, "again": True, "shape": [1, 4, 72, 80], "failed": True, "left": []}


def test_tiles_are_told_their_place_on_the_canvas(figures):
    said = figures["position_ids"]
    for name in ("plain", "on top of others"):
        for grid in ("fixed", "jitter"):
            assert said[f"{name}, {grid}"] <= 1e-4 and said[f"{name}, {grid}, origins"] >= 12
        assert said[f"{name}, local alike"]
    assert said["whole reference"] <= 1e-4, "a reference that is shown whole is not moved with the tile"
    print({name: value for name, value in said.items() if "module" not in name})


def test_models_that_ignore_positions_are_named(figures):
    said = figures["position_ids"]
    assert len(said["warnings"]) == 1 and "no effect on SD15" in said["warnings"][0] and said["unheeding is local"]
    assert said["heeded"] == {
        "SD15": False,
        "SDXL": False,
        "SD3": False,
        "QwenImage": False,
        "Flux": True,
        "Lumina2": True,
        "WAN21_Vace": True,
    }
    # pixeldit's second file belongs to its model.
    assert sorted(set(said["modules that read them"]) - {"comfy.ldm.pixeldit.modules"}) == said["modules known"]


def test_jitter_repeats_itself_and_holds_still_within_a_step(figures):
    said = figures["jitter"]
    assert said["same"] and said["moves"] and said["without a schedule"]
    assert said["calls"] == 5 and said["steps"] == said["grids"] == 3, "dpmpp_sde calls twice in a step"
    assert said["steps of 12, 10, 7, 5, 5 and a bit, 2, 1, 0.1"] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_weights_are_float32_when_the_model_is_not(figures):
    assert max(figures["half_precision"].values()) <= 1e-6


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("patch", "tile_width 8 is smaller than the model's patch of 16 image pixels"),
        ("lattice", "tile_width 264 is not a whole number of times the model's patch"),
        ("layout lattice", "this model's patches are 16 px: split with multiple_of 16"),
        ("packed", "is packed from several latents"),
        ("sound", "has 3 dimensions and has no plane to cut into tiles"),
        ("canvas", "the layout was planned for a picture of 512 x 512 and this one is 1280 x 768"),
        ("trim", "trim 128 on both sides leaves nothing of the smallest overlap"),
        ("trim cells", "trim 12 is not a whole number of latent cells of 8 image pixels: use 8 or 16"),
        ("rule", "use one of hann, gaussian, average"),
        ("batch", "tile_batch -1 is negative"),
        ("easycache", "EasyCache remembers one picture"),
    ],
)
def test_what_cannot_be_tiled_is_refused_in_words(figures, what, words):
    print(figures["refusals"][what])
    assert words in figures["refusals"][what]
