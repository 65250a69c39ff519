"""Greenlets that cancel jobs, every second one with a limit that the server does not keep.

The first argument says when gevent patches: "before" tator is imported, or "after" its first use.
"""

import json
import os
import sys
import threading

when, *run_uids = sys.argv[1:]
if when == "before":
    from gevent import monkey

    monkey.patch_all()

import tator

api = tator.get_api()
first = api.delete_job(run_uids.pop(), async_req=True)
tator.bulk.delete_jobs(api, [run_uids.pop()])
first.wait()

if when == "after":
    # A thread that lives while gevent patches can't end without a traceback.
    api.api_client.close()
    for thread in threading.enumerate():
        if thread.name.startswith("tator"):
            thread.join()
    from gevent import monkey

    monkey.patch_all()

import gevent


def cancel(number):
    options = {"_request_timeout": 0.1} if number % 2 else {}
    try:
        api.delete_job(run_uids[number], **options)
    except tator.ApiException as error:
        return [type(error).__name__, error.maybe_applied]
    return "cancelled"


def outcomes(numbers):
    greenlets = [gevent.spawn(cancel, number) for number in numbers]
    gevent.joinall(greenlets)
    return [greenlet.value for greenlet in greenlets]


seen = {"greenlets": outcomes(range(20))}
handles = [api.delete_job(run_uid, async_req=True) for run_uid in run_uids[20:30]]
seen["async_req"] = [bool(handle.get().message) for handle in handles]
seen["bulk"] = len(tator.bulk.delete_jobs(api, run_uids[30:40]).deleted)
# By name: the look-up runs beside the greenlets.
host = os.environ["TATOR_HOST"].replace("127.0.0.1", "localhost")
api = tator.get_api(host, os.environ["TATOR_TOKEN"])
seen["by_name"] = outcomes(range(40, 50, 2))
print(json.dumps(seen))
