"""Progress that the user sees, and cancelling, for work that goes tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any


def check_cancelled() -> None:
    """Stop, by the host's own exception, where the user has cancelled."""
    import comfy.model_management

    comfy.model_management.throw_exception_if_processing_interrupted()


def is_cancel(error: BaseException) -> bool:
    """Whether an exception is the host's own for a run that the user has cancelled."""
    import comfy.model_management

    return isinstance(error, comfy.model_management.InterruptProcessingException)


class Watch:
    """For work that tells how many steps are done, and of how many: (done, total). Stops it where the user has cancelled.

    Args:
        parts: how often such work is done, one after the other.

    Attributes:
        part: which of them is at work; set by whoever does the work.
    """

    def __init__(self, parts: int = 1) -> None:
        self.parts, self.part = parts, 0
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        """Tell the host, `done` of `total` steps of this part."""
        import comfy.utils

        check_cancelled()
        self._bar = self._bar or comfy.utils.ProgressBar(total * self.parts)
        self._bar.update_absolute(total * self.part + done, total * self.parts)


def watched_steps(total: int) -> Callable[[int], None]:
    """The same for work that tells how many steps it has done since it told the last time, out of `total`."""
    watch, done = Watch(), 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        watch(done, total)

    return step


class WatchedTiles(Sequence):
    """The tiles of one layout, for work that goes over them several times, with progress and cancelling.

    Args:
        get: index -> tile.
        count: how many there are.
        rounds: how often they are gone over, at most.
    """

    def __init__(self, get: Callable[[int], Any], count: int, rounds: int = 1) -> None:
        self.get, self.count = get, count
        self._watch, self._total, self._done = Watch(), count * rounds, 0
        self._whole = self

    def __len__(self) -> int:
        return self.count

    def expect(self, rounds: int) -> None:
        """From now on it is known how often they are gone over in all."""
        self._total = self.count * rounds

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            start, stop, _ = index.indices(self.count)
            part = WatchedTiles(lambda i: self.get(start + i), max(stop - start, 0))
            part._whole = self._whole
            return part
        if not 0 <= index < self.count:
            raise IndexError(index)
        check_cancelled()
        return self.get(index)

    def __iter__(self) -> Iterator[Any]:
        for index in range(self.count):
            yield self[index]
            whole = self._whole
            whole._done += 1
            whole._watch(whole._done, whole._total)


def watched(tiles: Iterable[Any], total: int) -> Iterator[Any]:
    """Pass tiles on, telling the host how far it is and stopping where the user has cancelled."""
    step = watched_steps(total)
    for tile in tiles:
        check_cancelled()
        yield tile
        step(1)


def tell_maker(node_id: str, done: int, total: int) -> None:
    """Show at the node that has put `node_id` into the graph that `done` of `total` steps are done; stops where the user has cancelled.

    What has finished of what it has put there is forgotten: the host repeats the progress of every node in every message, which
    for a thousand tiles would be gigabytes.
    """
    import comfy.utils
    from comfy_execution.progress import NodeState, get_progress_state

    check_cancelled()
    state = get_progress_state()
    maker = state.dynprompt.get_parent_node_id(node_id)
    for one in [one for one, entry in state.nodes.items() if entry["state"] == NodeState.Finished]:
        if state.dynprompt.get_parent_node_id(one) == maker:
            del state.nodes[one]
    comfy.utils.ProgressBar(total, maker).update_absolute(done, total)


def is_waiting(node_id: str) -> None:
    """A node that only waits for its inputs is not shown as one that runs."""
    from comfy_execution.progress import get_progress_state

    get_progress_state().nodes.pop(node_id, None)
