"""Solar Curve Preview on the real server: outputs, preview, curves of the core, and values that somebody made up."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tilework.blending.solar.curves import DEFAULT_POINTS, solar_curve
from tilework.blending.solar.solarize import CHANNELS, edges, range_of, solarize
from tilework.tests.host.prompts import node, source
from tilework.tools.server.loopback import get
from tilework.tools.server.workflow import WorkflowError as HostRunError

POINTS = {"__value__": [list(point) for point in DEFAULT_POINTS]}


def prompt(picture=None, **more):
    """A picture "1" through Solar Curve Preview "2", its outputs seen by "3" and "5"."""
    inputs = {
        "preset": "four points",
        "shape": "straight",
        "inversions": 4,
        "phase": 0.0,
        "gain": 1.0,
        "expand": False,
        "channel": "luminance",
        "points": POINTS,
        **more,
    }
    return {
        "1": picture or node("LoadImage", image="example.png"),
        "2": node("TileworkSolarCurvePreview", image=["1", 0], **inputs),
        "3": node("PreviewImage", images=["2", 0]),
        "4": node("MaskToImage", mask=["2", 1]),
        "5": node("PreviewImage", images=["4", 0]),
    }


@pytest.fixture
def seen(server):
    """A picture of a run as [H, W, 3] in 8-bit levels."""

    def fetch(file):
        data = get(f"{server.url}/view?filename={file['filename']}&type={file['type']}&subfolder={file['subfolder']}")
        return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32)

    return fetch


@pytest.fixture
def photograph(server):
    """What Load Image makes of the example."""
    picture = Image.open(server.base / "input" / "example.png").convert("RGB")
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)[None]


def test_picture_edges_and_preview(run_prompt, seen, photograph):
    out = run_prompt(prompt(channel="each channel"))
    curve = solar_curve("four points")
    wanted = solarize(photograph, curve, "each channel")[0].numpy() * 255
    assert np.abs(seen(out["3"]["images"][0]) - wanted).max() <= 1
    mask = edges(photograph, curve, "each channel")[0].numpy() * 255
    assert np.abs(seen(out["5"]["images"][0])[..., 0] - mask).max() <= 1
    (shown,) = out["2"]["tilework_solar"]
    assert "images" not in out["2"], "the host would draw a second preview"
    assert np.array_equal(seen(shown), np.round(photograph[0].numpy() * 255)), "the widget gets the picture as it is"
    assert (shown["width"], shown["height"], shown["full_width"], shown["count"], shown["curve"]) == (512, 512, 512, 1, None)
    for channel in CHANNELS:
        assert shown["ranges"][channel] == pytest.approx(list(range_of(photograph[0], channel)))


def test_a_large_picture_is_shown_small_and_passed_on_whole(run_prompt):
    large = prompt(source(3000, 2000, batch=2, channels=4, kind="smooth"))
    large["6"] = node("TileworkTestCount", images=["2", 0])
    out = run_prompt(large)
    assert '"shapes": [[2, 2000, 3000, 4]]' in out["6"]["text"][0]
    (shown,) = out["2"]["tilework_solar"]
    assert shown["width"] * shown["height"] <= 1 << 21 and shown["width"] / shown["height"] == pytest.approx(1.5, abs=0.01)
    assert (shown["full_width"], shown["full_height"], shown["count"]) == (3000, 2000, 2)


@pytest.mark.parametrize("interpolation", ["monotone_cubic", "linear"])
@pytest.mark.parametrize("way", ["Curve Editor", "raw"])
def test_a_curve_of_the_core_as_object_and_as_dict(run_prompt, seen, photograph, interpolation, way):
    points = [[0, 0], [0.3, 0.9], [0.6, 0.2], [1, 1]]
    raw = {"points": points, "interpolation": interpolation}
    asked = prompt(preset="curve", channel="each channel", curve=["9", 0] if way == "Curve Editor" else raw)
    if way == "Curve Editor":
        asked["9"] = node("CurveEditor", curve=raw)
    out = run_prompt(asked)
    (shown,) = out["2"]["tilework_solar"]
    samples = shown["curve"]
    assert len(samples) == 1021 and samples[0] == 0 and samples[-1] == 1
    assert samples[306] == pytest.approx(0.9, abs=1e-6) and samples[612] == pytest.approx(0.2, abs=1e-6)
    half_way = samples[153]
    assert half_way == pytest.approx(0.45, abs=1e-6) if interpolation == "linear" else half_way > 0.46
    levels = (photograph[0].numpy() * 255).round().astype(int)
    assert np.abs(seen(out["3"]["images"][0]) - np.asarray(samples)[levels * 4] * 255).max() <= 1


def test_a_curve_that_is_not_connected_is_none_whatever_its_default_is(run_prompt, seen, photograph, object_info):
    """The editor's search preview of front end 1.58.1 draws the default; a run takes the points."""
    kind, options = object_info["TileworkSolarCurvePreview"]["input"]["optional"]["curve"]
    assert kind == "CURVE" and options["forceInput"] is True
    assert options["default"] == {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}
    out = run_prompt(prompt(preset="curve", channel="each channel", points={"points": [[0, 1], [1, 0]]}))
    (shown,) = out["2"]["tilework_solar"]
    assert shown["curve"] is None
    assert np.abs(seen(out["3"]["images"][0]) - (255 - photograph[0].numpy() * 255)).max() <= 1


