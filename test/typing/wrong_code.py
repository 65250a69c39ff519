"""Mistakes that the type checkers must catch: each `ignore` here has to be needed."""

from __future__ import annotations

import tator

api = tator.get_api("https://tator.example.org", "token")

api.delete_job(5)  # type: ignore
api.delete_job(None)  # type: ignore
api.delete_job()  # type: ignore
api.delete_job("uid", timeout=3)  # type: ignore
api.delete_job("uid", _request_timeout="5")  # type: ignore
api.delete_job("uid", _request_timeout=(1, 2, 3))  # type: ignore
api.delete_job("uid", project=7)  # type: ignore
api.delete_job_group("uid", 7)  # type: ignore
api.delete_job_group("uid", project="7")  # type: ignore
api.delete_job("uid").massage  # type: ignore
api.delete_job("uid", async_req=True).message  # type: ignore
api.delete_job_group("uid", _preload_content=False).message  # type: ignore
api.delete_job_with_http_info("uid").message  # type: ignore
tator.Configuration(verify_tls=False)  # type: ignore
tator.Configuration(host=5)  # type: ignore
tator.Configuration().verify_tls = False  # type: ignore
tator.Configuration().retries = "2"  # type: ignore
tator.Configuration().timeout = "5"  # type: ignore
tator.Configuration().api_key = "token"  # type: ignore
tator.Configuration().auth_settings = 5  # type: ignore
tator.Configuration.set_default("https://tator.example.org")  # type: ignore
tator.JobApi(tator.Configuration())  # type: ignore
tator.get_api(token=5)  # type: ignore
tator.InlineResponse2044(message=5)  # type: ignore
tator.ApiException(404, reason=5)  # type: ignore
tator.nonsense  # type: ignore
tator.bulk.delete_jobs(api, 5)  # type: ignore
tator.bulk.delete_jobs(api, ["uid"], workers=3)  # type: ignore
tator.ApiClient("https://tator.example.org")  # type: ignore
