"""A web service that cancels jobs; with `--preload`, tator is used before gunicorn forks."""

import tator
from tator import bulk

api = tator.get_api()
with_preload = api.delete_job("00000000-0000-1000-8000-000000000000", async_req=True)
with_preload.wait()


def app(environ, start_response):
    """Cancel the jobs of the path; the query `limit` is a limit for each attempt."""
    run_uids = environ["PATH_INFO"].strip("/").split(",")
    try:
        if len(run_uids) > 1:
            body = str(bulk.delete_jobs(api, run_uids))
        else:
            limit = environ["QUERY_STRING"].partition("limit=")[2]
            options = {"_request_timeout": float(limit)} if limit else {}
            handle = api.delete_job(run_uids[0], async_req=True, **options)
            body = str(bool(handle.get().message))
    except tator.ApiException as error:
        body = f"{type(error).__name__} {error.maybe_applied}"
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body.encode()]
