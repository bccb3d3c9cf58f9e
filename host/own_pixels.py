"""Pictures at their own pixels, a piece at a time: what the browser asks for where it has only a smaller copy.

A picture is either a file that Load Image can have, or what a node was given in its last run. Of files the last one stays
decoded for a minute after it was looked at: 4 bytes per pixel, and Pillow reads no more than 179 megapixels, so 716 MB at most;
twice that while it is turned as its camera says, or brought to RGB. What a node was given is not kept for this: as long as the
host has it, it is there. All of it is done by one thread, one request after the other; who has gone away is passed over.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image, ImageOps

ROUTE = "/tilework/pixels"
FOLDERS = ("input", "output", "temp")
MOST_SIDE = 2048
KEPT_SECONDS = 60.0
MOST_LENT = 64
PNG = b"\x89PNG\r\n\x1a\n"

# Not the host's own pool, which answers everybody else.
_worker = ThreadPoolExecutor(1, "tilework-pixels")
_lent: OrderedDict[str, Lent] = OrderedDict()


class NoPixelsError(Exception):
    """There is nothing to show; `status` is HTTP's."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True)
class Lent:
    """Pictures that the browser may look into, and the form in which it gets their pieces."""

    pictures: list[weakref.ref[torch.Tensor]]
    form: Callable[[list[torch.Tensor]], bytes]


def lend(pictures: Sequence[torch.Tensor], form: Callable[[list[torch.Tensor]], bytes] | None = None) -> str:
    """Let the browser look into pictures for as long as somebody else keeps them.

    Args:
        pictures: IMAGE [B, H, W, C] each, of one size; the first of each batch is seen, and of that the colours.
        form: makes of pieces float32 [h, w, 1 or 3] what the browser gets; a PNG of the first if left out.

    Returns:
        the name to ask by.
    """
    name = uuid.uuid4().hex
    _lent[name] = Lent([weakref.ref(one) for one in pictures], form or _as_png)
    while len(_lent) > MOST_LENT:
        _lent.popitem(last=False)
    return name


def lent_piece(name: str, box: tuple[int, int, int, int]) -> bytes:
    """A piece (left, top, right, bottom) of what was lent, in its form."""
    found = _lent.get(name)
    lent = [one() for one in found.pictures] if found else []
    pictures = [one for one in lent if one is not None]
    if not pictures or len(pictures) < len(lent):
        raise NoPixelsError(404, "the picture of this run is no longer there: run again")
    _check_inside(box, pictures[0].shape[2], pictures[0].shape[1])
    pieces = [one[0, box[1] : box[3], box[0] : box[2], : 3 if one.shape[-1] >= 3 else 1] for one in pictures]
    return found.form([piece.float().cpu() for piece in pieces])


def _as_png(pieces: list[torch.Tensor]) -> bytes:
    """In 8 bits."""
    levels = (pieces[0].nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)
    return _png(Image.fromarray(levels.expand(*levels.shape[:2], 3).contiguous().numpy()))


def _png(piece: Image.Image) -> bytes:
    body = io.BytesIO()
    piece.save(body, "png", compress_level=1)
    return body.getvalue()


