"""The programs under examples/ work as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tator.testing import LocalTator

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments, and no other Tator in the environment."""
    inherited = {name: value for name, value in os.environ.items() if "TATOR" not in name}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def cancel(server: LocalTator, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(
        EXAMPLES / "cancel.py",
        *arguments,
        TATOR_HOST=server.host,
        TATOR_TOKEN=server.token,
        NO_PROXY="127.0.0.1",
    )


def test_cancel_without_a_server_uses_a_built_in_one() -> None:
    """Without TATOR_HOST, a job and a group are cancelled, and a repetition shows an error."""
    done = run(EXAMPLES / "cancel.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("  cancelled  job ") == 1 + 4
    assert done.stdout.count("  cancelled  group ") == 1
    assert done.stdout.count("  FAILED ") == 1
    assert "already cancelled" in done.stdout
    assert "running" not in done.stdout.replace("server", "")


def test_cancel_without_a_server_ignores_a_proxy_of_the_environment() -> None:
    """The server in the program is reached even if HTTP_PROXY names a dead proxy."""
    done = run(EXAMPLES / "cancel.py", HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="")
    assert done.returncode == 0, done.stdout


def test_cancel_cancels_exactly_what_is_named(local_tator: LocalTator) -> None:
    """With TATOR_HOST, the named job and group are cancelled, and nothing else is."""
    single, group, untouched = local_tator.launch(), local_tator.launch(2), local_tator.launch()
    done = cancel(local_tator, single.run_uids[0], "--group", group.group_id)
    assert (done.returncode, done.stderr) == (0, "")
    cancelled = {uid for uid, state in local_tator.jobs.items() if state == "cancelled"}
    assert cancelled == {*single.run_uids, *group.run_uids}
    assert local_tator.jobs[untouched.run_uids[0]] == "running"


def test_cancel_goes_on_after_a_failure_and_reports_it(local_tator: LocalTator) -> None:
    """An unknown job makes the exit status 1, and the others are cancelled anyway."""
    first, second = local_tator.launch(2).run_uids
    done = cancel(local_tator, first, "00000000-0000-1000-8000-000000000000", second)
    assert done.returncode == 1
    assert set(local_tator.jobs.values()) == {"cancelled"}
    assert done.stdout.count("FAILED") == 1
    assert local_tator.token not in done.stdout + done.stderr


def test_cancel_cancels_a_group_on_a_server_of_today() -> None:
    """With `--project`, the group is cancelled, and no other job of the project is."""
    with LocalTator(server="2025-06") as server:
        group, untouched = server.launch(2, project=7), server.launch(project=7)
        without = cancel(server, "--group", group.group_id)
        assert (without.returncode, "project=" in without.stdout) == (1, True)
        done = cancel(server, "--group", group.group_id, "--project", "7")
        assert (done.returncode, done.stderr) == (0, "")
        cancelled = {uid for uid, state in server.jobs.items() if state == "cancelled"}
        assert cancelled == set(group.run_uids)
        assert server.jobs[untouched.run_uids[0]] == "running"


def test_cancel_prints_its_usage_if_nothing_is_named(local_tator: LocalTator) -> None:
    """With TATOR_HOST but no ID, the exit status is 2, and nothing is sent."""
    done = cancel(local_tator)
    assert done.returncode == 2
    assert "RUN_UID" in done.stderr
    assert local_tator.requests == []


def test_cancel_rejects_ids_without_a_server() -> None:
    """IDs without TATOR_HOST are never sent to the built-in server."""
    done = run(EXAMPLES / "cancel.py", "00000000-0000-1000-8000-000000000000")
    assert done.returncode == 2
    assert "TATOR_HOST" in done.stderr


def test_cancel_reports_an_invalid_host() -> None:
    """A TATOR_HOST that is not a URL ends in one line, without a traceback."""
    done = run(EXAMPLES / "cancel.py", "some-job", TATOR_HOST="tator.example.org")
    assert done.returncode == 2
    assert "must begin with http:// or https://" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_wraps_the_sdk_passes_its_own_tests() -> None:
    """examples/wrapping_sdk tests itself with the fixture that is installed with tator."""
    plugins = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    done = run("-m", "pytest", "-q", *plugins, EXAMPLES / "wrapping_sdk")
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout
