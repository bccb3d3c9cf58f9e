"""Values of the wrong kind through the API, in every input of every node: an error or a result, and the server lives."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

from tilework.tests.host.hostile import LOOKED_INTO, VALUES, WIDGETS, inputs_of, kind_of, sound
from tilework.tests.host.prompts import node
from tilework.tools.server.loopback import get_json


def post(url, prompt):
    """Send a prompt; its id, or None and what the server said against it."""
    body = json.dumps({"prompt": prompt, "client_id": "hostile"}).encode()
    request = urllib.request.Request(url + "/prompt", data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["prompt_id"], ""
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        assert error.code == 400, (error.code, said[:400])
        return None, said


def wait(url, seconds=240):
    """Until nothing waits or runs."""
    for end in [time.monotonic() + seconds]:
        while time.monotonic() < end:
            left = get_json(url + "/prompt")["exec_info"]["queue_remaining"]
            if not left:
                return
            time.sleep(0.2)
    raise AssertionError(f"{left} prompts are still running or waiting")


def outcome(url, key):
    """How a prompt ended: "success", or (exception type, message)."""
    for _ in range(50):
        entry = get_json(f"{url}/history/{key}").get(key)
        if entry and entry.get("status"):
            break
        time.sleep(0.1)
    if entry["status"]["status_str"] == "success":
        return "success"
    ((_, failure),) = [message for message in entry["status"]["messages"] if message[0] == "execution_error"]
    return failure["exception_type"], failure["exception_message"].strip()


def tried(server, pack, wanted):
    """(node, input, kind of value) -> how it ended, for all inputs of which `wanted` is true of their type."""
    refused, ids = 0, {}
    for name, info in pack.items():
        for key, spec in inputs_of(info).items():
            if not wanted(spec):
                continue
            for kind, value in VALUES.items():
                prompt = sound(name, info)
                prompt["it"]["inputs"][key] = {"__value__": value} if isinstance(value, list) else value
                run, _ = post(server.url, prompt)
                refused += run is None
                if run:
                    ids[name, key, kind] = run
    wait(server.url)
    print(f"{refused} refused by the host's checks, {len(ids)} came to the nodes")
    return {at: outcome(server.url, run) for at, run in ids.items()}


def test_sound_prompts_are_sound(server, pack):
    ids = {name: post(server.url, sound(name, info)) for name, info in pack.items()}
    wait(server.url)
    ends = {name: (outcome(server.url, run) if run else said) for name, (run, said) in ids.items()}
    wrong = {name: end for name, end in ends.items() if end != "success"}
    assert not wrong, wrong


def no_json(word):
    """Fail for a number that Python's reader takes and a browser's does not."""
    raise AssertionError(f"a bare {word} in what the server sent")


def in_words(ends):
    """What is neither a success nor a ValueError with a sentence in it."""
    return {at: end for at, end in ends.items() if end != "success" and (end[0] != "ValueError" or len(end[1].split()) < 4)}


def test_widgets(server, pack):
    ends = tried(server, pack, lambda spec: kind_of(spec) in WIDGETS)
    assert in_words(ends) == {}
    # A browser reads none of a list with a NaN in it.
    for address in ("/api/jobs", "/history"):
        with urllib.request.urlopen(server.url + address, timeout=60) as answer:
            json.load(answer, parse_constant=no_json)


def test_numbers_may_come_from_other_nodes(server, pack):
    """With the inputs' own defaults, so that nothing but the link is new."""
    ids = {}
    for name, info in pack.items():
        for key, spec in inputs_of(info).items():
            source = {"FLOAT": "PrimitiveFloat", "INT": "PrimitiveInt"}.get(kind_of(spec))
            if source:
                prompt = sound(name, info)
                prompt["number"] = node(source, value=prompt["it"]["inputs"].get(key, spec[1]["default"]))
                prompt["it"]["inputs"][key] = ["number", 0]
                ids[name, key] = post(server.url, prompt)
    assert len(ids) > 40
    assert {at: said for at, (run, said) in ids.items() if run is None} == {}
    wait(server.url)
    ends = {at: outcome(server.url, run) for at, (run, _) in ids.items()}
    assert {at: end for at, end in ends.items() if end != "success"} == {}


def test_what_is_no_number_is_refused_in_the_hosts_words(server, pack):
    for name, info in pack.items():
        for key, spec in inputs_of(info).items():
            if kind_of(spec) == "FLOAT":
                prompt = sound(name, info)
                prompt["it"]["inputs"][key] = "auto"
                run, said = post(server.url, prompt)
                assert run is None and "Failed to convert an input value" in said and "Exception when" not in said, (name, key, said)


def test_sockets(server, pack):
    ends = tried(server, pack, lambda spec: kind_of(spec) not in WIDGETS)
    # What is no MODEL or CONDITIONING at all breaks in the host's own code, and is its error to word.
    ours = {at: end for at, end in ends.items() if kind_of(inputs_of(pack[at[0]])[at[1]]) in LOOKED_INTO}
    assert len(ours) > 50 and in_words(ours) == {}
