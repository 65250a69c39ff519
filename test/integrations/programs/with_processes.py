"""Calls in other processes, which are started in one of three ways."""

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import tator
from tator import bulk

api = tator.get_api()


def cancel(call):
    """Cancel with the client that traveled here; return what became of it."""
    traveled, run_uid = call
    try:
        return traveled.delete_job(run_uid).message
    except tator.ApiException as error:
        return error


def cancel_here(run_uid):
    """Cancel with this module's client, in the background too."""
    return api.delete_job(run_uid, async_req=True).get(timeout=30).message


def main(method, run_uids):
    context = multiprocessing.get_context(method)
    # The parent has a connection and a thread, which belong to the parent alone.
    api.delete_job(run_uids[0])
    api.delete_job(run_uids[1], async_req=True).get()
    with context.Pool(2) as pool:
        traveled = pool.map(cancel, [(api, run_uid) for run_uid in [*run_uids[2:6], "unknown"]])
        here = pool.map(cancel_here, run_uids[6:10])
        pool.close()
        pool.join()
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        result = bulk.delete_jobs(api, run_uids[10:20], executor=executor)
    # The parent's own connection is still its own.
    last = api.delete_job(run_uids[20]).message
    error = traveled.pop()
    return {
        "calls": [bool(message) for message in [*traveled, *here, last]],
        "bulk": str(result),
        "error": [type(error).__name__, error.status, error.maybe_applied],
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