def test_a_connected_curve_does_nothing_to_a_preset(run_prompt, seen, photograph):
    out = run_prompt(prompt(curve={"points": [[0, 0], [1, 1]], "interpolation": "linear"}))
    assert np.abs(seen(out["3"]["images"][0]) - solarize(photograph, solar_curve("four points"))[0].numpy() * 255).max() <= 1


@pytest.mark.parametrize("points", [{"__value__": [[0, 1], [1, 0]]}, {"points": [[0, 1], [1, 0]]}], ids=["list of two", "dict"])
def test_own_points_through_the_api(run_prompt, seen, photograph, points):
    out = run_prompt(prompt(preset="curve", channel="each channel", points=points))
    assert np.abs(seen(out["3"]["images"][0]) - (255 - photograph[0].numpy() * 255)).max() <= 1


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ("<img src=x onerror=alert(1)>", "points is a str"),
        (7, "points is a int"),
        ({"__value__": [[0, 0], ["a", 1]]}, "point 1 of points is a list: expected two numbers from 0 to 1"),
        ({"__value__": [[i / 1e5, 0] for i in range(100_000)]}, "points has 100000 points: use 2 to 64"),
        ({"__value__": [[0, 0], [1e308, 1]]}, "point 1 of points"),
        ({"__value__": [[0.5, 0], [0.5, 1]]}, "two points of points are at x = 0.5 and 0.5"),
        ({"points": None}, "points is a NoneType"),
    ],
    ids=["html", "number", "text in a pair", "huge", "large number", "same x", "null"],
)
def test_made_up_points_are_refused_before_anything_runs(run_prompt, points, words):
    with pytest.raises(HostRunError) as caught:
        run_prompt(prompt(points=points))
    assert words in str(caught.value) and "refused the workflow" in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ({"points": [[0, 0], ["x", 1]]}, "curve cannot be used, its point 1"),
        ({"points": [[0, 0], [1, 1]], "interpolation": "spiral"}, "curve has an unknown interpolation"),
        ({"nothing": 1}, "curve cannot be used, its points is a NoneType"),
    ],
)
def test_a_made_up_curve_is_refused_in_words(run_prompt, curve, words):
    with pytest.raises(HostRunError, match=words):
        run_prompt(prompt(preset="curve", curve=curve))


@pytest.mark.parametrize(
    "changed", [{"preset": "six"}, {"inversions": 99}, {"inversions": "many"}, {"gain": -1}, {"phase": 2}, {"channel": "<b>"}]
)
def test_made_up_settings_are_refused_by_the_host(run_prompt, changed):
    with pytest.raises(HostRunError, match="refused the workflow"):
        run_prompt(prompt(**changed))


def test_nan_is_refused_with_the_pictures_number(run_prompt):
    asked = prompt()
    asked["7"] = node("TileworkTestPoison", images=["1", 0], index=0, value="nan")
    asked["2"]["inputs"]["image"] = ["7", 0]
    with pytest.raises(HostRunError, match="picture 0 has NaN in it"):
        run_prompt(asked)


def test_every_js_file_is_served_and_puts_text_into_the_page_as_text(server):
    folder = Path(__file__).resolve().parents[2] / "web" / "js"
    files = sorted(folder.rglob("*.js"))
    assert len(files) > 20
    for file in files:
        text = get(f"{server.url}/extensions/tilework/js/{file.relative_to(folder).as_posix()}").decode()
        for way in ("innerHTML", "insertAdjacentHTML", "eval(", "document.write"):
            assert way not in text, f"{file.name}: {way}"
