"""labjobs on a Tator server that comes with the SDK."""

from __future__ import annotations

import pytest
from labjobs import Lab, StopFailed

from tator.testing import LocalTator


@pytest.fixture
def lab(local_tator: LocalTator) -> Lab:
    return Lab(local_tator.host, local_tator.token)


def test_a_job_is_stopped_in_our_name(lab: Lab, local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    lab.stop(run_uid)
    assert local_tator.jobs == {run_uid: "cancelled"}
    assert local_tator.requests[0].headers["user-agent"].startswith("labjobs/2.1 tator-python/")


def test_one_failure_is_tried_again(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.fail(503)
    lab.stop(local_tator.launch().run_uids[0])
    assert [request.status for request in local_tator.requests] == [503, 200]


def test_two_failures_are_left_to_our_queue(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.fail(503, times=2)
    with pytest.raises(StopFailed):
        lab.stop(local_tator.launch().run_uids[0])
    assert [request.status for request in local_tator.requests] == [503, 503]


def test_a_lost_answer_leaves_it_open(lab: Lab, local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    local_tator.drop(times=2, after_applying=True)
    with pytest.raises(StopFailed) as lost:
        lab.stop(run_uid)
    assert not lost.value.still_running
    assert local_tator.jobs == {run_uid: "cancelled"}


def test_a_wrong_token_is_certain_to_stop_nothing(local_tator: LocalTator) -> None:
    run_uid = local_tator.launch().run_uids[0]
    with pytest.raises(StopFailed, match="Invalid token") as refused:
        Lab(local_tator.host, "wrong").stop(run_uid)
    assert refused.value.still_running
    assert local_tator.jobs == {run_uid: "running"}


def test_the_version_comes_from_another_endpoint(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.route("GET", "/rest/Version", {"version": "1.4.2"})
    assert lab.server_version() == "1.4.2"


def test_a_strange_version_is_an_error_of_ours(lab: Lab, local_tator: LocalTator) -> None:
    local_tator.route("GET", "/rest/Version", ["1.4.2"])
    with pytest.raises(StopFailed):
        lab.server_version()
