"""The retry policy decides whether and when a request is sent again, and keeps to its budget."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from math import inf
from types import FrameType
from typing import Any

import pytest

from tator import retry
from tator.retry import FailedAttempt, RetryPolicy

pytestmark = pytest.mark.fast

LOST = FailedAttempt(is_retryable=True, sent=True)
UNSENT = FailedAttempt(is_retryable=True, sent=False)
FINAL = FailedAttempt(is_retryable=False, sent=True)
THREADS = 8


def throttled(retry_after: float | None) -> FailedAttempt:
    return FailedAttempt(is_retryable=True, sent=True, is_throttled=True, retry_after=retry_after)


def delay(
    policy: RetryPolicy,
    outcome: FailedAttempt = LOST,
    method: str = "DELETE",
    retries: int = 0,
    most: int = 2,
    seconds: float = inf,
) -> float | None:
    return policy.seconds_until_retry(outcome, method, retries, most, time.monotonic() + seconds)


def spend(policy: RetryPolicy) -> int:
    """Pay for retries until no more is granted; return their number."""
    number = 0
    while delay(policy) is not None:
        number += 1
    return number


def test_a_retry_costs_ten_tokens_and_a_success_returns_one() -> None:
    """A new client has a hundred."""
    policy = RetryPolicy()
    assert policy.budget == 100
    assert delay(policy) is not None
    assert policy.budget == 90
    policy.succeeded()
    assert policy.budget == 91


def test_the_budget_never_exceeds_a_hundred() -> None:
    """Many successes save nothing up."""
    policy = RetryPolicy()
    for _ in range(500):
        policy.succeeded()
    assert policy.budget == 100


def test_no_retry_is_granted_once_the_budget_is_spent() -> None:
    """Ten successes pay for the next, and nine do not."""
    policy = RetryPolicy()
    assert spend(policy) == 10
    assert policy.budget == 0
    for _ in range(9):
        policy.succeeded()
    assert delay(policy) is None
    assert policy.budget == 9
    policy.succeeded()
    assert delay(policy) is not None
    assert policy.budget == 0


def test_no_retry_is_granted_beyond_the_limit_of_the_call() -> None:
    """`retries` counts those already made."""
    policy = RetryPolicy()
    assert delay(policy, retries=1) is not None
    assert delay(policy, retries=2) is None
    assert delay(policy, most=0) is None
    assert policy.budget == 90


def test_a_final_failure_is_not_retried() -> None:
    """Another attempt would end the same way."""
    policy = RetryPolicy()
    assert delay(policy, FINAL) is None
    assert policy.budget == 100


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_method_that_must_not_be_repeated_is_retried_only_if_nothing_was_sent(
    method: str,
) -> None:
    """The server may have applied it already."""
    policy = RetryPolicy()
    assert delay(policy, LOST, method) is None
    assert delay(policy, throttled(None), method) is None
    assert policy.budget == 100
    assert delay(policy, UNSENT, method) is not None


@pytest.mark.parametrize("method", ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"])
def test_an_idempotent_method_is_retried(method: str) -> None:
    """Twice is as good as once."""
    assert delay(RetryPolicy(), LOST, method) is not None


def test_the_backoff_doubles_up_to_eight_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The delay is random from 0 up, so that clients do not all retry at the same time."""
    ranges = []

    def longest(least: float, most: float) -> float:
        ranges.append((least, most))
        return most

    monkeypatch.setattr(random, "uniform", longest)
    for retries in (0, 1, 2, 3, 4, 5, 9999):
        assert delay(RetryPolicy(), retries=retries, most=10_000) == ranges[-1][1]
    assert ranges == [(0, 0.5), (0, 1), (0, 2), (0, 4), (0, 8), (0, 8), (0, 8)]


def test_a_named_wait_replaces_the_backoff() -> None:
    """It costs a retry and budget, unless the server throttles."""
    policy = RetryPolicy()
    busy = FailedAttempt(is_retryable=True, sent=True, retry_after=7.5)
    assert delay(policy, busy) == 7.5
    assert policy.budget == 90
    assert delay(policy, busy, retries=2) is None


