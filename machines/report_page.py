"""What came of a folder: as JSON for programs, and as one page for people, with small pictures and the checks' figures.

OUT/report.json and OUT/report.html. Everything that comes from files (names, reasons, what nodes said) is escaped; the page
loads nothing from anywhere but the small pictures beside it, and has no script.
"""

from __future__ import annotations

import html
import json
import os
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .folder_pictures import FolderPictures
from .process.host_error import HostError
from .process.json_text import parse_json
from .result_file import KEY_SUFFIX, beside, whole_file

PAGE, DATA = "report.html", "report.json"
# The nodes whose words are figures of quality.
CHECKS = {"TileworkSeamCheck": "Seam Check", "TileworkFidelityCheck": "Fidelity Check"}
POLICY = "default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1b1f; background: #fff }
h1 { font-size: 1.4rem } table { border-collapse: collapse; width: 100% }
td, th { border-top: 1px solid #d5d5dc; padding: .5rem; text-align: left; vertical-align: top }
td img { max-width: 160px; max-height: 160px; display: block }
pre { white-space: pre-wrap; margin: 0; font-size: .85rem }
.aside { background: #fdecea } dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem } dd { margin: 0 }
@media (prefers-color-scheme: dark) {
body { color: #e6e6ea; background: #17171a }
td, th { border-color: #3a3a42 } .aside { background: #4a2320 } }
"""


def figures_of(result: Path) -> list[dict[str, str]]:
    """What Seam Check and Fidelity Check said about a result, from the file beside it; empty where there were none."""
    try:
        said = parse_json(beside(result, KEY_SUFFIX).read_bytes())
        texts, nodes = said.get("texts") or {}, said.get("nodes") or {}
        return [
            {"node": str(node), "check": CHECKS[nodes[node]], "text": "\n".join(str(line) for line in lines)}
            for node, lines in texts.items()
            if nodes.get(node) in CHECKS
        ]
    except (OSError, ValueError, AttributeError, TypeError):
        return []


def report_row(folders: FolderPictures, picture: str, state: str, **more: Any) -> dict[str, Any]:
    """One picture's row: paths are relative to the folder of the results."""
    try:
        result, small = folders.result(picture), folders.small(picture)
        there = result.is_file()
    except (OSError, HostError):
        # A name or a link that leads nowhere is one picture's, and no reason to leave out all the others.
        there = False
    return {
        "picture": picture,
        "state": state,
        "result": result.relative_to(folders.out).as_posix() if there else None,
        "small": small.relative_to(folders.out).as_posix() if there and small.is_file() else None,
        "figures": figures_of(result) if there else [],
        **more,
    }


def write_report(folders: FolderPictures, summary: Mapping[str, Any]) -> None:
    """Write both files, each whole or not at all.

    Args:
        summary: plain values; "rows" are those of `report_row`, "facts" what stands at the top as {name: value}.
    """
    with whole_file(folders.out / DATA) as file:
        # Names that are no Unicode stay what they are.
        file.write(json.dumps(summary, indent=1).encode("ascii"))
    with whole_file(folders.out / PAGE) as file:
        file.write(report_page(summary).encode("utf-8", "replace"))


def report_page(summary: Mapping[str, Any]) -> str:
    """The page of a summary."""
    facts = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in summary["facts"].items())
    rows = "\n".join(_row(row) for row in _worst_first(summary["rows"]))
    title = _text(f"Report of {time.strftime('%Y-%m-%d %H:%M')}")
    head = "<tr><th>Picture</th><th>Result</th><th>Outcome</th><th>Seam Check and Fidelity Check</th></tr>"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_text(POLICY)}">\n<title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n<dl>{facts}</dl>\n<table><thead>{head}</thead><tbody>\n{rows}\n</tbody></table></body></html>\n"
    )


def _row(row: Mapping[str, Any]) -> str:
    picture = f'<img src="{_address(row["small"])}" loading="lazy" alt="">' if row.get("small") else ""
    name = _text(row["picture"])
    link = f'<a href="{_address(row["result"])}">{name}</a>' if row.get("result") else name
    said = [str(row["state"])]
    if row.get("seconds"):
        said.append(f"{row['seconds']:.1f} s on {row.get('worker') or 'a worker'}")
    if row.get("smaller"):
        said.append("with smaller tiles, for want of memory: " + ", ".join(f"{at} = {size}" for at, size in row["smaller"].items()))
    if row.get("reason"):
        said.append(str(row["reason"]))
    figures = "".join(f"<b>{_text(one['check'])}</b><pre>{_text(one['text'])}</pre>" for one in row.get("figures") or ())
    kind = "" if row.get("result") else ' class="aside"'
    return f"<tr{kind}><td>{link}</td><td>{picture}</td><td>{'<br>'.join(map(_text, said))}</td><td>{figures}</td></tr>"


def _worst_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """What has no result, then what a check did not pass, then the others, each by name."""
    return sorted(rows, key=lambda row: (row.get("result") is not None, not _fails(row), row["picture"]))


def _fails(row: Mapping[str, Any]) -> bool:
    return any(not one["text"].lower().startswith("passed") for one in row.get("figures") or ())


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _address(path: str) -> str:
    """A path below the folder as an address that can be nothing else: never a scheme, never another server."""
    return _text("./" + urllib.parse.quote(os.fsencode(path)))
