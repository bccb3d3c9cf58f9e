"""What Keep Tiles keeps of a run that was stopped, and how ComfyUI comes to know of it.

ComfyUI's cache, as it comes, lets go of what an earlier run has made as soon as the next run begins, unless a node of the saved
workflow has made it; branches that a node has put into the graph are lost. So the finished tiles are held here, and ComfyUI's
cache is told of them by its own way for that, a cache provider. It costs nothing while the run goes on, which holds its tiles
anyway. Afterwards the tiles of the last run that was stopped stay, until they are used, another run with Keep Tiles takes their
place, or main memory becomes scarce.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .disk_cache import GIGABYTE, TileFiles, kept_folder

if TYPE_CHECKING:
    import torch

# Of the main memory: with less than this free when a run begins, tiles of an earlier one are let go.
LEAST_FREE_SHARE = 0.1


class TilesInMemory:
    """Finished tiles by their keys."""

    def __init__(self) -> None:
        self._tiles: dict[str, torch.Tensor] = {}
        self._used: set[str] = set()

    def __len__(self) -> int:
        return len(self._tiles)

    def get(self, key: str) -> torch.Tensor | None:
        """The tile of a key; None where there is none."""
        tile = self._tiles.get(key)
        if tile is not None:
            self._used.add(key)
        return tile

    def put(self, key: str, tile: torch.Tensor) -> None:
        """Hold a tile."""
        self._tiles[key] = tile
        self._used.add(key)

    def let_go(self, keys: set[str]) -> None:
        """Hold these no longer."""
        for key in keys:
            self._tiles.pop(key, None)

    def end_of_run(self) -> None:
        """Of the runs that used any tiles, only the last one counts."""
        if self._used:
            self.let_go(set(self._tiles) - self._used)
        self._used.clear()


class _Run:
    """What is known of the run of a workflow that is going on."""

    def __init__(self) -> None:
        self.files: TileFiles | None = None
        # Node id -> the key that ComfyUI has for it.
        self.keys: dict[str, str] = {}
        self.said: set[str] = set()

    def say_once(self, words: str) -> None:
        if words not in self.said:
            self.said.add(words)
            logging.warning("Tilework: %s", words)


_memory = TilesInMemory()
_run: _Run | None = None
_provider: Any = None


def keep_tiles(class_type: str, on_disk: bool) -> None:
    """For the rest of this run: what nodes of this class give is looked up here, and `put` keeps it.

    Raises:
        ValueError: ComfyUI was started with a cache that keeps nothing, or asks nobody; or the folder cannot be written to.
    """
    global _run, _provider
    _check_cache(on_disk)
    _run = _run or _Run()
    if on_disk and _run.files is None:
        folder = kept_folder()
        try:
            _run.files = TileFiles(folder)
        except OSError as error:
            raise ValueError(f"tiles cannot be kept in {folder} ({error}): mend that, or set keep to while ComfyUI runs") from error
    if _provider is None:
        from comfy_execution.cache_provider import register_cache_provider

        _provider = _make_provider(class_type)
        register_cache_provider(_provider)


def _check_cache(on_disk: bool) -> None:
    from comfy.cli_args import args

    if getattr(args, "cache_none", False):
        raise ValueError("ComfyUI was started with --cache-none, and keeps nothing: start it without, or take Keep Tiles out")
    # It keeps branches by itself, over a cancel.
    if on_disk and getattr(args, "cache_classic", False):
        raise ValueError(
            "ComfyUI was started with --cache-classic (--high-ram implies it), and this cache looks nothing up on disk: start it without, "
            "or set keep to while ComfyUI runs"
        )


def put(node_id: str, tile: torch.Tensor, on_disk: bool) -> None:
    """Keep what a node gave, before the next tile is begun. A disk that is full or broken is said in the log; the run goes on."""
    run = _run
    key = None if run is None else run.keys.get(node_id)
    if key is None:  # with --cache-classic
        return
    if not on_disk or run.files is None:
        _memory.put(key, tile)
        return
    try:
        if not run.files.write(key, tile):
            run.say_once(
                f"there is no room for more kept tiles in {run.files.folder}, where they may take {run.files.most_bytes // GIGABYTE} GB, "
                f"and must leave {run.files.least_free // GIGABYTE} GB of the disk free. The run goes on; further tiles are not kept"
            )
    except (OSError, ValueError) as error:
        run.say_once(f"a tile could not be kept on disk ({error}); the run goes on")


def all_are_done(prefix: str) -> None:
    """The tiles of the nodes whose ids begin so are in one list now, which ComfyUI keeps as it keeps what any node gives."""
    if _run is not None:
        _memory.let_go({key for node_id, key in _run.keys.items() if node_id.startswith(prefix)})


def _make_provider(class_type: str) -> Any:
    """Answers ComfyUI's cache, to the end of the prompt; and as long as tiles are held."""
    from comfy_api.latest import Caching

    class KeptTiles(Caching.CacheProvider):
        def should_cache(self, context: Any, value: Any = None) -> bool:
            if context.class_type != class_type or _run is None:
                return False
            _run.keys[context.node_id] = context.cache_key_hash
            # What is stored has been kept by `put` already: ComfyUI would do it at some later time.
            return value is None

        async def on_lookup(self, context: Any) -> Any:
            import comfy.model_management

            key = context.cache_key_hash
            tile = _memory.get(key)
            if tile is None and _run is not None and _run.files is not None:
                tile = _run.files.read(key)
            if tile is None:
                return None
            return Caching.CacheValue(outputs=[[tile.to(comfy.model_management.intermediate_device())]])

        async def on_store(self, context: Any, value: Any) -> None:
            """Nothing: see `should_cache`."""

        def on_prompt_start(self, prompt_id: str) -> None:
            import psutil

            memory = psutil.virtual_memory()
            if memory.available < LEAST_FREE_SHARE * memory.total:
                forget_all()

        def on_prompt_end(self, prompt_id: str) -> None:
            _end_of_run()

    return KeptTiles()


def forget_all() -> None:
    """Hold no tile any more."""
    if len(_memory):
        logging.warning("Tilework: main memory is scarce; %d tiles of a run that was stopped are no longer kept", len(_memory))
    _memory.let_go(set(_memory._tiles))


def _end_of_run() -> None:
    from comfy_execution.cache_provider import unregister_cache_provider

    global _run, _provider
    _run = None
    _memory.end_of_run()
    if _provider is not None and not len(_memory):
        unregister_cache_provider(_provider)
        _provider = None
