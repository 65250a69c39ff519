"""Whether a request is sent again, and when."""

from __future__ import annotations

import random
import time
from collections import deque
from contextlib import suppress

from tator.record import Record

_LONGEST_RETRY_AFTER = 30.0  # seconds
_LONGEST_BACKOFF = 8.0  # seconds
_BUDGET, _COST = 100, 10
_NOT_IDEMPOTENT = frozenset({"PATCH", "POST"})


class FailedAttempt(Record):
    """What the policy needs to know about an attempt that failed.

    Attributes:
        is_retryable: Whether another attempt may succeed.
        sent: Whether the request may have left.
        is_throttled: Whether the server asks for fewer requests, and did nothing.
        retry_after: How many seconds the server asks the client to wait.
    """

    is_retryable: bool
    sent: bool
    is_throttled: bool = False
    retry_after: float | None = None

    @property
    def costs_nothing(self) -> bool:
        """Whether another attempt costs neither a retry nor budget, however often."""
        return self.is_throttled and self.retry_after is not None


class RetryPolicy:
    """Decides on each retry of one client, and pays for it.

    A budget of 100 tokens keeps retries from making an outage worse: a retry costs 10, a success
    returns 1. A wait that a throttling server asks for costs nothing: nothing was done, and the
    server said when.
    """

    def __init__(self) -> None:
        # A deque, since its operations are atomic: a lock could be held by a thread that a signal
        # handler interrupts, or that a fork leaves behind.
        self._tokens = deque([None] * _BUDGET, maxlen=_BUDGET)
        self._quiet_until = 0.0  # on the monotonic clock

    @property
    def budget(self) -> int:
        """The tokens that are left."""
        return len(self._tokens)

    def succeeded(self) -> None:
        """Return a token for a success."""
        self._tokens.append(None)

    def quiet_seconds(self, deadline: float) -> float:
        """Return the seconds for which a throttling server wants no requests from this client.

        0 for a call that would end before then: its own attempt gets the server's response.

        Args:
            deadline: When the call ends, on the monotonic clock.
        """
        seconds = self._quiet_until - time.monotonic()
        # A time far away is of a clock that a test froze.
        is_near = 0 < seconds <= _LONGEST_RETRY_AFTER
        return seconds if is_near and self._quiet_until < deadline else 0.0

    def seconds_until_retry(
        self, attempt: FailedAttempt, method: str, retries: int, most: int, deadline: float
    ) -> float | None:
        """Return the seconds until the next attempt; `None` if there must be none.

        The cost of the attempt is paid from the budget.

        Args:
            attempt: How the last attempt failed.
            method: The HTTP method; POST and PATCH are retried only if nothing was sent.
            retries: How many retries the call has made.
            most: How many it may make.
            deadline: When the call ends, on the monotonic clock.
        """
        seconds = _backoff(retries) if attempt.retry_after is None else attempt.retry_after
        if seconds > _LONGEST_RETRY_AFTER or time.monotonic() + seconds >= deadline:
            return None
        if attempt.costs_nothing:
            self._quiet_until = max(self._quiet_until, time.monotonic() + seconds)
            return seconds
        if not attempt.is_retryable or retries >= most:
            return None
        if attempt.sent and method in _NOT_IDEMPOTENT:
            return None
        return seconds if self._pay() else None

    def _pay(self) -> bool:
        """Take the tokens for one retry, all of them or none."""
        taken = 0
        with suppress(IndexError):
            while taken < _COST:
                self._tokens.pop()
                taken += 1
        if taken == _COST:
            return True
        self._tokens.extend([None] * taken)
        # If two threads each held half of the last tokens, both had too few, so check again.
        return len(self._tokens) >= _COST and self._pay()


def _backoff(retries: int) -> float:
    # Jitter over the full range keeps many clients from retrying at the same time.
    return random.uniform(0, min(_LONGEST_BACKOFF, 0.5 * 2 ** min(retries, 10)))
