"""Frequency Separation, Frequency Join and Transfer Retouch through the real server."""

import urllib.parse

import numpy as np
import pytest
from tilework.host import temp_pictures
from tilework.tests.host.prompts import node, source
from tilework.tools.server.loopback import get
from tilework.tools.server.workflow import WorkflowError as HostRunError


def separated(bands=4, mode="spline", gains="1, 1, 1, 1, 1", **picture):
    """Picture 1, bands 2, joined 3, compared 4 with the picture."""
    return {
        "1": source(90, 70, **picture),
        "2": node("TileworkBandSplit", image=["1", 0], bands=bands, face=0, mode=mode),
        "3": node("TileworkBandJoin", bands=["2", 0], residual=["2", 1], gains=gains),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
    }


def transferred(**more):
    """Picture 1, its inverse 2, transferred 3, compared 4 with the picture and 5 with the inverse."""
    inputs = {"preset": "gains", "gains": "0, 0, 0", "face": 0, "quiet": 0.0, **more}
    return {
        "1": source(90, 70),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("TileworkRetouchMerge", original=["1", 0], retouched=["2", 0], **inputs),
        "4": node("TileworkTestCompare", a=["3", 0], b=["1", 0]),
        "5": node("TileworkTestCompare", a=["3", 0], b=["2", 0]),
        "6": node("SolidMask", value=1.0, width=64, height=64),
    }


@pytest.mark.parametrize(
    "settings",
    [{"batch": 2, "channels": 4}, {"mode": "gaussian", "gains": "1, 1"}],
)
def test_signed_bands_survive_the_graph(report, settings):
    (said,) = report(separated(**settings), "4")
    assert said["shape_a"] == said["shape_b"] and said["max_abs"] <= 1e-6


def test_gains_go_from_the_original_to_the_retouched_picture(report):
    assert report(transferred(), "4")[0]["max_abs"] == 0
    assert report(transferred(gains="1, 1, 1"), "5")[0]["max_abs"] <= 1e-6
    (said,) = report(transferred(preset="lighting"), "4")
    assert 0 < said["max_abs"] < 0.5


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (separated(bands=3), "5 gains for 3 bands and the residual: write 4"),
        (transferred(gains="all"), 'gains "all" are no numbers'),
        (transferred(quiet="NaN"), "Value nan smaller than min of 0.0"),
        (transferred(mask=["6", 0]), "mask is 64 x 64, a batch of 1, and original is 90 x 70"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(run_prompt, prompt, words):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt)
    assert words in str(caught.value)


@pytest.mark.parametrize(("channels", "sent"), [(1, 1), (4, 3)])
def test_the_browser_gets_layers_that_sum_to_the_picture_and_pieces_of_them(run_prompt, server, channels, sent):
    prompt = separated(gains="2, -1, 0.5, 1, 1", batch=2, channels=channels)
    ((about,),) = (one["tilework_bands"] for key, one in run_prompt(prompt).items() if key == "3")
    named = ("size", "full_size", "channels", "layers", "count", "gains")
    assert [about[key] for key in named] == [[90, 70], [90, 70], sent, 5, 2, [2, -1, 0.5, 1, 1]]
    where = urllib.parse.urlencode({key: about[key] for key in ("filename", "subfolder", "type")})
    picture = summed(get(f"{server.url}/view?{where}"), 70, 90, sent)
    assert picture.min() > -1e-3 and picture.max() < 1.001 and picture.std() > 0.2, "all by 1: the picture"
    piece = summed(get(f"{server.url}/tilework/pixels?run={about['run']}&x=11&y=7&width=40&height=30"), 30, 40, sent)
    assert np.abs(piece - picture[7:37, 11:51]).max() < 1e-3


def summed(body, height, width, channels, layers=5):
    """The sum of the layers in what the browser gets."""
    numbers = np.frombuffer(body[: -8 * layers], "<i2").reshape(layers, height, width, channels)
    return np.tensordot(np.frombuffer(body[-8 * layers :], "<f8"), numbers.astype(np.float64), 1)


def test_old_numbers_go_and_the_newest_stay(tmp_path, monkeypatch):
    folder_paths = type("folder_paths", (), {"get_temp_directory": staticmethod(lambda: str(tmp_path))})
    monkeypatch.setitem(__import__("sys").modules, "folder_paths", folder_paths)
    monkeypatch.setattr(temp_pictures, "MOST_BYTES", 100)
    names = [temp_pictures.saved_numbers([b"x" * 20, b"y" * 20])["filename"] for _ in range(4)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[-2:])
    large = temp_pictures.saved_numbers([b"z" * 500])["filename"]
    assert [path.name for path in tmp_path.iterdir()] == [large], "also one that is larger than all may be"
