"""Every program of ours ends in words: what happened, what to do, never a traceback for what people can mend."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable

from .host_error import HostError, from_os_error
from .stop_signals import STOPPED, Terminated, heed_nothing, heed_termination

READER_GONE = 141

# Of names in files and of other programs: what a terminal would obey and not show.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say(text: str) -> None:
    """Print a text at once; a character that would steer the terminal is shown as its number."""
    sys.stdout.write(CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text) + "\n")
    sys.stdout.flush()


def guarded(action: Callable[[], int], larger: str = "name a folder on a larger disk") -> int:
    """Run `action` and return its exit status; say in words why it could not be done (1) or was stopped (130).

    `larger`: how a person has `action` use a larger disk, in words.
    """
    try:
        # A path that the terminal cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
        heed_termination()
        return action()
    except BrokenPipeError:
        # Whoever read our output has enough of it (| head); the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except (HostError, OSError) as error:
        words = error if isinstance(error, HostError) else from_os_error(error, larger)
        say(f"\n{textwrap.fill(words.message, 100, break_long_words=False, break_on_hyphens=False)}")
        if words.detail:
            say(words.detail)
        return 1
    except KeyboardInterrupt as error:
        # Whoever presses Ctrl-C three times gets the same status and words.
        heed_nothing()
        why = "Told to end" if isinstance(error, Terminated) else "Stopped"
        say(f"\n{why}. Nothing is left running; the same command goes on from here.")
        return STOPPED
