"""It works with what people already use, each shown with the real library."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import ssl
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import polars as pl
import pytest
import trustme
import vcr
from integrations.running import run_program
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from proxies import Proxy
from rich.console import Console
from rich.traceback import Traceback

import tator
from tator import bulk
from tator.testing import LocalTator


def api_of(server: LocalTator, **settings: object) -> tator.JobApi:
    api = tator.get_api(server.host, server.token)
    for name, value in settings.items():
        setattr(api.api_client.configuration, name, value)
    return api


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    URLLib3Instrumentor().instrument(tracer_provider=provider)
    yield exporter
    URLLib3Instrumentor().uninstrument()
    provider.shutdown()


@pytest.mark.usefixtures("no_backoff")
def test_opentelemetry_sees_a_span_for_each_attempt(
    local_tator: LocalTator, spans: InMemorySpanExporter
) -> None:
    """A call that succeeds on its second attempt leaves two spans, and the trace ID is sent."""
    local_tator.fail(503)
    run_uid = local_tator.launch().run_uids[0]
    api_of(local_tator).delete_job(run_uid)
    seen = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    statuses = [
        span.get("http.status_code", span.get("http.response.status_code")) for span in seen
    ]
    assert statuses == [503, 200]
    assert all("traceparent" in request.headers for request in local_tator.requests)


def test_opentelemetry_never_sees_the_token(
    local_tator: LocalTator, spans: InMemorySpanExporter
) -> None:
    """Nothing in a span shows the token, also if the call fails."""
    with pytest.raises(tator.ServiceException):
        api_of(local_tator).delete_job("00000000-0000-1000-8000-000000000000")
    (span,) = spans.get_finished_spans()
    assert local_tator.token not in span.to_json()


def recorder(directory: Path) -> vcr.VCR:
    return vcr.VCR(cassette_library_dir=str(directory), filter_headers=["authorization"])


def test_vcr_replays_a_recording_after_the_server_stopped(tmp_path: Path) -> None:
    """A recorded call gets its response from the cassette, on the same client or a new one."""
    with LocalTator() as server:
        run_uid = server.launch().run_uids[0]
        recorded_with = api_of(server)
        with recorder(tmp_path).use_cassette("job.yaml"):
            recorded = recorded_with.delete_job(run_uid)
        assert len(server.requests) == 1
    for api in (recorded_with, api_of(server)):
        with recorder(tmp_path).use_cassette("job.yaml", record_mode="none") as cassette:
            assert api.delete_job(run_uid) == recorded
            assert cassette.all_played


def test_a_client_that_called_before_can_be_recorded(
    local_tator: LocalTator, tmp_path: Path
) -> None:
    """One call and a bulk run: the connections from before are left alone, and used later."""
    api = api_of(local_tator)
    first, second, *others = local_tator.launch(6).run_uids
    api.delete_job(first)
    with recorder(tmp_path).use_cassette("used.yaml"):
        api.delete_job(second)
        assert len(tator.bulk.delete_jobs(api, others[:3], max_workers=1).deleted) == 3
    assert api.delete_job(others[3]).message
    assert api.api_client.rest_client.idle_connections


def test_vcr_replays_a_bulk_run_of_one_worker_and_handles_awaited_in_turn(
    local_tator: LocalTator, tmp_path: Path
) -> None:
    """Nothing reaches the server, whatever the token; VCR.py takes one call at a time."""
    run_uids = local_tator.launch(20).run_uids
    with recorder(tmp_path).use_cassette("jobs.yaml"):
        recorded = bulk.delete_jobs(api_of(local_tator), run_uids, max_workers=1)
    replaying = tator.get_api(local_tator.host, "not the token")
    with recorder(tmp_path).use_cassette("jobs.yaml", record_mode="none") as cassette:
        assert dict(bulk.delete_jobs(replaying, run_uids, max_workers=1)) == dict(recorded)
        assert cassette.all_played
        cassette.rewind()
        for run_uid in run_uids:
            assert replaying.delete_job(run_uid, async_req=True).get(60) == recorded[run_uid]
    assert len(recorded.deleted) == len(local_tator.requests) == 20


def test_more_calls_than_connections_are_recorded_and_replayed(tmp_path: Path) -> None:
    """Under a recorder, too, a connection is released after each call."""

    def cancel() -> list[tator.InlineResponse2044]:
        configuration = tator.Configuration(host=host, connection_pool_maxsize=1, deadline=10)
        configuration.api_key["Authorization"] = f"Token {token}"
        api = tator.JobApi(tator.ApiClient(configuration))
        with recorder(tmp_path).use_cassette("jobs.yaml"):
            return [api.delete_job(run_uid) for run_uid in run_uids]

    with LocalTator() as server:
        host, token, run_uids = server.host, server.token, server.launch(3).run_uids
        recorded = cancel()
    assert cancel() == recorded


def test_vcr_replays_errors(tmp_path: Path) -> None:
    """A recorded failure is raised again as the same error."""
    with LocalTator() as server:
        api = api_of(server)
        with recorder(tmp_path).use_cassette("error.yaml"), pytest.raises(tator.ServiceException):
            api.delete_job("unknown")
    with (
        recorder(tmp_path).use_cassette("error.yaml", record_mode="none"),
        pytest.raises(tator.ServiceException) as replayed,
    ):
        api_of(server).delete_job("unknown")
    assert replayed.value.status == 500


def test_a_connection_lost_while_vcr_records_may_have_been_applied(
    local_tator: LocalTator, tmp_path: Path
) -> None:
    """VCR.py's own connections do not make a lost response look like a request never sent."""
    local_tator.drop(after_applying=True)
    run_uid = local_tator.launch().run_uids[0]
    with (
        recorder(tmp_path).use_cassette("lost.yaml"),
        pytest.raises(tator.ApiConnectionError) as lost,
    ):
        api_of(local_tator, retries=0).delete_job(run_uid)
    assert lost.value.maybe_applied


