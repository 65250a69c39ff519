"""What is packed: a program that reports on its settings and cancels a job, also in https."""

import json
import sys

import tator
from tator import bulk

api = tator.get_api()
report = api.api_client.configuration.to_debug_report()
message = api.delete_job(sys.argv[1], async_req=True).get().message
deleted = bulk.delete_jobs(api, sys.argv[2:]).deleted
try:
    tator.get_api("https://127.0.0.1:1", "token").delete_job("x")
except tator.ApiConnectionError as error:
    kind = type(error).__name__  # certifi's bundle was read on the way there
print(json.dumps({"report": report, "message": message, "deleted": len(deleted), "https": kind}))