class DecodedFile:
    """The picture of one file, decoded when it is first asked for and forgotten a while after the last time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, float, int] | None = None
        self._picture: Image.Image | None = None
        self._until = 0.0
        self._timer: threading.Timer | None = None

    def piece(self, path: str, box: tuple[int, int, int, int]) -> Image.Image:
        """A piece (left, top, right, bottom) of the picture in the file, as Load Image turns it."""
        with self._lock:
            about = os.stat(path)
            key = path, about.st_mtime, about.st_size
            if key != self._key or self._picture is None:
                self._key = self._picture = None
                self._picture, self._key = _decode(path), key
            self._until = time.monotonic() + KEPT_SECONDS
            if self._timer is None:
                self._forget_in(KEPT_SECONDS)
            _check_inside(box, *self._picture.size)
            return self._picture.crop(box)

    def _forget_in(self, seconds: float) -> None:
        self._timer = threading.Timer(max(seconds, 0) + 1, self._forget)
        self._timer.daemon = True
        self._timer.start()

    def _forget(self) -> None:
        with self._lock:
            left = self._until - time.monotonic()
            self._timer = None
            if left > 0:
                self._forget_in(left)
            else:
                self._key = self._picture = None


def _decode(path: str) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
                # What has 16 bits a pixel; Pillow would cut it off at 255.
                picture = picture.convert("F").point(lambda level: level * (1 / 257)).convert("L")
            picture = picture if picture.mode == "RGB" else picture.convert("RGB")
        # Colours that stand for clear ones, profiles: not of the pixels, and repeated in every piece.
        picture.info.clear()
        return picture
    except Image.DecompressionBombError as error:
        raise NoPixelsError(413, "the file is too large to be looked into before a run: run once") from error
    except Exception as error:  # every format's reader has its own
        raise NoPixelsError(415, "the file cannot be read as a picture") from error


def _check_inside(box: tuple[int, int, int, int], width: int, height: int) -> None:
    if box[2] > width or box[3] > height:
        raise NoPixelsError(400, f"the picture is {width} x {height} and does not reach to {box[2]}, {box[3]}")


def _box(query: Any) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) out of x, y, width and height."""
    try:
        x, y, width, height = (int(query.get(name, "")) for name in ("x", "y", "width", "height"))
    except ValueError as error:
        raise NoPixelsError(400, "x, y, width and height must be whole numbers") from error
    if not (0 <= x < 1 << 24 and 0 <= y < 1 << 24 and 1 <= width <= MOST_SIDE and 1 <= height <= MOST_SIDE):
        raise NoPixelsError(400, f"a piece has sides of 1 to {MOST_SIDE} pixels and lies inside of the picture")
    return x, y, x + width, y + height


def _file(query: Any) -> str:
    """The path of a file in one of the host's own folders."""
    import folder_paths

    kind, subfolder, name = (query.get(key, "") for key in ("type", "subfolder", "filename"))
    folder = folder_paths.get_directory_by_type(kind) if kind in FOLDERS else None
    if folder is None or not name or name != os.path.basename(name) or "\0" in subfolder + name:
        raise NoPixelsError(400, "no such folder or file name")
    # By the letters alone, as the host does it: links that stand in the folder are meant, and a name of another machine is not asked.
    folder = os.path.abspath(folder)
    path = os.path.abspath(os.path.join(folder, subfolder, name))
    if not path.startswith(os.path.join(folder, "")):
        raise NoPixelsError(403, "the file lies outside of the folder")
    if not os.path.isfile(path):
        raise NoPixelsError(404, "there is no such file")
    return path


_decoded = DecodedFile()


def _piece(query: Any) -> bytes:
    box = _box(query)
    if "run" in query:
        try:
            return lent_piece(query["run"], box)
        except NoPixelsError as error:
            if error.status != 404 or "filename" not in query:
                raise
    return _png(_decoded.piece(_file(query), box))


def _answer(query: Any, gone: Callable[[], bool]) -> bytes:
    if gone():
        raise NoPixelsError(499, "nobody waits for it any more")
    return _piece(query)


def _gone(request: Any) -> bool:
    return request.transport is None or request.transport.is_closing()


def serve() -> None:
    """Answer the browser, where there is a server."""
    # It has been loaded where there is one; to load it for this alone would bring the whole server along.
    running = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    # Another copy of the pack may have it already: the host does not start with two.
    if running is None or any(getattr(route, "path", "") == ROUTE for route in running.routes):
        return
    from aiohttp import web

    @running.routes.get(ROUTE)
    async def pixels(request: web.Request) -> web.Response:
        try:
            body = await asyncio.get_running_loop().run_in_executor(_worker, _answer, request.rel_url.query, lambda: _gone(request))
        except NoPixelsError as error:
            return web.Response(status=error.status, text=str(error))
        kind = "image/png" if body.startswith(PNG) else "application/octet-stream"
        return web.Response(body=body, content_type=kind, headers={"Cache-Control": "no-store"})
