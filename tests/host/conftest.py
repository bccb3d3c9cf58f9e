"""One real ComfyUI server for all host tests, with the pack installed the way a user has it."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tilework.tests.host.hostile import leave_a_tile
from tilework.tools.demo.materials import ensure_photograph, ensure_upscaler
from tilework.tools.server.comfy import Server
from tilework.tools.server.loopback import get_json
from tilework.tools.server.workflow import run
from tilework.tools.setup.environment import find_host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def server():
    """The running server. A host that is not set up is an error, never a skip."""
    host = find_host()
    packs = {"tilework": ROOT, "tilework_test": ROOT / "tests" / "pack"}
    models = {"upscale_models": [ensure_upscaler(host)]}
    with Server(host, name="tests", packs=packs, models=models, inputs=[ensure_photograph(host)]) as running:
        leave_a_tile(running.base)
        yield running


@pytest.fixture(scope="session")
def object_info(server) -> dict[str, Any]:
    """Everything the server knows about its nodes."""
    return get_json(server.url + "/object_info")


@pytest.fixture(scope="session")
def pack(object_info) -> dict[str, Any]:
    """The pack's nodes, by id."""
    return {name: info for name, info in object_info.items() if name.startswith("Tilework") and not name.startswith("TileworkTest")}


@pytest.fixture
def run_entry(server):
    """Run a prompt; returns the history entry, raises WorkflowError with the node's own words."""
    return lambda prompt, timeout=120: run(server.url, prompt, timeout)


@pytest.fixture
def run_prompt(run_entry):
    """Run a prompt; returns the outputs by node id."""
    return lambda prompt, timeout=120: run_entry(prompt, timeout)["outputs"]


@pytest.fixture
def report(run_prompt):
    """Run a prompt and read the JSON texts that test node `node` wrote, one per item."""
    return lambda prompt, node: [json.loads(text) for text in run_prompt(prompt)[node]["text"]]


@pytest.fixture
def follow(server):
    """Run a prompt over the websocket; returns its messages as (type, data), previews as ("preview", bytes)."""

    def go(prompt: dict[str, Any], on_message=None, timeout: float = 120) -> list[tuple[str, Any]]:
        # In a thread of its own: where tests drive a browser, the main thread has an event loop already.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, _follow(server.url, prompt, on_message, timeout)).result()

    return go


async def _follow(url: str, prompt: dict[str, Any], on_message, timeout: float) -> list[tuple[str, Any]]:
    import aiohttp

    messages: list[tuple[str, Any]] = []
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId=tests", max_msg_size=0) as socket:
        await socket.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": "tests"}) as answer:
            said = await answer.json()
            assert answer.status == 200, said
        async with asyncio.timeout(timeout):
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    messages.append(("preview", message.data))
                    continue
                kind, data = (lambda m: (m["type"], m["data"]))(json.loads(message.data))
                messages.append((kind, data))
                if on_message is not None:
                    await on_message(session, kind, data)
                over = {"execution_success", "execution_error", "execution_interrupted"}
                if kind in over and data.get("prompt_id") == said["prompt_id"]:
                    return messages
    raise AssertionError("the websocket closed before the run was over")
