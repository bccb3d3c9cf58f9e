"""Tiled Attention through the real server: template 24 as it is saved, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image
from tilework.tests.host.prompts import node
from tilework.tests.host.test_sampling_workflows import FOLDER, with_test_models
from tilework.tools.server.workflow import WorkflowError, convert, fetch, images


def test_the_template_paints_in_one_piece(server, object_info, run_entry):
    """With every size a sixteenth of what is saved; with it and without, on a model of that native size."""
    prompt = with_test_models(convert(FOLDER / "24 ScaleDiff, with any model.json", object_info))
    (attention,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "TileworkTiledAttention")
    (empty,) = (part["inputs"] for part in prompt.values() if part["class_type"] == "EmptyLatentImage")
    assert attention["native_width"] == 0 and attention["method"] == "neighbourhood"
    empty.update(width=128, height=64)
    attention.update(native_width=128, native_height=64)
    made = {}
    for method, strength in (("neighbourhood", 1.0), ("global tokens", 1.0), ("neighbourhood", 0.0)):
        attention.update(method=method, strength=strength)
        written = images(run_entry(prompt))[-1]
        made[method, strength] = np.asarray(Image.open(io.BytesIO(fetch(server.url, written))).convert("RGB"), dtype=np.float32)
        assert made[method, strength].shape == (128, 256, 3) and made[method, strength].std() > 1
    off = made["neighbourhood", 0.0]
    assert np.array_equal(made["global tokens", 1.0], off), "without tiles nobody sees the whole picture"
    assert not np.array_equal(made["neighbourhood", 1.0], off)


def test_what_cannot_be_is_refused_in_words(run_entry):
    inputs = {"method": "neighbourhood", "native_width": 0, "native_height": 0, "strength": 1.0, "start": 0.6, "end": 0.4, "jitter": True}
    prompt = {
        "model": node("TileworkTestModel", kind="dit"),
        "prompt": node("TileworkTestPrompt", text="a"),
        "attention": node("TileworkTiledAttention", model=["model", 0], **inputs),
        "run": node(
            "KSampler", model=["attention", 0], positive=["prompt", 0], negative=["prompt", 0], latent_image=["empty", 0], seed=1, steps=1,
            cfg=1.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "empty": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "save": node("SaveLatent", samples=["run", 0], filename_prefix="attention"),
    }  # fmt: skip
    with pytest.raises(WorkflowError, match=r"start 0\.6 lies behind end 0\.4"):
        run_entry(prompt)
