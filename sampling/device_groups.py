"""Several cards in one machine: groups of tiles go to every device that holds a copy of the model.

The host's *MultiGPU CFG Split* puts copies of a model on other cards (`multigpu_clones` in the model options of a run) with a thread
for each of them (`multigpu_thread_pool`), and spreads the *conditions* of one prediction over them: without a negative prompt
there is one, and the other cards idle. Here tiles are spread instead, and all conditions of a tile stay together.

The threads know nothing of what is set for the thread that asks (inference mode, gradients, whose node is at work), so they are
told. The host ends a cancelled run once, in the thread that hears of it first; the others are told by a flag that all share. Nothing is
raised before every device has given its result: what stayed in the threads' queues would be taken for the next call's.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..host.memory import is_out_of_memory
from ..host.progress import is_cancel
from .device_transfer import conditions_on, options_on

CLONES, POOL, SPEEDS = "multigpu_clones", "multigpu_thread_pool", "multigpu_options"
# Where the options of a tile that is sampled by itself say which device it is sampled on: a `TileDevice`.
TILE_DEVICE = "tilework_device"

Answers = list[torch.Tensor | None]


class TileDevice(NamedTuple):
    """The device of one tile, and those there are."""

    groups: DeviceGroups
    device: torch.device


class StoppedError(Exception):
    """Another device has failed, or heard of a cancel: this one has nothing more to do. Never seen outside of `DeviceGroups.run`."""


class _Outcome(NamedTuple):
    value: Any = None
    error: BaseException | None = None


def without_clones(model_options: dict[str, Any]) -> dict[str, Any]:
    """Model options by which the host does not spread a call over the devices once more; those given are not changed."""
    return {name: value for name, value in model_options.items() if name not in (CLONES, POOL)}


def device_groups(model: Any, model_options: dict[str, Any]) -> DeviceGroups | None:
    """The devices that hold a copy of this BaseModel in this run; None where there is one device, or a host without such copies."""
    clones, pool = model_options.get(CLONES), model_options.get(POOL)
    if not clones or pool is None:
        return None
    home = next((device for device, patcher in clones.items() if patcher.model is model), None)
    if home is None:
        return None  # another model of the run, of which there are no copies
    others = [device for device in clones if device != home and device in pool.devices]
    if not others:
        return None
    speeds = model_options.get(SPEEDS) or {}
    return DeviceGroups(
        {device: clones[device].model for device in (home, *others)},
        pool,
        [float(speeds.get(device, {}).get("relative_speed", 1.0)) for device in (home, *others)],
    )


class DeviceGroups:
    """The devices of one run.

    Args:
        models: the BaseModel on each device; the first is the home of the run, where its latents are.
        pool: the host's threads, one per device.
        speeds: of the devices, beside each other, above 0.

    Attributes:
        models: as given.
        home: the first device.
    """

    def __init__(self, models: Mapping[torch.device, Any], pool: Any, speeds: Sequence[float] | None = None) -> None:
        self.models, self._pool = dict(models), pool
        self.home = next(iter(self.models))
        self._speeds = dict(zip(self.models, speeds or [1.0] * len(self.models), strict=True))

    def deal(self, count: int, given: dict[torch.device, int], most: int | None = None) -> dict[torch.device, int]:
        """How many of the next `count` tiles each device gets: each tile goes to the device that will be done with it first.

        Args:
            count: of the tiles.
            given: how many each device has been given before; it is brought up to date. Of equally fast devices none is ever
                more than one tile ahead.
            most: tiles per device, at most; there must be room for all.
        """
        shares = dict.fromkeys(self.models, 0)
        for _ in range(count):
            free = [device for device in self.models if most is None or shares[device] < most]
            device = min(free, key=lambda one: (given.get(one, 0) + 1) / self._speeds[one])
            shares[device] += 1
            given[device] = given.get(device, 0) + 1
        return shares

    def run(self, jobs: Mapping[torch.device, Callable[[], Any]], stop: threading.Event) -> dict[torch.device, Any]:
        """Do one job on each device, at the same time, and wait for all of them. The home's is done in the thread that asks.

        Args:
            jobs: by device.
            stop: set as soon as a job fails; jobs look at it before each call of the model, see `check_stopped`.

        Returns:
            what the jobs returned, by device.

        Raises:
            the host's own exception, where the user has cancelled; what the home's job raised, as it is; else RuntimeError, or
            OutOfMemoryError where that is what happened, which names the device.
        """
        stop.clear()
        thread = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
        outcomes: dict[torch.device, _Outcome] = {}
        asked: list[torch.device] = []
        try:
            for device in jobs:
                if device != self.home:
                    self._pool.submit(device, contextvars.copy_context().run, _in_thread, jobs[device], stop, *thread)
                    asked.append(device)
            if self.home in jobs:
                outcomes[self.home] = _outcome(jobs[self.home], stop)
        except BaseException:
            stop.set()
            raise
        finally:
            for device in asked:
                came, error = self._pool.get_result(device)
                outcomes[device] = came if error is None else _Outcome(error=error)
        self._raise_first({device: one.error for device, one in outcomes.items() if one.error is not None})
        return {device: outcomes[device].value for device in jobs}

    def ask(
        self, device: torch.device, executor: Callable, conds: list, pictures: torch.Tensor, times: torch.Tensor, options: dict[str, Any]
    ) -> Answers:
        """What the model on `device` says of pictures that lie on the home device; the answers lie there, too.

        Args:
            device: one of `models`.
            executor: the host's next call.
            conds, times, options: as the host's CALC_COND_BATCH takes them, on the home device. They are not changed.
        """
        options = without_clones(options)
        if device == self.home:
            return executor(self.models[device], conds, pictures, times, options)
        said = executor(
            self.models[device], conditions_on(conds, device), pictures.to(device), times.to(device), options_on(options, device)
        )
        answers = [part.to(pictures.device) for part in said]
        _wait_for(device)
        return answers

    def prepare(self, conds: Sequence[list[dict] | None], timestep: torch.Tensor, options: dict[str, Any]) -> None:
        """Bring the hooks of conditions (LoRAs that change with the steps) to this step, on every device.

        A hook tells only the first who asks that it has changed; the host passes that on to the other devices while it knows of them.
        """
        level = float(timestep.flatten()[0])
        patcher = self.models[self.home].current_patcher
        hooks = {}
        for cond in (cond for entry in conds if entry for cond in entry):
            if cond.get("hooks") is not None and cond.get("timestep_start", level) >= level >= cond.get("timestep_end", level):
                hooks[id(cond["hooks"])] = cond["hooks"]
        for group in hooks.values():
            patcher.prepare_hook_patches_current_keyframe(timestep, group, options)

    def _raise_first(self, errors: dict[torch.device, BaseException]) -> None:
        cancel = next((error for error in errors.values() if is_cancel(error)), None)
        if cancel is not None:
            raise cancel
        errors = {device: error for device, error in errors.items() if not isinstance(error, StoppedError)}
        if self.home in errors:
            raise errors[self.home]
        for device, error in errors.items():
            raise self._in_words(device, error) from error

    def _in_words(self, device: torch.device, error: BaseException) -> Exception:
        alone = f"to sample on {self.home} alone, take MultiGPU CFG Split out"
        if isinstance(error, Exception) and is_out_of_memory(error):
            words = f"{device}, which holds a copy of the model, has no memory left for one tile: use smaller tiles; {alone} ({error})"
            return torch.OutOfMemoryError(words)
        return RuntimeError(
            f"the copy of the model on {device} failed, and the tiles on the other devices were ended: "
            f"{type(error).__name__}: {error}; {alone}"
        )


def check_stopped(stop: threading.Event) -> None:
    """End a job, where that of another device has ended before its time."""
    if stop.is_set():
        raise StoppedError


def _outcome(job: Callable[[], Any], stop: threading.Event) -> _Outcome:
    try:
        return _Outcome(job())
    except BaseException as error:  # whatever it is, it is raised when all devices are done
        stop.set()
        return _Outcome(error=error)


def _in_thread(job: Callable[[], Any], stop: threading.Event, inference: bool, gradients: bool) -> _Outcome:
    """A job in a thread of the host's pool, with what is set for the thread that asked."""
    with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
        return _outcome(job, stop)


def _wait_for(device: torch.device) -> None:
    """Until a device is done, so that what it could not do is known in its own thread, under its name."""
    if device.type != "cpu" and hasattr(torch, "accelerator"):
        torch.accelerator.synchronize(device)
