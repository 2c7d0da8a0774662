"""What a command does before it imports libraries, which takes seconds, and around its `main`.

A command imports this module first and ends with `sys.exit(startup.run(…))`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

INTERRUPTED, TERMINATED = 130, 143
"""Exit statuses after Ctrl-C and after SIGTERM."""


class Terminated(KeyboardInterrupt):
    """Raised when SIGTERM comes, so that a command ends as it does after Ctrl-C."""


def run(main: Callable[[], int]) -> int:
    """Run a command that Ctrl-C and SIGTERM end cleanly; returns its exit status.

    Args:
        main: What the command does; returns its exit status.
    """
    terminated = False

    def terminate(number: int, frame: object) -> NoReturn:
        nonlocal terminated
        terminated = True
        raise Terminated

    threading.excepthook = _tell
    _handle(signal.SIGINT, signal.default_int_handler)
    _handle(signal.SIGTERM, terminate)
    try:
        status = main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    return TERMINATED if terminated and status == INTERRUPTED else status


def _tell(error: threading.ExceptHookArgs) -> None:
    """Report in one line that a library's thread could not write, as TensorBoard's cannot on a full disk."""
    if isinstance(error.exc_value, OSError):
        print(f"error: {error.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(error)


def _handle(number: signal.Signals, handler: Any) -> None:
    """Set what a signal does, unless whoever started this process lets it ignore it: a shell's background job does."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


def _prepare() -> None:
    """Let Ctrl-C during imports end the process without a traceback, and pictures need no display or notebook."""
    _handle(signal.SIGINT, signal.SIG_DFL)
    os.environ["MPLBACKEND"] = "Agg"


if Path(sys.argv[0]).resolve().parent == Path(__file__).resolve().parent:  # not where a test imports a script
    _prepare()
