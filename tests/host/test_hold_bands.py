"""Hold Bands to Reference through the real server."""

import pytest
from tilework.tests.host.prompts import node
from tilework.tools.server.workflow import WorkflowError as HostRunError

from .test_keep_composition import LARGE, SMALL, graph, latent


def hold(model, **more):
    options = {"wavelet": "haar", "levels": 2, "low": 1.0, "high": 0.1, "operator": "averaged", "start": 0.0, "end": 1.0}
    return node("TileworkFrequencyGuidance", model=model, **{**options, "reference": ["small", 0], **more})


def test_it_changes_a_picture_and_with_weights_0_nothing(report):
    (said,) = report(graph(["hold", 0], hold=hold(["base", 0])), "said")
    assert said["samples_max_abs"] > 0.1
    (said,) = report(graph(["hold", 0], hold=hold(["base", 0], low=0.0, high=0.0)), "said")
    assert said["samples_max_abs"] == 0


def test_firm_weights_give_the_reference(report):
    firm = hold(["base", 0], operator="same size", reference=["large", 0], low=1e5, high=1e6, wavelet="db4")
    prompt = graph(["hold", 0], hold=firm)
    prompt["said"]["inputs"]["b"] = ["large", 0]
    (said,) = report(prompt, "said")
    assert said["samples_max_abs"] < 1e-3


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ({"operator": "same size"}, "24 x 16 cells and the canvas 48 x 32: enlarge the reference"),
        ({"reference": ["wrong", 0]}, "1.5 and 1.52 times as large: operator averaged needs a whole number"),
        ({"start": 1.0, "end": 0.5}, "start 1.0 lies behind end 0.5"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(run_prompt, more, part):
    assert (SMALL["width"], LARGE["width"]) == (24, 48)
    with pytest.raises(HostRunError, match=part):
        run_prompt(graph(["hold", 0], hold=hold(["base", 0], **more), wrong=latent(32, 21)))
