"""Where children are trained: in this process, in worker processes of this host, or on a cluster of hosts."""

from nases_env.executors.base import Executor, Job, Task, WorkerStartError
from nases_env.executors.choice import INLINE, MOST_WORKERS, RAY, check_executor, make

__all__ = ["INLINE", "MOST_WORKERS", "RAY", "Executor", "Job", "Task", "WorkerStartError", "check_executor", "make"]
