"""PNG files written strip by strip: Pillow reads back what was written, whatever the strips."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tilework.machines.png_strips import LEVEL, eight_bits, write_png


def picture(height, width, channels, seed):
    made = np.random.default_rng(seed)
    smooth = np.linspace(0, 200, width)[None, :, None] + np.linspace(0, 50, height)[:, None, None]
    return (smooth + made.integers(0, 6, (height, width, channels))).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 4]), st.integers(1, 17), st.integers(0, 9))
def test_every_size_comes_back(tmp_path_factory, height, width, channels, rows, seed):
    path = tmp_path_factory.mktemp("png") / "made.png"
    made = picture(height, width, channels, seed)
    write_png(path, (made[top : top + rows] for top in range(0, height, rows)), (height, width), channels)
    with Image.open(path) as read:
        assert np.array_equal(np.asarray(read).reshape(made.shape), made)


def test_text_is_where_comfyui_looks_for_it(tmp_path):
    write_png(tmp_path / "a.png", [np.zeros((3, 5, 3), np.uint8)], (3, 5), 3, {"prompt": '{"1": "\\u30bf"}'})
    with Image.open(tmp_path / "a.png") as read:
        assert read.text == {"prompt": '{"1": "\\u30bf"}'}


def test_it_is_no_larger_than_pillows(tmp_path):
    made = picture(300, 400, 3, 1)
    write_png(tmp_path / "a.png", [made[:100], made[100:]], (300, 400), 3)
    pillows = io.BytesIO()
    Image.fromarray(made).save(pillows, "PNG", compress_level=LEVEL)
    assert (tmp_path / "a.png").stat().st_size < 1.1 * pillows.tell()


def test_it_rounds_as_save_image_does():
    values = np.array([-1, 0, 0.5 / 255, 0.999 / 255, 1 / 255, 0.9999, 1, 2], np.float32)
    assert eight_bits(values).tolist() == [0, 0, 0, 0, 1, 254, 255, 255]


@pytest.mark.parametrize(
    ("strips", "channels"),
    [([np.zeros((2, 5, 3), np.uint8)], 3), ([np.zeros((3, 5, 2), np.uint8)], 2), ([np.zeros((3, 5, 4), np.uint8)], 3)],
)
def test_what_does_not_make_a_picture_is_refused(tmp_path, strips, channels):
    with pytest.raises(ValueError, match=r"channels|rows|strip"):
        write_png(tmp_path / "a.png", strips, (3, 5), channels)
