"""A client without a deadline, throttled while the clock stands still, and used after."""

import json
import sys

from freezegun import freeze_time

import tator

first, second = sys.argv[1:]
api = tator.get_api()
api.api_client.configuration.deadline = None
with freeze_time("2026-01-05"):
    seen = [bool(api.delete_job(first).message)]
seen.append(bool(api.delete_job(second).message))
print(json.dumps(seen))
