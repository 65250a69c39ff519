"""Green threads that cancel jobs, every second one with a limit that the server does not keep."""

import eventlet

eventlet.monkey_patch()

import json
import sys

import tator

run_uids = sys.argv[1:]
api = tator.get_api()


def cancel(number):
    options = {"_request_timeout": 0.1} if number % 2 else {}
    try:
        api.delete_job(run_uids[number], **options)
    except tator.ApiException as error:
        return [type(error).__name__, error.maybe_applied]
    return "cancelled"


seen = {"greenlets": list(eventlet.GreenPool(20).imap(cancel, range(20)))}
handles = [api.delete_job(run_uid, async_req=True) for run_uid in run_uids[20:30]]
seen["async_req"] = [bool(handle.get().message) for handle in handles]
seen["bulk"] = len(tator.bulk.delete_jobs(api, run_uids[30:40]).deleted)
print(json.dumps(seen))
