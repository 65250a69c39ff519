"""Calls under Sentry's SDK: prints the items that it would have sent."""

import json
import sys

import sentry_sdk
from sentry_sdk.transport import Transport

import tator

sent = []


class Kept(Transport):
    def capture_envelope(self, envelope):
        sent.extend(item.payload.json for item in envelope.items)


sentry_sdk.init(
    dsn="http://key@127.0.0.1:1/1",
    transport=Kept(),
    traces_sample_rate=1.0,
    send_default_pii=True,
    include_local_variables=True,
    max_value_length=10_000,
)


def cancel(run_uid):
    try:
        api.delete_job(run_uid)
    except tator.ApiException as error:
        sentry_sdk.capture_exception(error)


api = tator.get_api()
with sentry_sdk.start_transaction(name="clean up"):
    cancel(sys.argv[1])
    cancel("00000000-0000-1000-8000-000000000000")
    api.api_client.configuration.host = "http://127.0.0.1:1"
    cancel(sys.argv[1])
sentry_sdk.flush()
print(json.dumps(sent))
