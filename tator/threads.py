"""Threads that never keep a process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable


def start(work: Callable[..., object], *args: object, name: str) -> bool:
    """Start a daemon thread; return `False` if the interpreter no longer starts any.

    At the end of a program, Python 3.12 and newer start no thread: the caller must do the work.

    Raises:
        RuntimeError: If the system has no more threads.
    """
    try:
        threading.Thread(target=work, args=args, name=name, daemon=True).start()
    except RuntimeError as error:
        if "interpreter shutdown" in str(error):
            return False
        raise
    return True
