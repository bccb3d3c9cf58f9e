"""The pictures of a folder, and where their results go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .process.host_error import HostError
from .result_file import check_name

# What Load Image opens.
FARM = ".farm"  # in every folder of results
MOST_NAMED = 10
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class FolderPictures:
    """The folder with the pictures and the folder for the results.

    Attributes:
        source, out: the two folders, resolved.
        ending: of the results, as the workflow's Save Image writes them.
    """

    source: Path
    out: Path
    ending: str = ".png"

    def picture(self, name: str) -> Path:
        """The file of a picture. Raises HostError where a link has led it out of the folder meanwhile."""
        return _below(self.source, name)

    def result(self, name: str) -> Path:
        """Where the result of a picture goes: the same place below the other folder."""
        return _below(self.out, str(Path(name).with_suffix(self.ending)))

    def small(self, name: str) -> Path:
        """Where the small picture of a result goes, for the report."""
        return _below(self.out, f"{FARM}/small/{name}.jpg")

    @property
    def tiles(self) -> Path:
        """Where the tile files of pictures are whose tiles are given out."""
        return _below(self.out, f"{FARM}/tiles")


def folder_pictures(source: Path, out: Path, ending: str = ".png") -> FolderPictures:
    """The two folders, checked; `out` is made. Raises HostError where they cannot be used together."""
    source, out = source.expanduser().resolve(), out.expanduser().resolve()
    if not source.is_dir():
        raise HostError(f"There is no folder {source}.")
    if out == source or source.is_relative_to(out):
        raise HostError(f"The results cannot go to {out}: the pictures are in it. Name another folder with --out.")
    if not (ending.startswith(".") and ending[1:].isalnum()):
        raise HostError(f"{ending!r} is no ending of a picture: use one such as .png.")
    out.mkdir(parents=True, exist_ok=True)
    return FolderPictures(source, out, ending)


def find_pictures(folders: FolderPictures) -> tuple[list[str], dict[str, str]]:
    """The pictures as sorted paths below the folder, and those that are left alone, with the reason.

    Raises HostError where two pictures would have one result.
    """
    found, left_alone = [], {}
    for path in _files(folders):
        name = path.relative_to(folders.source).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(folders.source):
            left_alone[name] = "It is a link that leads out of the folder: nothing is read there."
            continue
        if not path.is_file():
            left_alone[name] = "It is no file: nothing is read there."
            continue
        try:
            check_name(Path(name).with_suffix(folders.ending))
            found.append(name)
        except HostError as error:
            left_alone[name] = str(error)
    by_result: dict[str, list[str]] = {}
    for name in sorted(found):
        by_result.setdefault(Path(name).with_suffix(folders.ending).as_posix().casefold(), []).append(name)
    twice = [" and ".join(names) for names in by_result.values() if len(names) > 1]
    if twice:
        more = f" and {len(twice) - MOST_NAMED} more" if len(twice) > MOST_NAMED else ""
        raise HostError(
            f"{'; '.join(twice[:MOST_NAMED])}{more} would have one and the same result: give them other names, or take some away."
        )
    return sorted(found), left_alone


def _files(folders: FolderPictures) -> Iterator[Path]:
    # Links to folders are not followed: they may lead anywhere, or in circles.
    for inside, subfolders, files in os.walk(folders.source):
        # Results of this run, or of another one, are no pictures to be made.
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".") and Path(inside, name) != folders.out and not Path(inside, name, FARM).is_dir()
        ]
        yield from (Path(inside, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS)


def _below(folder: Path, name: str) -> Path:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder):
        raise HostError(f"{name!r} leads out of {folder}: nothing is read or written there.")
    return path
