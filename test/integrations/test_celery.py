"""Celery: a soft time limit ends a call, and results keep what an error knows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from integrations.running import LIMIT, PROGRAMS, environment

import tator
from tator.testing import LocalTator

pytestmark = pytest.mark.integrations


@pytest.fixture(scope="module")
def server() -> Iterator[LocalTator]:
    with LocalTator() as server:
        yield server


@pytest.fixture(scope="module", params=["json", "pickle"])
def tasks(
    request: pytest.FixtureRequest, server: LocalTator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """The tasks, which a worker with one process takes; results travel by a serializer."""
    folder = tmp_path_factory.mktemp(request.param)
    for name in ("queue", "control", "results"):
        (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch, (folder / "log").open("w+") as log:
        patch.chdir(folder)
        patch.setenv("SERIALIZER", request.param)
        patch.setenv("C_FORCE_ROOT", "1")
        patch.syspath_prepend(PROGRAMS)
        variables = environment(server, SERIALIZER=request.param, PYTHONPATH=str(PROGRAMS))
        worker = [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-c", "1"]
        process = subprocess.Popen(worker, cwd=folder, env=variables, stdout=log, stderr=log)
        try:
            import celery_app

            yield celery_app
        finally:
            sys.modules.pop("celery_app", None)
            process.terminate()
            try:
                process.wait(timeout=LIMIT)
            finally:
                process.kill()


@pytest.mark.parametrize("how", ["call", "async_req", "bulk"])
def test_a_soft_time_limit_ends_a_call_at_once(server: LocalTator, tasks: Any, how: str) -> None:
    """The task gets Celery's own exception, and one request was sent."""
    (run_uid,) = server.launch().run_uids
    before = len(server.requests)
    server.delay(30)
    try:
        result = tasks.cancel_in_time.delay(run_uid, how)
        assert result.get(timeout=20) == "SoftTimeLimitExceeded"
    finally:
        server.delay(0)
    assert len(server.requests) - before == 1


def test_a_result_is_the_model_as_a_dictionary(server: LocalTator, tasks: Any) -> None:
    """`to_dict()` travels with any serializer."""
    (run_uid,) = server.launch().run_uids
    result = tasks.cancel.delay(run_uid).get(timeout=LIMIT)
    assert "deleted" in tator.InlineResponse2044(**result).message


@pytest.mark.parametrize(
    ("arrange", "kind", "maybe_applied"),
    [
        (lambda s: s.fail(400, after_applying=True), tator.BadRequestException, True),
        (lambda s: s.fail(403), tator.ForbiddenException, False),
        (lambda s: s.drop(after_applying=True), tator.ApiConnectionError, True),
    ],
)
def test_an_error_keeps_maybe_applied_as_a_result(
    server: LocalTator,
    tasks: Any,
    arrange: Any,
    kind: type[tator.ApiException],
    maybe_applied: bool,
) -> None:
    """The error that `get()` raises says whether the job may have been cancelled."""
    (run_uid,) = server.launch().run_uids
    arrange(server)
    with pytest.raises(tator.ApiException) as raised:
        tasks.cancel.delay(run_uid, retries=0).get(timeout=LIMIT)
    assert type(raised.value) is kind
    assert raised.value.maybe_applied is maybe_applied
    assert server.token not in repr(vars(raised.value))


def test_a_404_after_a_lost_response_keeps_maybe_applied_as_a_result(
    server: LocalTator, tasks: Any
) -> None:
    """The result includes `maybe_applied`, since a 404 usually proves that nothing was applied."""
    (run_uid,) = server.launch().run_uids
    server.drop(after_applying=True)
    server.fail(404)
    with pytest.raises(tator.NotFoundException) as raised:
        tasks.cancel.delay(run_uid).get(timeout=LIMIT)
    assert raised.value.status == 404
    assert raised.value.maybe_applied
