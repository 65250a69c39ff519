"""A signal handler that cancels a job while the program is in the middle of another call."""

import json
import signal
import sys

import tator

api = tator.get_api()
run_uids = sys.argv[1:]
handled = []


def on_alarm(number, frame):
    handled.append(bool(api.delete_job(run_uids.pop()).message))
    handled.append(bool(api.delete_job(run_uids.pop(), async_req=True).get().message))


def interrupted(call):
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    return call(run_uids.pop())


signal.signal(signal.SIGALRM, on_alarm)
seen = [
    bool(interrupted(api.delete_job).message),
    bool(interrupted(lambda run_uid: api.delete_job(run_uid, async_req=True).get()).message),
    len(interrupted(lambda run_uid: tator.bulk.delete_jobs(api, [run_uid])).deleted),
    # The first use of a client, in the handler and in the call that it interrupts.
    bool(interrupted(tator.get_api().delete_job).message),
]
print(json.dumps([seen, handled]))
