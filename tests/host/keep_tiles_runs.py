"""Runs of ComfyUI's own executor with Keep Tiles, with every cache that it has; prints what was computed as JSON.

    python tests/host/keep_tiles_runs.py COMFYUI_FOLDER WORK_FOLDER TILES_PER_SIDE first|second

A script of its own, because ComfyUI's cache is chosen when it starts, and because one of the steps ends the process. What is
counted are the runs of a node that works on the tiles.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMFY, WORK, SIDE, STEP = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
sys.path.insert(0, COMFY)
sys.argv = [sys.argv[0], "--cpu", "--base-directory", str(WORK)]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.model_management  # noqa: E402
import comfy.utils  # noqa: E402
import execution  # noqa: E402
import folder_paths  # noqa: E402
import numpy  # noqa: E402
import torch  # noqa: E402

import nodes  # noqa: E402

torch.set_num_threads(1)
TILE, OVERLAP = 32, 8
STOP_AFTER = 20
MODEL = "strength.safetensors"


def _pack() -> None:
    spec = importlib.util.spec_from_file_location("tilework", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    sys.modules["tilework"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["tilework"])
    from tilework.nodes import Tilework

    for one in asyncio.run(Tilework().get_node_list()):
        nodes.NODE_CLASS_MAPPINGS[one.GET_SCHEMA().node_id] = one


class Picture:
    """A picture of numbers that are always the same."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "make", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"side": ("INT", {}), "seed": ("INT", {})}}

    def make(self, side, seed):
        return (torch.rand(1, side, side, 3, generator=torch.Generator().manual_seed(seed)),)


class Strength:
    """A model that is one number in a file."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("FLOAT",), "load", "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    def load(self, name):
        return (float(Path(folder_paths.get_full_path("upscale_models", name)).read_text()),)


class Work:
    """What is counted; ends the run, or the process, before one of its tiles."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE", "FLOAT"), "work", "test"
    runs, cancel_after, die_after = 0, None, None

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "gain": ("FLOAT", {"default": 1.0}), "model": ("FLOAT", {"forceInput": True})}}

    def work(self, image, gain, model):
        if Work.runs == Work.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        if Work.runs == Work.cancel_after:
            comfy.model_management.interrupt_current_processing()
            comfy.model_management.throw_exception_if_processing_interrupted()
        Work.runs += 1
        return image * gain * model, model


class Soften:
    """A second node that works on the tiles."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "work", "test"
    runs = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "by": ("FLOAT", {"default": 0.5})}}

    def work(self, image, by):
        Soften.runs += 1
        return (image**by,)


class Whole:
    """Takes and gives whole lists."""

    RETURN_TYPES, FUNCTION, CATEGORY, INPUT_IS_LIST, OUTPUT_IS_LIST = ("IMAGE",), "work", "test", True, (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def work(self, image):
        return (image,)


class Gather(Whole):
    """Takes whole lists."""

    OUTPUT_IS_LIST = (False,)

    def work(self, image):
        return (image[0],)


class Restless(Soften):
    """Says at every run that it gives something else."""

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return float("nan")


class Clock(Soften):
    """Says the time."""

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return time.time()


class Array(Soften):
    """Says what cannot be compared."""

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return numpy.zeros(3)


class Calm(Soften):
    """Says the same at every run, with a value that it has beside its inputs."""

    @classmethod
    def IS_CHANGED(cls, by, **inputs):
        return {"by": [by, "b", b"c", None]}


class Hidden(Soften):
    """Wants more than its inputs to be asked, and gets it from ComfyUI alone."""

    @classmethod
    def INPUT_TYPES(cls):
        return {**super().INPUT_TYPES(), "hidden": {"unique_id": "UNIQUE_ID"}}

    @classmethod
    def IS_CHANGED(cls, unique_id, **inputs):
        return unique_id

    def work(self, image, by, unique_id):
        return super().work(image, by)


class Tagger:
    """Shows something by itself, and gives a number on: as taggers do."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = ("FLOAT",), "work", "test", True
    runs = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def work(self, image):
        Tagger.runs += 1
        return {"ui": {"text": ["a tag"]}, "result": (float(image.mean()),)}


class SaveAndGoOn(Soften):
    """Saves its picture and gives it on."""

    OUTPUT_NODE = True