@pytest.mark.parametrize("is_throttled", [True, False])
def test_a_wait_of_thirty_seconds_is_the_longest(is_throttled: bool) -> None:
    """A longer one fails now, and the caller decides."""
    for seconds, expected in ((30, 30), (30.001, None)):
        asks = FailedAttempt(
            is_retryable=True, sent=True, is_throttled=is_throttled, retry_after=seconds
        )
        assert delay(RetryPolicy(), asks) == expected


def test_no_attempt_is_planned_after_the_deadline() -> None:
    """The last error is better than none, and it is free."""
    policy = RetryPolicy()
    assert delay(policy, throttled(5), seconds=4) is None
    assert delay(policy, throttled(5), seconds=9) == 5
    assert (
        delay(policy, FailedAttempt(is_retryable=True, sent=True, retry_after=5), seconds=4) is None
    )
    assert delay(policy, seconds=-1) is None
    assert policy.budget == 100


@pytest.mark.parametrize("method", ["DELETE", "POST"])
def test_a_wait_that_a_throttling_server_names_is_free(method: str) -> None:
    """Nothing was done, so every method waits, without retries and without budget."""
    policy = RetryPolicy()
    spend(policy)
    assert throttled(1).costs_nothing
    for _ in range(100):
        assert delay(policy, throttled(1), method, most=0) == 1


def test_a_throttling_server_that_names_no_wait_costs_as_any_other() -> None:
    """Otherwise attempts would follow each other without end."""
    policy = RetryPolicy()
    assert not throttled(None).costs_nothing
    assert delay(policy, throttled(None)) is not None
    assert policy.budget == 90
    assert delay(policy, throttled(None), most=0) is None


def test_other_calls_wait_for_a_throttling_server_too() -> None:
    """Their requests would only be throttled as well."""
    policy = RetryPolicy()
    assert policy.quiet_seconds(inf) == 0
    delay(policy, throttled(20))
    delay(policy, throttled(5))
    assert 5 < policy.quiet_seconds(inf) <= 20


def test_a_call_that_ends_before_the_quiet_time_does_not_wait_for_it() -> None:
    """Its own attempt tells it what the server says."""
    policy = RetryPolicy()
    delay(policy, throttled(20))
    assert policy.quiet_seconds(time.monotonic() + 5) == 0
    assert policy.quiet_seconds(time.monotonic() + 60) > 5


def test_a_quiet_time_ends() -> None:
    """Then nobody waits any more."""
    policy = RetryPolicy()
    delay(policy, throttled(1e-9))
    while policy.quiet_seconds(inf):
        pass
    assert policy.quiet_seconds(inf) == 0


def give_way(frame: FrameType, event: str, argument: object) -> Any:
    """Let another thread run at each line of the policy."""
    if frame.f_code.co_filename != retry.__file__:
        return None
    time.sleep(0)
    return give_way


def in_threads(work: Callable[[], int]) -> int:
    """Do the work in all threads at once, line by line; return the sum of what they return."""
    results: list[int] = []
    barrier = threading.Barrier(THREADS)

    def run() -> None:
        barrier.wait()
        sys.settrace(give_way)
        results.append(work())
        sys.settrace(None)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == THREADS
    return sum(results)


def test_threads_spend_each_token_once() -> None:
    """All of the budget can be spent, and not a token more."""
    for left in (100, 95, 15, 10, 9):
        for _ in range(10):
            policy = RetryPolicy()
            spend(policy)
            for _ in range(left):
                policy.succeeded()
            assert in_threads(lambda policy=policy: spend(policy)) == left // 10  # type: ignore[misc]
            assert policy.budget == left % 10


def test_threads_that_succeed_and_retry_keep_the_account() -> None:
    """What was returned is what is left and what was paid."""
    policy = RetryPolicy()
    spend(policy)

    def work() -> int:
        paid = 0
        for _ in range(12):
            policy.succeeded()
            paid += delay(policy) is not None
            assert policy.budget <= 100
        return paid

    assert 10 * in_threads(work) + policy.budget == 12 * THREADS
