"""Celery tasks that cancel jobs; the broker and the results are files in the current folder."""

import os

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

import tator

app = Celery("jobs", broker="filesystem://", backend=f"file://{os.getcwd()}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": "queue",
        "data_folder_out": "queue",
        "control_folder": "control",
        "store_processed": False,
    },
    accept_content=["json", "pickle"],
    result_accept_content=["json", "pickle"],
    result_serializer=os.environ["SERIALIZER"],
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
)


@app.task
def cancel(run_uid, retries=2):
    """Cancel a job; the result is the model as a dictionary, or the error."""
    api = tator.get_api()
    api.api_client.configuration.retries = retries
    return api.delete_job(run_uid).to_dict()


@app.task(soft_time_limit=1)
def cancel_in_time(run_uid, how):
    """Cancel a job, and say what ended the call."""
    api = tator.get_api()
    try:
        if how == "call":
            api.delete_job(run_uid)
        elif how == "async_req":
            api.delete_job(run_uid, async_req=True).get()
        else:
            tator.bulk.delete_jobs(api, [run_uid])
    except SoftTimeLimitExceeded as error:
        return type(error).__name__
    return "ended"
