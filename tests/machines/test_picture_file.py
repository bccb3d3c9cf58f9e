"""Files that are cut off are found; whole ones, with whatever is in them or behind them, pass."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tilework.machines.picture_file import DamagedPictureError, check_is_whole

PIXELS = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)


def saved(kind, **options):
    """The bytes of a picture."""
    data = io.BytesIO()
    Image.fromarray(PIXELS).save(data, kind, **options)
    return data.getvalue()


def with_thumbnail():
    """A JPEG with a smaller JPEG in its EXIF, as cameras write it."""
    exif = Image.Exif()
    exif[0x010E] = "x"
    return saved("JPEG", exif=exif.tobytes() + saved("JPEG", quality=10))


WHOLE = {
    "png": saved("PNG"),
    "jpeg": saved("JPEG"),
    "progressive": saved("JPEG", progressive=True),
    "thumbnail": with_thumbnail(),
    "webp": saved("WEBP", lossless=True),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("behind", [b"", b"\0" * 40])
def test_a_whole_file_passes(tmp_path, kind, behind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(WHOLE[kind] + behind)
    check_is_whole(path)


@given(st.sampled_from(sorted(WHOLE)), st.floats(0, 1))
def test_a_file_that_is_cut_off_anywhere_is_found(tmp_path_factory, kind, share):
    data = WHOLE[kind]
    path = tmp_path_factory.getbasetemp() / "cut"
    # The head by which a format is known stands in the first twelve bytes.
    path.write_bytes(data[: 12 + int(share * (len(data) - 13))])
    with pytest.raises(DamagedPictureError, match=r"cut is cut off: .*: copy it again"):
        check_is_whole(path)


def test_a_changed_byte_of_a_png_is_found(tmp_path):
    data = bytearray(WHOLE["png"])
    data[len(data) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DamagedPictureError, match="is damaged: the check sum of its part IDAT at byte"):
        check_is_whole(tmp_path / "a.png")


def test_an_empty_file_is_found_and_an_unknown_one_is_left_to_comfyui(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DamagedPictureError, match="is empty"):
        check_is_whole(tmp_path / "a.png")
    (tmp_path / "b.tif").write_bytes(b"II*\0 whatever")
    check_is_whole(tmp_path / "b.tif")
