"""The options of farm.py run that give a picture's tiles out to several ComfyUIs."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from .comfy_server import ComfyServer
from .installation import Installation
from .one_job import Job
from .one_picture import PictureOutcome
from .process.guarded import say
from .split_tiles import VARIABLE, TilesRun, tiles_beside
from .work_key import WorkKey

MOST_WORKERS = 64


def add_tile_options(parser: argparse.ArgumentParser) -> None:
    """The options."""
    parser.add_argument(
        "--split-tiles",
        action="store_true",
        help="give the tiles between Tile Split and Seam Blend out one by one; a run that was stopped goes on",
    )
    parser.add_argument(
        "--workers", type=int, metavar="N", help="with --split-tiles: how many ComfyUIs to start here for the tiles (default: 1)"
    )
    parser.add_argument(
        "--cards", metavar="0,1", help="with --split-tiles: a ComfyUI for each of these GPUs, by the numbers that CUDA or ROCm gives them"
    )
    parser.add_argument("--keep-tiles", action="store_true", help="with --split-tiles: leave the tile files where the result is")


def check_tile_options(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    """End with words and status 2 where they do not go together."""
    if not asked.split_tiles and (asked.workers is not None or asked.cards is not None or asked.keep_tiles):
        parser.error("--workers, --cards and --keep-tiles belong to --split-tiles")
    if asked.cards is not None:
        if asked.workers is not None:
            parser.error("--cards starts a ComfyUI for each card: leave out --workers")
        if not all(part.isascii() and part.isdigit() for part in cards_of(asked)) or len(set(cards_of(asked))) < len(cards_of(asked)):
            parser.error(f"--cards {asked.cards}: give numbers of cards with commas between them, each once, for example 0,1")
    if asked.split_tiles and asked.server is not None:
        parser.error("--split-tiles starts ComfyUIs of its own, which share a folder of tile files: leave out --server")
    if asked.workers is not None and not 1 <= asked.workers <= MOST_WORKERS:
        parser.error(f"--workers {asked.workers}: use 1 to {MOST_WORKERS}")


def cards_of(asked: argparse.Namespace) -> list[str]:
    """The numbers of the cards that were named."""
    return [part.strip() for part in (asked.cards or "").split(",") if asked.cards is not None]


def run_split(asked: argparse.Namespace, job: Job, key: WorkKey, installation: Installation) -> PictureOutcome:
    """Start the ComfyUIs, run the picture's tiles on them, and end them. Raises as `TilesRun.go` does."""
    shared = {VARIABLE: str(tiles_beside(asked.result))}
    environments = [{**shared, "CUDA_VISIBLE_DEVICES": card} for card in cards_of(asked)] or [shared] * (asked.workers or 1)
    workers = len(environments)
    say("Starting ComfyUI." if workers == 1 else f"Starting {workers} ComfyUIs.")
    with ExitStack() as running, ThreadPoolExecutor(workers) as pool:
        starting = [pool.submit(ComfyServer, installation, asked.work, one, say) for one in environments]
        servers = [running.enter_context(one) for one in _all_or_none(starting)]
        return TilesRun(servers, job, asked.picture, asked.result, key, say, asked.timeout, asked.keep_tiles).go()


def _all_or_none(starting: list) -> list[ComfyServer]:
    """The servers that were started; where one could not be, the others are ended and its error is raised."""
    errors = [one.exception() for one in starting]
    failed = next((error for error in errors if error is not None), None)
    if failed is None:
        return [one.result() for one in starting]
    for one, error in zip(starting, errors, strict=True):
        if error is None:
            one.result().close()
    raise failed
