"""What happens around a command: signals, errors of other threads, a closed output, and its exit status.

It imports no library, so that a command can be ended while its own imports take seconds. In a command's worker
processes, which import it too, Ctrl-C ends whatever is done without a traceback.
"""

from __future__ import annotations

import multiprocessing
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

WRONG, INTERRUPTED, CLOSED, TERMINATED = 2, 130, 141, 143
"""Exit statuses for what cannot be done, after Ctrl-C, where nobody reads the output any more, and after SIGTERM."""


class Terminated(KeyboardInterrupt):
    """Raised when SIGTERM comes, so that a command ends as it does after Ctrl-C."""


def run_command(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run a module of `agents.commands`; returns its exit status.

    Args:
        name: The module.
        arguments: The command line behind the command's name; None: this process's.
        prog: What the help calls the command; None: the name of the script.
    """
    return run(partial(command, name, arguments, prog))


def command(name: str, arguments: Sequence[str] | None = None, prog: str | None = None) -> Callable[[], int]:
    """Import a module of `agents.commands`; returns what runs it, see `run_command`.

    A module has `Options`, which tyro reads, and `main`; where its options depend on each other, `parse` reads them.
    """
    import tyro

    module = import_module(f"agents.commands.{name}")
    parse = getattr(module, "parse", None) or partial(tyro.cli, module.Options)

    def parse_and_run() -> int:
        try:
            options = parse(args=arguments, prog=prog)
        except BrokenPipeError:  # the help that nobody reads
            raise
        except (ValueError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return WRONG
        return module.main(options)

    return parse_and_run


def run(load: Callable[[], Callable[[], int]]) -> int:
    """Run what Ctrl-C, SIGTERM and a closed output end cleanly; returns its exit status.

    Args:
        load: Imports what a command needs, and returns the command. Ctrl-C ends it without a word.
    """
    _handle(signal.SIGINT, signal.SIG_DFL)
    os.environ["MPLBACKEND"] = "Agg"  # pictures need no display or notebook
    main = load()
    terminated = False

    def terminate(number: int, frame: object) -> NoReturn:
        nonlocal terminated
        terminated = True
        raise Terminated

    threading.excepthook = _tell
    warnings.formatwarning = _in_a_line
    _handle(signal.SIGINT, signal.default_int_handler)
    _handle(signal.SIGTERM, terminate)
    try:
        status = _flushed(main)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    except BrokenPipeError:
        if not _output_is_closed():
            raise
        status = CLOSED
    return TERMINATED if terminated and status == INTERRUPTED else status


def called() -> str:
    """The command line of this process, as a reader of its results can give it."""
    name = Path(sys.argv[0])
    if name.stem in ("nases", "__main__"):
        return shlex.join(["nases", *sys.argv[1:]])
    return shlex.join(["python", *sys.argv])


def _flushed(main: Callable[[], int]) -> int:
    """Run a command until everything is written that it printed, also where it ends with `sys.exit`."""
    try:
        return main()
    finally:
        sys.stdout.flush()


def _output_is_closed() -> bool:
    """Whether it is the standard output that nobody reads; what is left for it is then thrown away."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _tell(error: threading.ExceptHookArgs) -> None:
    """Report in one line that a library's thread could not write, as TensorBoard's cannot on a full disk."""
    if isinstance(error.exc_value, OSError):
        print(f"error: {error.exc_value}", file=sys.stderr)
    else:
        threading.__excepthook__(error)


def _in_a_line(message: Warning | str, *_: Any, **__: Any) -> str:
    """A warning as a person reads it: without the line of code that it came from."""
    return f"warning: {message}\n"


def _handle(number: signal.Signals, handler: Any) -> None:
    """Set what a signal does, unless whoever started this process lets it ignore it: a shell's background job does."""
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, handler)


if multiprocessing.current_process().name != "MainProcess":  # parent_process is not known yet
    _handle(signal.SIGINT, signal.SIG_DFL)
