"""Workers on Ray: one actor per GPU, or a stated number on processors, on one machine or on many.

Ray is loaded inside functions: only `farm.py folder` needs it, in an environment of its own (requirements-farm.txt). Whoever
can reach a Ray cluster can run programs on all of its machines; one that we start listens on this machine alone and takes
nobody without its token.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from .comfy_server import remove_left_behind, work_root
from .installation import PACK
from .process.host_error import HostError
from .process.lock import taken
from .process.stop_signals import Stop

OBJECT_STORE = 80 << 20  # bytes: paths and words go through it, no pixels
REQUIREMENTS = "requirements-farm.txt"
# Ray's own switch for systems where it stays on this machine: without it, it turns 127.0.0.1 into the machine's address.
STAY_HERE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
LOOPBACK = re.compile(r"(ray://)?(127\.0\.0\.1|localhost|\[::1\]):\d+")
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_DEDUP_LOGS": "0"}


def load_ray() -> ModuleType:
    """Ray itself. Raises HostError, which names what to install, where it is not there."""
    os.environ.update(QUIET)
    try:
        import ray
    except ImportError as error:
        raise HostError(
            f"farm.py folder needs Ray, which this Python ({sys.executable}) has not got ({error}). Make an environment of its own "
            f"for it and run farm.py with that: python -m venv farm-env, then farm-env/bin/pip install -r {PACK / REQUIREMENTS}. "
            "ComfyUI's own environment stays as it is."
        ) from error
    return ray


@contextmanager
def cluster(address: str | None, workers: int, stop: Stop) -> Iterator[ModuleType]:
    """Ray, connected: to the cluster at `address`, or to one on this machine that is started here and ends with the block.

    Args:
        address: HOST:PORT of a running cluster's head, or ray://HOST:PORT; None for this machine alone.
        workers: on processors, where there is no address; 0 for one per GPU.
        stop: from `held_back`: an exception in the middle of Ray's start leaves it waiting for itself.
    Raises HostError where Ray is not installed, does not start, or nobody answers at the address.
    """
    with _own_folder() if address is None else contextlib.nullcontext() as folder:
        if address is None:
            os.environ.update(STAY_HERE, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
            os.environ.pop("RAY_ADDRESS", None)
        elif LOOPBACK.fullmatch(address):
            os.environ.update(STAY_HERE)
        ray = load_ray()
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "namespace": f"tilework-{secrets.token_hex(8)}"}
        if address is None:
            options |= {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1", "_temp_dir": str(folder)}
            options |= {"object_store_memory": OBJECT_STORE, **({"num_cpus": workers, "num_gpus": 0} if workers else {})}
        else:
            options["address"] = address
        try:
            with _no_handler_of(ray):
                _connect(ray, address, options)
            stop.heed()
            stop.check()
            yield ray
        finally:
            ray.shutdown()


@contextmanager
def _no_handler_of(ray: ModuleType) -> Iterator[None]:
    """While it starts, Ray has a handler of its own for requests to end, which raises SystemExit wherever it stands."""
    utils = getattr(getattr(ray, "_private", None), "utils", None)
    its_own = getattr(utils, "set_sigterm_handler", None)
    if its_own is None:
        yield
        return
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = its_own


def _connect(ray: ModuleType, address: str | None, options: Mapping[str, Any]) -> None:
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ImportError) as error:
        where = f"on this machine: {error}" if address is None else f"at {address}: {error}"
        more = ' An address ray:// needs Ray\'s client as well: pip install "ray[client]".' if str(address).startswith("ray:") else ""
        raise HostError(f"Ray does not answer {where}".strip() + more) from error


@contextmanager
def _own_folder() -> Iterator[Path]:
    """A folder for a Ray of ours, deleted afterwards; those whose owner was killed are deleted now.

    In the system's temporary folder, wherever the servers' folders are: the path of a socket may have 107 letters at most.
    """
    root = work_root()
    remove_left_behind(root)
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir=root))
    lock = taken(folder / "lock")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def start_actor(ray: ModuleType, plan: Mapping[str, Any], name: str, on_gpu: bool, threads: int) -> Any:
    """A new actor, which Ray places where there is room: ask it `ready`, then `make`, `state` and `close`.

    Args:
        plan: from `plan_as_json`.
        on_gpu: whether it takes a GPU, else as many processors as `threads`.
    """
    resources = {"num_gpus": 1, "num_cpus": 1} if on_gpu else {"num_gpus": 0, "num_cpus": max(1, threads)}
    made = _actor_class(ray).options(**resources, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
    return made.remote(str(PACK), plan, name, on_gpu)


def gone_errors(ray: ModuleType) -> tuple[type[Exception], ...]:
    """What `ray.get` raises where the actor's process or machine is gone."""
    errors = ray.exceptions
    return (errors.RayActorError, errors.NodeDiedError, errors.WorkerCrashedError, errors.ObjectLostError, errors.OutOfMemoryError)


def _actor_class(ray: ModuleType) -> Any:
    """The class of the actors. It goes to the machines as code, and loads the pack there from the same path as here."""

    class FolderActor:
        def __init__(self, pack: str, plan: dict[str, Any], name: str, on_gpu: bool) -> None:
            import importlib.util
            import os
            import sys

            if "tilework" not in sys.modules:
                spec = importlib.util.spec_from_file_location("tilework", f"{pack}/__init__.py", submodule_search_locations=[pack])
                sys.modules["tilework"] = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(sys.modules["tilework"])
            from tilework.machines.picture_worker import PictureWorker, plan_from_json

            if on_gpu:
                # Ray allows its own processes one thread; ComfyUI is to have what the machine has.
                os.environ.pop("OMP_NUM_THREADS", None)
            self.worker = PictureWorker(plan_from_json(plan), name)

        @ray.method(concurrency_group="make")
        def ready(self, warm: bool) -> dict[str, Any]:
            """Where the worker is; with `warm`, ComfyUI is started, else with the first picture that needs it."""
            return {**self.worker.where(), "seconds": self.worker.warm_up() if warm else 0.0}

        @ray.method(concurrency_group="make")
        def make(self, picture: str, attempt: int, refused_keys: list[str], helping: bool) -> dict[str, Any]:
            """See PictureWorker.make."""
            from dataclasses import asdict

            return asdict(self.worker.make(picture, attempt, refused_keys, helping))

        @ray.method(concurrency_group="ask")
        def state(self) -> dict[str, Any]:
            """See PictureWorker.state."""
            return self.worker.state()

        @ray.method(concurrency_group="ask")
        def close(self) -> None:
            """See PictureWorker.close."""
            self.worker.close()

    return ray.remote(concurrency_groups={"make": 2, "ask": 1})(FolderActor)
