"""Calls while the clock stands still, and after."""

import json
import sys

from freezegun import freeze_time

import tator

first, second, third, *rest = sys.argv[1:]
api = tator.get_api()
seen = []
with freeze_time("2026-01-05"):
    seen.append(bool(api.delete_job(first).message))
    seen.append(bool(api.delete_job(second, async_req=True).get().message))
    seen.append(len(tator.bulk.delete_jobs(api, rest).deleted))
    try:
        tator.get_api("http://127.0.0.1:1", "token").delete_job(first)
    except tator.ApiConnectionError as error:
        seen.append(error.attempts)
seen.append(bool(api.delete_job(third).message))
print(json.dumps(seen))
