"""A thread is started, or it is told why not."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading

import pytest

from tator import threads

pytestmark = pytest.mark.fast


def test_work_is_done_on_a_daemon_thread() -> None:
    """It gets its arguments, and keeps no process from ending."""
    seen: queue.SimpleQueue[tuple[object, threading.Thread]] = queue.SimpleQueue()
    work = lambda value: seen.put((value, threading.current_thread()))  # noqa: E731  # short
    assert threads.start(work, 5, name="a name")
    value, thread = seen.get(timeout=10)
    assert (value, thread.name, thread.daemon) == (5, "a name", True)


def test_a_system_without_threads_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller decides what it means."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        threads.start(print, name="a name")


def test_an_interpreter_that_ends_starts_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller then does the work."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert threads.start(print, name="a name") is False


def test_a_thread_at_the_end_of_the_interpreter_is_started_or_not() -> None:
    """By the version of Python; in neither case there is an error."""
    program = """
import atexit
from tator import threads
atexit.register(lambda: print(threads.start(int, name="last")))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip() in ("True", "False")
