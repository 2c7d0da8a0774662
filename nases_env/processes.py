"""What every worker process calls when it starts."""

from __future__ import annotations

import multiprocessing
import os
import threading


def end_with_parent() -> None:
    """End this process when the one that started it is gone; a killed parent's workers would go on for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "this is no worker process"

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
