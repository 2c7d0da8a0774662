"""What every worker process does with a job."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any

from nases_env.executors.base import Task

DEVICE_LOST = 70
"""Exit status of a worker whose device is in an error state that only a new process leaves."""


def do(task: Task, work: Callable[..., Any], job: tuple) -> Any:
    """Do a job in this worker, which ends where its device may be lost.

    Args:
        task: The task that the worker was started for.
        work: What the task opened.
        job: What `work` is called with.
    """
    try:
        return work(*job)
    except RuntimeError:
        if task.device == "cpu":
            raise
        traceback.print_exc()  # whatever went wrong on a device may have left it in an error state
        os._exit(DEVICE_LOST)
