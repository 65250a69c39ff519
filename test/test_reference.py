"""The two programs of the page that this SDK was asked for with run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from peers import all_at_once

from tator.testing import LocalTator

PROGRAMS = Path(__file__).parent / "reference_programs"
PATHS = {
    "delete_job": "/rest/Job/run_uid_example",
    "delete_job_group": "/rest/JobGroup/group_id_example",
}


def run(name: str, host: str) -> str:
    """What a program prints, with nothing but the server's address added."""
    completed = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAMS / f"{name}.py")],
        env={**os.environ, "TATOR_HOST": host},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (completed.returncode, completed.stderr) == (0, "")
    return completed.stdout


class Lenient(BaseHTTPRequestHandler):
    """A server that accepts the page's token, which has no prefix: no real one does."""

    def do_DELETE(self) -> None:
        body = json.dumps({"message": f"{self.path} {self.headers['Authorization']}"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def lenient() -> Iterator[str]:
    """The address of a server that cancels whatever it is asked to."""
    with HTTPServer(("127.0.0.1", 0), Lenient) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("name", PATHS)
def test_it_prints_the_model_on_success(lenient: str, name: str) -> None:
    """The response is shown as a dictionary; the token was sent unchanged."""
    assert run(name, lenient) == f"{{'message': '{PATHS[name]} YOUR_API_KEY'}}\n"


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    ("local_tator", "status"),
    [
        ("2020-05", "500 Internal Server Error"),
        ("2020-08", "400 Bad Request"),
        ("2025-06", "404 Not Found"),
    ],
    indirect=["local_tator"],
)
def test_a_token_without_a_prefix_is_explained(
    local_tator: LocalTator, status: str, name: str
) -> None:
    """The page's token has no prefix: whatever the server says, the line to add is shown."""
    said = run(name, local_tator.host)
    assert said.startswith(f"Exception when calling JobApi->{name}: {status}")
    assert len(local_tator.requests) == 1
    assert "configuration.api_key_prefix['Authorization'] = 'Token'" in said
    assert "YOUR_API_KEY" not in said


def test_every_failure_is_printed(local_tator: LocalTator) -> None:
    """Its `except ApiException` catches every failure: a page as the response, no server."""
    local_tator.html(times=len(PATHS))
    for name in PATHS:
        printed = run(name, local_tator.host)
        assert printed.startswith(f"Exception when calling JobApi->{name}: 200 OK")
    local_tator.close()

    def check(name: str) -> None:
        printed = run(name, local_tator.host)
        assert printed.startswith(f"Exception when calling JobApi->{name}: ")
        assert "Could not connect" in printed

    all_at_once(check, [(name,) for name in PATHS])  # each waits before its retries
