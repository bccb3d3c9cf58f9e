"""What `python farm.py ...` does.

    python farm.py run WORKFLOW --in PICTURE --out FILE       one picture through a workflow
    python farm.py folder WORKFLOW --in FOLDER --out FOLDER   all pictures of a folder, on every GPU, on one machine or many

Each command has a --help of its own. The status is 0 where every result is there, 1 where something was refused (the
reason is printed and stands beside the result), 2 for a command line that cannot be understood, 130 where it was stopped.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .comfy_server import AnyServer, ComfyServer, RunningServer
from .folder_command import add_folder_options, run_folder
from .installation import Installation, find_installation
from .one_job import Job
from .one_picture import MADE, THERE, PictureOutcome, check_paths, find_result, run_one
from .process.guarded import guarded, say
from .queue_client import Progress
from .result_file import check_place
from .split_command import add_tile_options, check_tile_options, run_split
from .stream_blend import blend_command
from .work_key import surroundings_of, work_key
from .workflow_file import needs_converter, parse_setting, read_workflow

PASSED_ON = "Everything after -- goes to ComfyUI, for instance: -- --cpu"


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is done with each picture."""
    parser.add_argument("workflow", type=Path, metavar="WORKFLOW", help="a file that the editor saved, or exported with Export (API)")
    parser.add_argument("--load", metavar="NODE", help="the Load Image that is meant, where there are several: its id or title")
    parser.add_argument("--save", metavar="NODE", help="the Save Image that is meant, where there are several: its id, title or prefix")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], metavar="NODE.INPUT=VALUE", help="give an input another value"
    )


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which ComfyUI the pictures go through."""
    parser.add_argument(
        "--comfy", type=Path, metavar="FOLDER", help="the ComfyUI to start (default: COMFYUI_PATH, or the one around this pack)"
    )
    parser.add_argument("--python", type=Path, metavar="FILE", help="the Python that runs it (default: that of its own venv, or this one)")
    parser.add_argument("--base", type=Path, metavar="FOLDER", help="where custom_nodes and models are (default: in ComfyUI's folder)")
    parser.add_argument(
        "--work", type=Path, metavar="FOLDER", help="where servers have their folders (default: the system's temporary folder)"
    )
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="give a picture up after so long (default: never)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds over 0")
    return seconds


def job_of(asked: argparse.Namespace) -> Job:
    """The job that the options of `add_job_options` describe. Raises WorkflowError."""
    return Job(read_workflow(asked.workflow), asked.load, asked.save, tuple(parse_setting(text) for text in asked.settings))


def installation_of(asked: argparse.Namespace, passed_on: tuple[str, ...]) -> Installation:
    """The ComfyUI that the options of `add_server_options` describe. Raises HostError."""
    return find_installation(asked.comfy, asked.python, asked.base, passed_on)


def run(arguments: list[str], passed_on: tuple[str, ...]) -> int:
    """One picture through a workflow."""
    parser = argparse.ArgumentParser(prog="farm.py run", description="One picture through a workflow.", epilog=PASSED_ON)
    add_job_options(parser)
    parser.add_argument("--in", dest="picture", type=Path, required=True, metavar="PICTURE", help="the picture that Load Image is given")
    parser.add_argument("--out", dest="result", type=Path, required=True, metavar="FILE", help="where the result goes")
    parser.add_argument("--server", metavar="ADDRESS", help="a ComfyUI that is running, instead of starting one: http://HOST:PORT")
    add_server_options(parser)
    add_tile_options(parser)
    asked = parser.parse_args(arguments)
    check_tile_options(parser, asked)
    check_paths(asked.picture, asked.result)
    job = job_of(asked)
    key = None
    if asked.server is None:
        installation = installation_of(asked, passed_on)
        key = work_key(asked.picture, surroundings_of(job, installation))
        found = find_result(asked.result, key)
        if found is not None:
            say(f"{asked.result} is there already, made from the same picture and workflow: nothing was done, nothing started.")
            return 0
    else:
        say(f"The versions and model files of {asked.server} cannot be known from here: the picture is made, whether it is there or not.")
    needs_converter(job.workflow)
    check_place(asked.result)
    if asked.split_tiles:
        return _told(run_split(asked, job, key, installation))
    with _opened(asked, installation if asked.server is None else None) as server:
        return _told(run_one(server, job, asked.picture, asked.result, key, TerminalProgress(), asked.timeout))


def folder(arguments: list[str], passed_on: tuple[str, ...]) -> int:
    """All pictures of a folder through a workflow, on Ray."""
    parser = argparse.ArgumentParser(prog="farm.py folder", description="All pictures of a folder, on Ray.", epilog=PASSED_ON)
    add_job_options(parser)
    add_folder_options(parser)
    add_server_options(parser)
    asked = parser.parse_args(arguments)
    return run_folder(asked, job_of(asked), installation_of(asked, passed_on))


class TerminalProgress:
    """Progress on the terminal: one line that changes, or none where nobody looks at it."""

    def __init__(self) -> None:
        self.looked_at = sys.stdout.isatty()

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is."""
        if self.looked_at:
            steps = f" {progress.done:g} of {progress.total:g}" if progress.total > 1 else ""
            line = f"  {progress.nodes_done} of {progress.nodes} nodes; {progress.node_type}{steps}"
            sys.stdout.write(f"\r{line[:100]:<100}\r")
            sys.stdout.flush()


LARGER = "name folders on larger disks (--out: the results; --work: where ComfyUI works)"
COMMANDS: dict[str, Callable[[list[str], tuple[str, ...]], int]] = {"run": run, "folder": folder, "blend": blend_command}


def obey(arguments: list[str]) -> int:
    """Run the command that `arguments` begins with and return the exit status."""
    return guarded(partial(_obey, arguments), LARGER)


def _obey(arguments: list[str]) -> int:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    ours, passed_on = arguments[:end], tuple(arguments[end + 1 :])
    name, rest = (ours[0], ours[1:]) if ours else ("", [])
    if name in ("-h", "--help", "help"):
        say(__doc__.strip())
        return 0
    if name not in COMMANDS:
        say(f"{name!r} is not a command.\n" if name else "Which command?\n")
        say(__doc__.strip())
        return 2
    return COMMANDS[name](rest, passed_on)


def _opened(asked: argparse.Namespace, installation: Installation | None) -> AnyServer:
    if installation is None:
        return RunningServer(asked.server)
    say("Starting ComfyUI.")
    return ComfyServer(installation, asked.work, report=say)


def _told(outcome: PictureOutcome) -> int:
    if outcome.state == THERE:
        say(f"{outcome.result} is there: another command made it in the meantime.")
        return 0
    if outcome.state == MADE:
        anew = f" (made anew: another {outcome.reason} than before)" if outcome.reason else ""
        say(f"{outcome.result}: made in {outcome.seconds:.1f} s{anew}.")
        return 0
    say(f"{outcome.result} was not made: {outcome.reason}")
    return 1