class Gains:
    """One number for each tile."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_IS_LIST = ("FLOAT",), "make", "test", (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"count": ("INT", {})}}

    def make(self, count):
        return ([1 - index / 100 for index in range(count)],)


class Keep:
    """The result, for the script."""

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "take", "test", True
    picture = None

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def take(self, image):
        Keep.picture = image
        return {}


OWN = {
    "TestPicture": Picture, "TestStrength": Strength, "TestWork": Work, "TestSoften": Soften, "TestWhole": Whole, "TestGather": Gather,
    "TestRestless": Restless, "TestClock": Clock, "TestArray": Array, "TestCalm": Calm, "TestHidden": Hidden, "TestTagger": Tagger,
    "TestSaveAndGoOn": SaveAndGoOn, "TestGains": Gains, "TestKeep": Keep,
}  # fmt: skip


class Listener:
    """ComfyUI's server, as far as the executor knows it."""

    def __init__(self):
        self.client_id = self.last_node_id = self.last_prompt_id = None
        self.sockets_metadata, self.sent = {}, []

    def send_sync(self, event, data, client_id=None):
        self.sent.append((event, data))


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def prompt(keep="while ComfyUI runs", gain=0.9, by=0.5, seed=1):
    """Picture -> Tile Split -> two nodes -> Keep Tiles (if keep) -> Seam Blend."""
    side = OVERLAP + SIDE * (TILE - OVERLAP)
    size = {"tile_width": TILE, "tile_height": TILE, "overlap": OVERLAP, "multiple_of": 8}
    made = {
        "1": node("TestPicture", side=side, seed=seed),
        "2": node("TileworkTileSplit", image=["1", 0], **size),
        "3": node("TestStrength", name=MODEL),
        "4": node("TestWork", image=["2", 0], gain=gain, model=["3", 0]),
        "5": node("TestSoften", image=["4", 0], by=by),
        "7": node("TileworkSeamBlend", tiles=["6" if keep else "5", 0], layout=["2", 1], method="hann", trim=0, scale=0.0),
        "8": node("TestKeep", image=["7", 0]),
    }
    if keep:
        made["6"] = node("TileworkKeepTiles", keep=keep, tiles=["5", 0], layout=["2", 1])
    return made


class Host:
    """An executor with a cache."""

    def __init__(self, cache):
        from tilework.host import kept_tiles

        # As ComfyUI comes, its cache lets go of everything of an earlier run that the prompt itself does not name.
        args = {"lru": 1, "ram": 0.5, "ram_inactive": 100_000}
        self.listener = Listener()
        comfy.utils.set_progress_bar_global_hook(self._progress)
        kept_tiles._memory = kept_tiles.TilesInMemory()  # as in a new process
        self.executor = execution.PromptExecutor(self.listener, cache_type=cache, cache_args=args)

    def _progress(self, value, total, preview, prompt_id=None, node_id=None):
        self.listener.send_sync("progress", {"value": value, "max": total, "node": node_id})

    def run(self, graph, cancel_after=None, die_after=None):
        """How often the two nodes ran, the result's sum of bits, and the error."""
        Work.runs = Soften.runs = 0
        Work.cancel_after, Work.die_after = cancel_after, die_after
        Keep.picture = None
        self.listener.sent.clear()
        # ComfyUI writes into the prompt that it is given.
        self.executor.execute(
            json.loads(json.dumps(graph)),
            "one",
            {"client_id": "tests"},
            ["8"] + [key for key, part in graph.items() if part["class_type"] in ("TestTagger", "TestSaveAndGoOn")],
        )
        errors = [
            data.get("exception_message", event)
            for event, data in self.listener.sent
            if event.startswith("execution_") and "node_type" in data
        ]
        picture = None if Keep.picture is None else hashlib.sha256(Keep.picture.contiguous().numpy().tobytes()).hexdigest()
        return {"work": Work.runs, "soften": Soften.runs, "picture": picture, "error": errors[0] if errors else None}

    def told(self):
        """What was shown as the progress of Keep Tiles, in the last run: (done, of how many)."""
        return [(data["value"], data["max"]) for event, data in self.listener.sent if event == "progress" and data["node"] == "6"]


def memory(cache):
    """Cancelled and run again; then with a setting of the second node changed, then of the first."""
    host = Host(cache)
    said = {"cancelled": host.run(prompt(), cancel_after=STOP_AFTER), "again": host.run(prompt())}
    said["told"] = host.told()
    said["nothing new"] = host.run(prompt())
    said["second node"] = host.run(prompt(by=0.7))
    said["first node"] = host.run(prompt(gain=0.8))
    return said


def list_alone():
    host = Host(execution.CacheType.RAM_PRESSURE)
    return {"cancelled": host.run(prompt(None), cancel_after=STOP_AFTER), "again": host.run(prompt(None))}


def two_stages():
    """A node that takes the whole list between two Keep Tiles, and a second list beside the tiles."""
    stages = prompt()
    stages["9"] = node("TestWhole", image=["6", 0])
    stages["10"] = node("TestWork", image=["9", 0], gain=["12", 0], model=["3", 0])
    stages["11"] = node("TileworkKeepTiles", keep="while ComfyUI runs", tiles=["10", 0], layout=["2", 1])
    stages["12"] = node("TestGains", count=["2", 2])
    stages["7"]["inputs"]["tiles"] = ["11", 0]
    alone = json.loads(json.dumps(stages))
    alone["9"]["inputs"]["image"], alone["7"]["inputs"]["tiles"] = ["5", 0], ["10", 0]
    for key in ("6", "11"):
        del alone[key]
    host = Host(execution.CacheType.RAM_PRESSURE)
    tiles = SIDE * SIDE
    said = {"cancelled": host.run(stages, cancel_after=tiles + STOP_AFTER), "again": host.run(stages)}
    second = json.loads(json.dumps(stages))
    second["10"]["inputs"]["gain"] = 0.7
    said["second stage"] = host.run(second)
    return said | {"list alone": Host(execution.CacheType.RAM_PRESSURE).run(alone)}