def test_a_vcr_cassette_holds_no_token(tmp_path: Path) -> None:
    """`filter_headers` keeps the token out of the file that is committed."""
    with LocalTator() as server:
        with recorder(tmp_path).use_cassette("job.yaml"):
            api_of(server).delete_job(server.launch().run_uids[0])
        cassette = (tmp_path / "job.yaml").read_text()
    assert "/rest/Job/" in cassette
    assert server.token not in cassette


def test_vcr_saves_a_call_with_another_header_that_it_filters(tmp_path: Path) -> None:
    """As the page says: each header that a program adds must be listed."""
    with LocalTator() as server:
        api = tator.get_api(server.host, server.token)
        api.api_client.set_default_header("X-Lab", "east-wing")
        filtered = ["authorization", "x-lab"]
        with recorder(tmp_path).use_cassette("job.yaml", filter_headers=filtered):
            api.delete_job(server.launch(1).run_uids[0])
        cassette = (tmp_path / "job.yaml").read_text()
    assert "/rest/Job/" in cassette
    assert "east-wing" not in cassette


def test_a_client_reaches_the_server_again_after_vcr(
    local_tator: LocalTator, tmp_path: Path
) -> None:
    """What VCR.py put on a client's pools is gone when the cassette is ejected."""
    api = api_of(local_tator)
    first, second = local_tator.launch(2).run_uids
    with recorder(tmp_path).use_cassette("job.yaml"):
        api.delete_job(first)
    api.delete_job(second)
    assert len(local_tator.requests) == 2
    assert set(local_tator.jobs.values()) == {"cancelled"}


def test_a_bulk_result_becomes_a_data_frame(local_tator: LocalTator) -> None:
    """`pandas.DataFrame(result.to_records())` has a row for each ID, in the order given."""
    run_uids = [*local_tator.launch(2).run_uids, "unknown"]
    frame = pd.DataFrame(bulk.delete_jobs(api_of(local_tator), run_uids).to_records())
    assert list(frame["run_uid"]) == run_uids
    assert len(frame) == 3


def test_a_bulk_result_becomes_a_polars_frame_with_one_type_for_each_column(
    local_tator: LocalTator,
) -> None:
    """A failure after more successes than polars looks at first changes no column's type."""
    run_uids = [*local_tator.launch(150).run_uids, "unknown"]
    result = bulk.delete_jobs(api_of(local_tator, retries=0), run_uids)
    frame = pl.DataFrame(result.to_records())
    assert frame["run_uid"].to_list() == run_uids
    assert dict(frame.schema) == {
        "run_uid": pl.String,
        "outcome": pl.String,
        "status": pl.Int64,
        "message": pl.String,
        "error": pl.String,
        "maybe_applied": pl.Boolean,
    }
    assert frame["status"].to_list()[-2:] == [0, 500]


class SentryRun(NamedTuple):
    """A program with Sentry's SDK: a call that is retried, one that fails, one to nobody."""

    server: LocalTator
    run_uid: str
    sent: list[dict[str, Any]]


@pytest.fixture(scope="module")
def sentry_run() -> Iterator[SentryRun]:
    """What it did; its start takes longest, so that it is run once."""
    with LocalTator() as server:
        server.fail(503)
        run_uid = server.launch().run_uids[0]
        yield SentryRun(server, run_uid, run_program("with_sentry", server, run_uid))


def test_sentry_sees_a_span_and_a_breadcrumb_for_each_attempt(sentry_run: SentryRun) -> None:
    """The transaction has a finished span for each attempt, the event its breadcrumbs."""
    server, run_uid, sent = sentry_run
    (transaction,) = [item for item in sent if item.get("type") == "transaction"]
    url = f"{server.host}/rest/Job/{run_uid}"
    spans = [
        (span["op"], span["description"], span["data"]["http.response.status_code"])
        for span in transaction["spans"]
    ]
    assert spans[:2] == [("http.client", f"DELETE {url}", status) for status in (503, 200)]
    breadcrumbs = [item["breadcrumbs"]["values"] for item in sent if "breadcrumbs" in item][-1]
    statuses = [crumb["data"]["http.response.status_code"] for crumb in breadcrumbs]
    assert statuses[:2] == [503, 200]


