"""This process's connection to a Ray cluster: a cluster that runs, or one that is started and ended here."""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from nases_env.executors.base import WorkerStartError
from nases_env.threads import cores

CLIENT = "ray://"
"""How addresses of Ray's client server begin, which takes programs that run outside the cluster."""
QUIET = logging.ERROR
ANSWER_SECONDS = 10
"""So long a server may take to accept a connection."""
HINT = "Start a cluster with `ray start --head`, or leave the address and RAY_ADDRESS out to have one started here"

_users = 0
"""How many executors of this process use the connection that one of them made: Ray has one in a process."""
_address: str | None = None
"""The address that was asked for when it was made."""


def check_installed() -> None:
    """Raise ImportError where Ray is not installed; Ray itself is not imported."""
    if importlib.util.find_spec("ray") is None:
        raise ImportError("executors on a Ray cluster need Ray: pip install 'nases-env[ray]'")


def connect(address: str | None, workers: int, seconds: float) -> bool:
    """Connect this process to a cluster, unless it is connected.

    Args:
        address: `host:port` of a cluster to which this machine belongs, `ray://host:port` of any; None: RAY_ADDRESS,
            or the cluster that runs on this machine, or one that is started and has room for the workers.
        workers: Processes that a cluster which is started here has to have room for, one CPU each.
        seconds: So long a cluster may take to answer.

    Returns:
        Whether `disconnect` has to follow: the connection was not made by the program itself.

    Raises:
        WorkerStartError: If there is no such cluster, it does not answer in time or has another version, or this
            process is connected to another one.
    """
    import ray

    global _users, _address
    if ray.is_initialized():
        if address not in (None, _address if _users else None):
            raise WorkerStartError(
                f"this program is connected to a Ray cluster already, so that it cannot connect to {address}: leave "
                "the address out, or call ray.shutdown() before"
            )
        _users += 1 if _users else 0
        return _users > 0
    found = address or _running(seconds)
    with _signals_kept():
        try:
            if found is None:
                ray.init("local", num_cpus=max(workers, cores()), include_dashboard=False, logging_level=QUIET)
            else:
                _check_answer(found, seconds)
                ray.init(found, logging_level=QUIET)
        except WorkerStartError:
            raise
        except Exception as error:  # Ray raises many kinds, Exception itself among them
            ray.shutdown()  # what was started before it failed
            where = "started" if found is None else f"reached at {found}"
            raise WorkerStartError(f"the Ray cluster cannot be {where}: {error}. {HINT}") from error
    _users, _address = 1, address
    return True


def disconnect() -> None:
    """Give the connection back; the last one ends it, and the cluster where it was started here."""
    import ray

    global _users
    _users -= 1
    if not _users:
        with _signals_kept():
            ray.shutdown()


def resources() -> str:
    """What the cluster has, and what of it is free."""
    import ray

    return f"the cluster has {_listed(ray.cluster_resources())}; free are {_listed(ray.available_resources())}"


def _listed(amounts: dict[str, float]) -> str:
    amounts = {name: amount for name, amount in amounts.items() if ":" not in name}
    parts = [
        f"{name.replace('_', ' ')} {amount / 1e9:.1f} GB" if name.endswith("memory") else f"{name} {amount:g}"
        for name, amount in sorted(amounts.items())
    ]
    return ", ".join(parts) or "nothing"


def _running(seconds: float) -> str | None:
    """The cluster that this machine belongs to, or that RAY_ADDRESS names; None where there is none.

    What `ray start` wrote down is asked for, not any cluster that is found: that may be another search's own.
    """
    if (named := os.environ.get("RAY_ADDRESS", "")) not in ("", "auto", "local"):
        return named
    if named == "local":
        return None
    from ray._private.utils import read_ray_address  # Ray has no public way to ask

    written = read_ray_address()
    if not written:
        return None
    try:
        _check_answer(written, seconds)
    except WorkerStartError:  # a cluster that was killed leaves its address
        return None
    return written


def _check_answer(address: str, seconds: float) -> None:
    """Check that a cluster answers; `ray.init` itself tries for two minutes, and then ends the process.

    Raises:
        WorkerStartError: If nothing answers, or what answers is no cluster.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise WorkerStartError(
            f"the address of the Ray cluster is {address!r}; expected host:port or {CLIENT}host:port"
        )
    try:
        socket.create_connection((host, port), min(seconds, ANSWER_SECONDS)).close()
    except OSError as error:
        raise WorkerStartError(f"no Ray cluster answers at {address} ({error}). {HINT}") from error
    if not address.startswith(CLIENT) and not _is_cluster(f"{host}:{port}", seconds):
        raise WorkerStartError(
            f"what answers at {address} is no Ray cluster, or not the port of its head (6379 as a rule; the client's "
            f"port, 10001 as a rule, is for {CLIENT}host:10001). {HINT}"
        )


def _is_cluster(address: str, seconds: float) -> bool:
    """Whether a cluster's head answers in time, which is asked in a thread because the question has no time limit."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]  # what the hidden `ray health-check` makes

    answers = []

    def ask() -> None:
        try:
            answers.append(GcsClient(address=address))
        except Exception:  # Ray raises many kinds
            return

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return bool(answers)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep the program's own handler of SIGTERM, for which Ray puts another."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
