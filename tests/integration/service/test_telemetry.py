"""What a collector receives: spans of requests in the caller's trace, spans of tasks, and the metrics."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from backend.api.app import make_app
from backend.service import telemetry
from backend.service.context import Context
from backend.service.workers.runner import Runner, Task
from backend.settings import Settings
from backend.store.engine import Store
from tests.unit.api.callers import ORIGIN
from tests.unit.api.fixtures import context

__all__ = ["context"]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(BaseHTTPRequestHandler):
    """Takes OTLP over HTTP."""

    received: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        """Keeps what is sent."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector: its URL and what it received."""
    handler = type("Handler", (Collector,), {"received": []})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.received  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
def test_a_collector_receives_traces_and_metrics(
    context: Context, store: Store, collector: tuple[str, list[tuple[str, bytes]]]
) -> None:
    url, received = collector
    settings = Settings(otlp_endpoint=url, otlp_sample_ratio=1.0, otlp_metrics_seconds=3600)
    with (
        TestClient(make_app(context), base_url=ORIGIN, raise_server_exceptions=False) as client,
        telemetry.exporting(settings, "api"),
    ):
        client.get("/api/v1/zones", headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
        client.get("/api/v1/orders")
        done = threading.Event()
        runner = Runner(store, [Task("sums", lambda: not done.is_set() and (done.set() or True), 0.01)], 3)
        runner.start()
        assert done.wait(20)
        runner.stop()
    assert not telemetry.is_on()
    spans: dict[str, Span] = {}
    names: set[str] = set()
    for path, body in received:
        if path == "/v1/traces":
            sent = ExportTraceServiceRequest.FromString(body)
            services = [a.value.string_value for r in sent.resource_spans for a in r.resource.attributes]
            assert "bitwatt-api" in services
            spans |= {s.name: s for r in sent.resource_spans for o in r.scope_spans for s in o.spans}
        else:
            found = ExportMetricsServiceRequest.FromString(body)
            names |= {m.name for r in found.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert {"GET /zones", "GET /orders", "task sums"} <= spans.keys(), spans.keys()
    zones = spans["GET /zones"]
    assert zones.trace_id.hex() == TRACE and zones.kind == Span.SPAN_KIND_SERVER
    attributes = {a.key: a.value for a in zones.attributes}
    assert attributes["http.response.status_code"].int_value == 200
    assert {"bitwatt_requests", "bitwatt_request_seconds_count", "bitwatt_indexed_block"} <= names, names


def test_nothing_is_loaded_or_sent_when_it_is_off() -> None:
    with telemetry.exporting(Settings(), "api"), telemetry.span("nothing") as span:
        span.set(a=1)
    assert not telemetry.is_on()
