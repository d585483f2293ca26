"""Spans and a log record by OpenTelemetry's own SDK for Python, sent to the endpoint that OTEL_EXPORTER_OTLP_ENDPOINT names.

With TRACEPARENT set they hang below that process. Prints the trace's id.
"""

import logging
import os

from opentelemetry import propagate, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

resource = Resource.create({
    "service.name": "shop", "service.version": "1.2", "host.name": "till-3", "process.pid": 77, "service.instance.id": "till-3:77",
})
traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(compression=Compression.Gzip)))
trace.set_tracer_provider(traces)
logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter()))
set_logger_provider(logs)

tracer = trace.get_tracer("shop.tracer")
context = propagate.extract({"traceparent": os.environ.get("TRACEPARENT", "")})
with tracer.start_as_current_span("checkout", context=context, kind=trace.SpanKind.SERVER, attributes={
    "items": 3, "total": 17.5, "vip": True, "tags": ["a", "b"], "code.file.path": "shop.py", "code.line.number": 12,
}) as checkout:
    print(f"{checkout.get_span_context().trace_id:032x}")
    checkout.add_event("cart checked", {"rows": 3})
    link = trace.Link(checkout.get_span_context())
    try:
        with tracer.start_as_current_span("charge card", links=[link]):
            raise ValueError("card refused")
    except ValueError:
        pass
    try:
        from opentelemetry._logs import LogRecord, SeverityNumber
        logs.get_logger("shop.log").emit(LogRecord(body="one item is out of stock", severity_number=SeverityNumber.WARN, attributes={"item": "根"}))
    except ImportError:
        logging.exception("no log record was sent")
traces.shutdown()
logs.shutdown()