def what_it_says():
    """Nodes that say at each run what they depend on, and say the same; one that shows something by itself before the work."""
    said = {}
    for kind in ("TestCalm", "TestHidden"):
        graph = prompt() | {"5": node(kind, image=["4", 0], by=0.5)}
        host = Host(execution.CacheType.RAM_PRESSURE)
        said[kind] = {"cancelled": host.run(graph, cancel_after=STOP_AFTER), "again": host.run(graph)}
    tags = {"9": node("TestTagger", image=["2", 0]), "4": node("TestWork", image=["2", 0], gain=["9", 0], model=["3", 0])}
    host = Host(execution.CacheType.RAM_PRESSURE)
    said["tagger"] = {
        "cancelled": host.run(prompt() | tags, cancel_after=STOP_AFTER),
        "again": host.run(prompt() | tags),
        "tags": Tagger.runs,
    }
    said["tagger, plain"] = Host(execution.CacheType.RAM_PRESSURE).run(prompt(None) | tags)
    return said


def refusals():
    """What is said of workflows that cannot be done tile by tile, and of caches that keep nothing."""
    from comfy.cli_args import args

    said = {}

    def refused(name, keep="while ComfyUI runs", **changed):
        said[name] = Host(execution.CacheType.RAM_PRESSURE).run(prompt(keep) | changed)

    refused("gives a list", **{"5": node("TestWhole", image=["4", 0])})
    refused("takes a list", **{"5": node("TestGather", image=["4", 0])})
    refused("no list", **{"4": node("TestWork", image=["1", 0], gain=1.0, model=["3", 0])})
    refused("used elsewhere", **{"9": node("TestKeep", image=["4", 0])})
    refused("restless", **{"5": node("TestRestless", image=["4", 0], by=0.5)})
    refused("the time", **{"5": node("TestClock", image=["4", 0], by=0.5)})
    refused("an array", **{"5": node("TestArray", image=["4", 0], by=0.5)})
    refused("saves at the end", **{"5": node("TestSaveAndGoOn", image=["2", 0], by=0.5)})
    saves_between = {"5": node("TestSaveAndGoOn", image=["4", 0], by=0.5), "9": node("TestSoften", image=["5", 0], by=1.0)}
    refused(
        "saves between", **saves_between, **{"6": node("TileworkKeepTiles", keep="while ComfyUI runs", tiles=["9", 0], layout=["2", 1])}
    )
    other = prompt()["2"]
    other["inputs"] = other["inputs"] | {"tile_width": 64}
    refused(
        "another layout",
        **{
            "9": other,
            "6": node("TileworkKeepTiles", keep="on disk", tiles=["10", 0], layout=["9", 1]),
            "10": node("TestSoften", image=["4", 0], by=0.5),
        },
    )
    for name, value, keep in (("cache_classic", True, "on disk"), ("cache_none", True, "while ComfyUI runs")):
        before = getattr(args, name)
        setattr(args, name, value)
        refused(name, keep)
        setattr(args, name, before)
    return said


def first():
    """All that needs no second process; then a run on disk, in which the process is killed."""
    say("memory", {name: memory(getattr(execution.CacheType, name)) for name in ("CLASSIC", "RAM_PRESSURE", "LRU")})
    say("list alone", list_alone())
    say("two stages", two_stages())
    say("what it says", what_it_says())
    say("refusals", refusals())
    Host(execution.CacheType.RAM_PRESSURE).run(prompt("on disk"), die_after=STOP_AFTER)


def second():
    """A new process: the rest is computed; then all stands on disk. Then with other settings, another picture, another file."""
    from tilework.host import used_files

    def fresh(name, graph):
        say(name, Host(execution.CacheType.RAM_PRESSURE).run(graph))

    fresh("again", prompt("on disk"))
    fresh("from disk", prompt("on disk"))
    fresh("plain", prompt(None))
    fresh("second node", prompt("on disk", by=0.7))
    fresh("first node", prompt("on disk", gain=0.8))
    fresh("other picture", prompt("on disk", seed=2))
    (WORK / "models" / "upscale_models" / MODEL).write_text("0.75")
    fresh("file changed while it runs", prompt("on disk"))
    used_files._first_seen.clear()  # as in a new process
    fresh("file changed", prompt("on disk"))
    fresh("file changed, plain", prompt(None))


def say(name, what):
    print("RESULT" + json.dumps({name: what}), flush=True)


if __name__ == "__main__":
    _pack()
    nodes.NODE_CLASS_MAPPINGS.update(OWN)
    {"first": first, "second": second}[STEP]()
