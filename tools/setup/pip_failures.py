"""What a failure of pip means, in words, from what it printed."""

from __future__ import annotations

import re

AGAIN = "run the same command again: it goes on from here"

# The first that matches counts: causes that pip reports as a consequence of another come later.
CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"No space left on device|\[Errno 28\]|\[WinError 112\]|not enough space on the disk|Disk quota exceeded",
        f"The disk became full. Free some space, or name a folder on a larger disk in the environment variable TILEWORK_HOST, and {AGAIN}.",
    ),
    (
        r"DO NOT MATCH THE HASHES|IncompleteRead|BadZipFile|is not a valid wheel|Hash mismatch|EOFError|"
        r"Compressed file ended before|wheel .{1,200} is invalid",
        f"A download arrived broken. Nothing of it is kept: {AGAIN}. If it happens again, empty pip's cache (python -m pip cache purge).",
    ),
    (
        r"Microsoft Visual C\+\+ \d+|vcvarsall\.bat|command '[^']*(?:gcc|cc|g\+\+|clang|cl\.exe)[^']*' failed|"
        r"No such file or directory: '[^']*(?:gcc|cc|g\+\+|clang)'|invalid active developer path|"
        r"C compiler cannot create executables|CMAKE_C(?:XX)?_COMPILER",
        "A package has no ready-made file for this system and pip had to compile it, but there is no working C compiler. "
        "Use Python 3.11, 3.12 or 3.13, for which all packages are ready-made, or install a compiler (Windows: the Visual "
        f"Studio Build Tools; macOS: xcode-select --install; Debian: apt install build-essential), and {AGAIN}.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|certificate verify failed",
        "The package index's certificate was not accepted, mostly because a company proxy puts in its own. Name the "
        f"proxy's certificate file in the environment variable PIP_CERT and {AGAIN}.",
    ),
    (
        r"ProxyError|Proxy Authentication Required|Tunnel connection failed",
        f"The network's proxy refused the connection. Set HTTPS_PROXY as your network wants it and {AGAIN}.",
    ),
    (
        r"Failed to establish a new connection|Name or service not known|Temporary failure in name resolution|"
        r"getaddrinfo failed|nodename nor servname|Network is unreachable|NewConnectionError|ConnectTimeoutError|"
        r"ReadTimeoutError|Read timed out|Connection reset by peer|RemoteDisconnected|Connection aborted|Connection refused",
        f"The package index could not be reached. Check the network connection (or pip's settings: pip config list) and {AGAIN}.",
    ),
    (
        r"No matching distribution found|Could not find a version that satisfies",
        "The package index has no file of a needed package for this Python and system. Use Python 3.11, 3.12 or 3.13 "
        "(64 bit) on Linux, Windows or a Mac with an Apple processor, delete the folder venv in the host folder, and "
        "run the same command again.",
    ),
    (
        r"Long Path support|path too long|File name too long|\[WinError 206\]",
        f"A path became too long for this system. Name a folder with a short path in the environment variable TILEWORK_HOST and {AGAIN}.",
    ),
    (
        r"Permission denied|\[WinError 5\]|Access is denied",
        "pip was not allowed to write a file. Close programs that use the host folder (on Windows also virus scanners), "
        f"check who owns it, and {AGAIN}.",
    ),
)


def explain(output: str) -> str:
    """What went wrong and the mend, from the whole output of a pip that failed."""
    for signs, words in CAUSES:
        if re.search(signs, output, re.IGNORECASE):
            return words
    return f"pip failed for a reason this script does not know: read its last lines below, mend that, and {AGAIN}."
