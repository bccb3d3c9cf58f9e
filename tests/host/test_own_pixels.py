"""The route that gives the browser a piece of a picture at its own pixels: what it gives, and what it refuses."""

from __future__ import annotations

import gc
import io
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tilework.tests.host.recording  # noqa: F401 - sets ComfyUI up
import torch
from PIL import Image
from tilework.host import own_pixels
from tilework.host.own_pixels import MOST_SIDE, DecodedFile, NoPixelsError, lend, lent_piece
from tilework.tests.host.prompts import node
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import get_json
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]


def pattern(height, width, channels=3):
    """Every pixel has its own colour."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x + 3 * y) % 256, (x // 256 * 16 + y) % 256, (y // 256 * 16 + x * 7) % 256, x * 0 + 128], -1)[..., :channels].astype(
        np.uint8
    )


def ask(server, **query):
    """(status, body) of a request."""
    try:
        with urllib.request.urlopen(f"{server.url}/tilework/pixels?{urllib.parse.urlencode(query)}", timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.fixture(scope="module")
def file(server):
    """A picture in the input folder."""
    Image.fromarray(pattern(700, 900)).save(server.base / "input" / "pattern.png")
    return {"filename": "pattern.png", "type": "input"}


def test_a_piece_of_a_file_has_the_files_own_pixels(server, file):
    status, body = ask(server, **file, x=123, y=45, width=300, height=200)
    assert status == 200
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), pattern(700, 900)[45:245, 123:423])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_piece_of_what_a_node_was_given(server, run_prompt, channels):
    out = run_prompt(
        {
            "1": node("TileworkTestImage", width=300, height=200, batch=2, channels=channels, seed=5, kind="smooth"),
            "2": node(
                "TileworkSolarCurvePreview", image=["1", 0], preset="four points", shape="straight", inversions=4, phase=0.0, gain=1.0,
                expand=False, channel="luminance", points={"__value__": [[0, 0], [1, 1]]},
            ),
            "3": node("TileworkTestCount", images=["2", 0]),
        }
    )  # fmt: skip
    (shown,) = out["2"]["tilework_solar"]
    status, body = ask(server, run=shown["run"], x=10, y=20, width=64, height=50)
    assert status == 200
    with urllib.request.urlopen(f"{server.url}/view?filename={shown['filename']}&type=temp&subfolder=") as copy:
        whole = np.asarray(Image.open(io.BytesIO(copy.read())).convert("RGB"))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(body))), whole[20:70, 10:74])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"x": "a"}, 400),
        ({"x": -1}, 400),
        ({"x": "9" * 5000}, 400),
        ({"x": 700}, 400),
        ({"width": 0}, 400),
        ({"width": MOST_SIDE + 1}, 400),
        ({"height": 10**9}, 400),
        ({"type": "models"}, 400),
        ({"type": ""}, 400),
        ({"filename": ""}, 400),
        ({"filename": "../input/pattern.png"}, 400),
        ({"filename": "/etc/passwd"}, 400),
        ({"filename": ".."}, 403),
        ({"subfolder": ".."}, 403),
        ({"subfolder": "../../.."}, 403),
        ({"subfolder": "/etc", "filename": "passwd"}, 403),
        ({"filename": "pattern.png\0"}, 400),
        ({"filename": "none.png"}, 404),
        ({"filename": "text.png"}, 415),
        ({"filename": "bomb.png"}, 413),
        ({"filename": "<img src=x onerror=alert(1)>"}, 404),
        ({"run": "no such run"}, 404),
    ],
    ids=str,
)
def test_what_is_broken_or_hostile_gets_an_error_and_nothing_else(server, file, query, status):
    (server.base / "input" / "text.png").write_text("no picture")
    header = io.BytesIO()
    Image.new("1", (8, 8)).save(header, "png")
    # A file of a hundred bytes that says it is 60,000 pixels wide and high.
    data = bytearray(header.getvalue())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    (server.base / "input" / "bomb.png").write_bytes(data)
    asked = {**({} if "run" in query else file), "x": 0, "y": 0, "width": 300, "height": 200, **query} if query else {}
    found, body = ask(server, **asked)
    print(found, body[:120])
    assert found == status and b"Traceback" not in body and b"<img" not in body


def test_files_as_load_image_reads_them(tmp_path):
    kept = DecodedFile()
    turned = Image.fromarray(pattern(40, 60))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert kept.piece(str(tmp_path / "turned.png"), (0, 0, 40, 60)).size == (40, 60)
    Image.fromarray(np.arange(40 * 60, dtype=np.uint16).reshape(40, 60) * 27).save(tmp_path / "deep.png")
    deep = np.asarray(kept.piece(str(tmp_path / "deep.png"), (0, 0, 60, 40)))
    assert np.abs(deep[..., 0] - np.arange(2400).reshape(40, 60) * 27 / 257).max() <= 1
    Image.fromarray(pattern(40, 60, 4)).save(tmp_path / "alpha.png")
    assert np.array_equal(np.asarray(kept.piece(str(tmp_path / "alpha.png"), (0, 0, 60, 40))), pattern(40, 60))


def test_a_changed_file_is_read_again_and_a_forgotten_one_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(own_pixels, "KEPT_SECONDS", -1.0)
    kept, path = DecodedFile(), tmp_path / "one.png"
    for level in (10, 200):
        Image.new("RGB", (8, 8 + level), (level,) * 3).save(path)
        assert kept.piece(str(path), (0, 0, 1, 1)).getpixel((0, 0)) == (level,) * 3
    kept._forget()
    assert kept._picture is None
    with pytest.raises(NoPixelsError, match="does not reach to 9, 1"):
        kept.piece(str(path), (8, 0, 9, 1))


def test_what_was_refused_is_forgotten_too_and_there_is_one_timer(tmp_path):
    kept, path = DecodedFile(), tmp_path / "one.png"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(NoPixelsError, match="does not reach"):
        kept.piece(str(path), (0, 0, 9, 9))
    timer = kept._timer
    assert timer is not None and timer.is_alive()
    kept.piece(str(path), (0, 0, 8, 8))
    assert kept._timer is timer
    timer.cancel()


def test_a_second_copy_of_the_pack_does_not_stop_the_host():
    with Server(find_host(), name="twice", packs={"tilework": ROOT, "tilework_copy": ROOT}) as running:
        assert "TileworkTileSplit" in get_json(running.url + "/object_info/TileworkTileSplit")


def test_links_in_the_folder_are_followed_as_the_host_does(server, file):
    link = server.base / "input" / "linked.png"
    if not link.is_symlink():
        link.symlink_to(server.base / "input" / "pattern.png")
    assert ask(server, **{**file, "filename": "linked.png"}, x=0, y=0, width=8, height=8)[0] == 200


def test_a_run_that_is_gone_has_its_file_still(server, file):
    assert ask(server, **file, run="no such run", x=0, y=0, width=8, height=8)[0] == 200


def test_what_is_lent_is_not_held():
    pictures = torch.rand(1, 8, 9, 3)
    name = lend([pictures])
    assert Image.open(io.BytesIO(lent_piece(name, (0, 0, 9, 8)))).size == (9, 8)
    del pictures
    gc.collect()
    with pytest.raises(NoPixelsError, match="run again"):
        lent_piece(name, (0, 0, 1, 1))
