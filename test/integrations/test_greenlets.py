"""Greenlets: what one call waits for is no other's, whenever the library patches."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from integrations.running import LIMIT, PROGRAMS, environment, run_program

from tator.testing import LocalTator

pytestmark = pytest.mark.integrations

MIXED = ["cancelled", ["ApiTimeoutError", True]] * 10


@pytest.mark.parametrize("when", ["before", "after"])
def test_row_43_greenlets_keep_their_limits_apart(local_tator: LocalTator, when: str) -> None:
    """gevent may patch before tator is imported or after its first use: each call has its limit.

    Calls without a limit succeed; of those with one the outcome is unknown. `async_req`, bulk and
    look-ups leave the other greenlets running.
    """
    local_tator.delay(0.3)
    seen = run_program("with_gevent", local_tator, when, *local_tator.launch(52).run_uids)
    assert seen == {
        "greenlets": MIXED,
        "async_req": [True] * 10,
        "bulk": 10,
        "by_name": ["cancelled"] * 5,
    }


def test_eventlets_green_threads_keep_their_limits_apart(local_tator: LocalTator) -> None:
    """The same with eventlet, which has to patch first."""
    local_tator.delay(0.3)
    seen = run_program("with_eventlet", local_tator, *local_tator.launch(40).run_uids)
    assert seen == {"greenlets": MIXED, "async_req": [True] * 10, "bulk": 10}


@pytest.fixture
def service(local_tator: LocalTator) -> Iterator[str]:
    """The URL of a service under gunicorn, which loads it before it forks and gevent patches."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "gunicorn", "--preload", "-k", "gevent", "-w", "2"]
        command += ["--graceful-timeout", "1", "-b", f"fd://{listener.fileno()}"]
        process = subprocess.Popen(
            [*command, "gunicorn_app:app"],
            cwd=PROGRAMS,
            env=environment(local_tator),
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=LIMIT)
            finally:
                process.kill()
            log.seek(0)
            problems = re.findall(r".*(?:Traceback|ERROR).*", log.read().decode())
            assert not problems


def test_a_preloaded_service_under_gunicorn_cancels_jobs(
    local_tator: LocalTator, service: str
) -> None:
    """Requests that arrive at once, some with a limit, each end as they would alone."""
    run_uids = local_tator.launch(25).run_uids
    paths = [f"{run_uid}{'?limit=0.1' if n % 2 else ''}" for n, run_uid in enumerate(run_uids[:20])]
    paths.append(",".join(run_uids[20:]))
    with urllib3.PoolManager(maxsize=32) as http, ThreadPoolExecutor(32) as threads:

        def get(path: str) -> str:
            return http.request("GET", f"{service}/{path}", timeout=LIMIT).data.decode()

        get("unknown")  # both workers are up once they take requests
        local_tator.delay(0.3)
        bodies = list(threads.map(get, paths))
    assert bodies == ["True", "ApiTimeoutError True"] * 10 + ["5 cancelled"]
