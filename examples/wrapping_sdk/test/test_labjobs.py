"""labjobs on the Tator server that is installed with the SDK."""

from __future__ import annotations

import pytest
from labjobs import Lab, StopFailed

from tator.testing import LocalTator

# As the laboratory's server responds.
pytestmark = pytest.mark.parametrize("local_tator", ["2025-06"], indirect=True)


@pytest.fixture
def lab(local_tator: LocalTator) -> Lab:
    return Lab(local_tator.host, local_tator.token)


def test_a_job_is_stopped_in_our_name(lab: Lab, local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    lab.stop(run_uid)
    assert local_tator.jobs == {run_uid: "cancelled"}
    assert local_tator.requests[0].headers["user-agent"].startswith("labjobs/2.1 tator-python/")


def test_one_failure_is_retried(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.fail(503)
    lab.stop(local_tator.launch().run_uids[0])
    assert [request.status for request in local_tator.requests] == [503, 200]


def test_two_failures_are_left_to_our_queue(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.fail(503, times=2)
    with pytest.raises(StopFailed):
        lab.stop(local_tator.launch().run_uids[0])
    assert [request.status for request in local_tator.requests] == [503, 503]


def test_the_outcome_is_unknown_after_a_lost_response(lab: Lab, local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    local_tator.drop(times=2, after_applying=True)
    with pytest.raises(StopFailed) as lost:
        lab.stop(run_uid)
    assert not lost.value.still_running
    assert local_tator.jobs == {run_uid: "cancelled"}


def test_nothing_is_stopped_with_a_wrong_token(local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    with pytest.raises(StopFailed, match="Invalid token") as rejected:
        Lab(local_tator.host, "wrong").stop(run_uid)
    assert rejected.value.still_running
    assert local_tator.jobs == {run_uid: "running"}


def test_the_version_is_read_from_another_endpoint(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.route("GET", "/rest/Version", {"version": "1.4.2"})
    assert lab.server_version() == "1.4.2"


def test_an_unexpected_version_is_our_error(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.route("GET", "/rest/Version", ["1.4.2"])
    with pytest.raises(StopFailed):
        lab.server_version()