def test_sentry_sends_its_trace_along_and_gets_no_token(sentry_run: SentryRun) -> None:
    """Each request has the header `sentry-trace`; events with locals hold no part of the token."""
    server = sentry_run.server
    assert len(server.requests) == 3
    assert all("sentry-trace" in request.headers for request in server.requests)
    text = json.dumps(sentry_run.sent)
    assert text.count('"vars"') > 10  # locals were captured
    assert "ServiceException" in text
    assert "ApiConnectionError" in text
    assert server.token[:8] not in text


def test_ddtrace_sees_both_layers_of_each_attempt(local_tator: LocalTator) -> None:
    """Its urllib3 and http.client spans have the status, and the trace is sent."""
    # Not loaded here: it patches what it finds.
    if find_spec("ddtrace") is None:
        pytest.skip("ddtrace is not installed, or not for this Python")
    local_tator.fail(503)
    spans = run_program("with_ddtrace", local_tator, local_tator.launch().run_uids[0])
    layers = ("urllib3.request", "http.client.request")
    seen = [(span["name"], span["status"]) for span in spans if span["name"] in layers]
    assert seen == [(name, status) for status in ("503", "200", "500") for name in layers]
    assert all("x-datadog-trace-id" in request.headers for request in local_tator.requests)
    assert local_tator.token[:8] not in json.dumps(spans)


def test_a_rich_traceback_with_locals_shows_no_token(local_tator: LocalTator) -> None:
    """Rich displays the locals of all frames of an error, and none has the token."""
    run_uid = local_tator.launch().run_uids[0]
    local_tator.fail(400)
    api, host = api_of(local_tator, retries=0), local_tator.host
    text = io.StringIO()
    console = Console(file=text, width=300)
    for address in (host, "http://127.0.0.1:1"):
        api.api_client.configuration.host = address
        try:
            api.delete_job(run_uid)
        except tator.ApiException as error:
            shown = Traceback.from_exception(
                type(error), error, error.__traceback__, show_locals=True, locals_max_string=None
            )
            console.print(shown)
    assert "BadRequestException" in text.getvalue()
    assert "ApiConnectionError" in text.getvalue()
    assert "header_params" in text.getvalue()  # the locals were shown
    assert local_tator.token[:8] not in text.getvalue()


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("tator")
    kept = [(logger, logger.level, logger.handlers[:], logger.propagate) for logger in (root, ours)]
    yield
    for logger, level, handlers, propagate in kept:
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagate


@pytest.mark.usefixtures("restored_logging", "no_backoff")
def test_dict_config_gets_a_line_for_each_attempt(local_tator: LocalTator, tmp_path: Path) -> None:
    """A program's own logging configuration turns the lines on, and they show no token."""
    path = tmp_path / "tator.log"
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
            "handlers": {
                "file": {
                    "class": "logging.FileHandler",
                    "filename": str(path),
                    "formatter": "plain",
                }
            },
            "loggers": {"tator": {"level": "DEBUG", "handlers": ["file"]}},
        }
    )
    local_tator.fail(503)
    run_uid = local_tator.launch().run_uids[0]
    api_of(local_tator).delete_job(run_uid)
    for handler in logging.getLogger("tator").handlers:
        handler.close()
    first, second = path.read_text().splitlines()
    url = f"{local_tator.host}/rest/Job/{run_uid}"
    assert first.startswith(f"DEBUG tator DELETE {url}: 503 in ")
    assert second.startswith(f"DEBUG tator DELETE {url}: 200 in ")
    assert second.endswith("(attempt 2)")
    assert local_tator.token not in path.read_text()


@pytest.fixture
def company_ca(tmp_path: Path) -> tuple[trustme.CA, str]:
    ca = trustme.CA()
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, str(path)


def test_a_corporate_proxy_and_its_ca_need_two_settings(
    company_ca: tuple[trustme.CA, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With HTTPS_PROXY and ssl_ca_cert, a call goes through the proxy's tunnel to the server."""
    ca, bundle = company_ca
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with LocalTator(ssl_context=context) as server:
        for name in ("NO_PROXY", "no_proxy", "https_proxy"):
            monkeypatch.delenv(name, raising=False)
        run_uid = server.launch().run_uids[0]
        configuration = tator.Configuration(
            host=server.host,
            api_key={"Authorization": server.token},
            api_key_prefix={"Authorization": "Token"},
            ssl_ca_cert=bundle,
            retries=0,
        )
        with Proxy(tmp_path) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.authority}")
            assert tator.JobApi(tator.ApiClient(configuration)).delete_job(run_uid).message
        assert server.jobs == {run_uid: "cancelled"}
        with pytest.raises(tator.ApiProxyError):
            tator.JobApi(tator.ApiClient(configuration)).delete_job(run_uid)
