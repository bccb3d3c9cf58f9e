"""What farm.py makes of a workflow is what the editor makes of it, pixel by pixel, in the form it saves and the form it exports."""

import io
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tilework.machines.comfy_server import ComfyServer
from tilework.machines.installation import Installation
from tilework.machines.one_job import Job
from tilework.machines.one_picture import MADE, run_one
from tilework.machines.workflow_file import find_save, read_workflow
from tilework.tests.browser.test_templates import OPEN
from tilework.tools.server.loopback import get_json
from tilework.tools.server.workflow import fetch
from tilework.tools.setup.environment import find_host
from tilework.tools.setup.virtual_environment import has_cuda

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"
# Each with the Save Image that is meant: the second one has two.
TEMPLATES = {"02 Upscale a picture of any size": None, "11 Repair seams and colour drift": "tilework/drift_repair"}
RUN = "async () => { await app.queuePrompt(0); }"


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


@pytest.fixture(scope="module")
def own(server, tmp_path_factory):
    """A ComfyUI that farm.py has started, with the packs and models of the editor's."""
    host = find_host()
    arguments = ("--use-pytorch-cross-attention", *(() if has_cuda(host.root / "venv") else ("--cpu",)))
    installation = Installation(host.comfy, Path(host.python), server.base, arguments)
    with ComfyServer(installation, tmp_path_factory.mktemp("work"), {"OMP_NUM_THREADS": "1"}) as running:
        yield running


@pytest.mark.renderer("classic")
def test_farm_makes_the_pixels_that_the_editor_makes(clean, server, own, tmp_path):
    pytest.importorskip("comfy_cli")
    for name, save in TEMPLATES.items():
        clean.do(OPEN, name)
        clean.do("name => F.until(() => app.extensionManager.workflow.activeWorkflow.filename === name, 'it is open')", name)
        exported, before = clean.do("() => F.prompt()"), set(get_json(server.url + "/history"))
        clean.do(RUN)
        clean.do("() => F.until(() => Object.keys(app.nodeOutputs).length, 'results', 60)")
        node = find_save(exported, save)
        while not (done := [entry for key, entry in get_json(server.url + "/history").items() if key not in before]):
            time.sleep(0.1)
        wanted = pixels(fetch(server.url, done[0]["outputs"][node]["images"][0]))
        (tmp_path / "exported.json").write_text(json.dumps(exported))
        for form, file in {"UI": FOLDER / f"{name}.json", "API": tmp_path / "exported.json"}.items():
            result = tmp_path / form / "result.png"
            outcome = run_one(own, Job(read_workflow(file), None, save), server.base / "input" / "example.png", result)
            assert outcome.state == MADE, outcome
            assert np.array_equal(pixels(result.read_bytes()), wanted), f"{name}, {form}"
            print(f"{name}, {form}: {wanted.shape} equal, {outcome.seconds:.1f} s")
