"""Two calls in the background, each in a separate trace, and a bulk run in a third."""

import json
import sys

from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
if sys.argv.pop(1) == "instrumented":
    ThreadingInstrumentor().instrument()
URLLib3Instrumentor().instrument(tracer_provider=provider)

import tator

api = tator.get_api()
api.api_client.configuration.connection_pool_maxsize = 1  # and so one thread
tracer = provider.get_tracer("jobs")
first, second, *rest = sys.argv[1:]
for name, run_uid in {"first": first, "second": second}.items():
    with tracer.start_as_current_span(name):
        api.delete_job(run_uid, async_req=True).get()
with tracer.start_as_current_span("bulk"):
    tator.bulk.delete_jobs(api, rest)

spans = exporter.get_finished_spans()
names = {span.context.trace_id: span.name for span in spans if span.parent is None}
print(json.dumps([names[span.context.trace_id] for span in spans if span.parent is not None]))
