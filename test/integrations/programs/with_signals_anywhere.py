"""A signal at each point of a client's first call; the handler waits for a call in the background.

A point is where one of the functions is called that send and receive.
"""

import json
import signal
import sys
import time

import tator

PARTS = ("tator.api_client", "tator.async_result", "tator.rest", "tator.retry", "tator.transport")

(run_uid,) = sys.argv[1:]
outcomes = []


def call(api, **options):
    """Cancel a job that is cancelled already; the outcome is always the same."""
    try:
        handle = api.delete_job(run_uid, **options)
        outcomes.append(str(handle.get(10) if options else handle))
    except (tator.ApiException, TimeoutError) as error:
        outcomes.append(type(error).__name__)


def interrupt_at(point):
    """Make a client's first call with a signal at a point; tell whether the call got there."""
    api = tator.get_api()
    signal.signal(signal.SIGUSR1, lambda number, frame: call(api, async_req=True))
    left = point

    def count(frame, event, argument):
        nonlocal left
        if event == "call" and frame.f_globals.get("__name__", "").startswith(PARTS):
            left -= 1
            # Only once: if a garbage collection runs as a function is called, CPython reports the
            # function after the collection's own calls, even when the profile is off by then.
            if left == -1:
                sys.setprofile(None)
                signal.raise_signal(signal.SIGUSR1)

    sys.setprofile(count)
    call(api)
    sys.setprofile(None)
    return left < 0


call(tator.get_api(), async_req=True)  # import what is imported late
outcomes.clear()
point = points = 0
started = time.monotonic()
while interrupt_at(point) and set(outcomes) == {"ServiceException"}:
    points += 1
    # While a route is made, a handler waits for a second: some of the many points there will do.
    point += 8 if time.monotonic() - started > 0.5 else 1
    started = time.monotonic()
print(json.dumps([points, len(outcomes), sorted(set(outcomes))]))
