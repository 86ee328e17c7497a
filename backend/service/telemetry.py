"""OpenTelemetry: a span for each request and each step that did something, and the metrics of
`backend.service.metrics`, sent to a collector by OTLP over HTTP. Off unless BITWATT_OTLP_ENDPOINT is set;
nothing of it is loaded then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backend.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.trace import Tracer

_SKIPPED = ("_bucket", "_created")
_tracer: Tracer | None = None


class NoSpan:
    """Stands for a span where nothing is traced."""

    def name(self, text: str) -> None:
        """Does nothing."""

    def set(self, **attributes: str | int | float) -> None:
        """Does nothing."""

    def failed(self, error: BaseException | str) -> None:
        """Does nothing."""


class Span(NoSpan):
    """A span under way."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def name(self, text: str) -> None:
        """Gives the span a better name than it began with."""
        self._span.update_name(text)

    def set(self, **attributes: str | int | float) -> None:
        """Attributes; `__` in a name stands for a dot."""
        for name, value in attributes.items():
            self._span.set_attribute(name.replace("__", "."), value)

    def failed(self, error: BaseException | str) -> None:
        """Marks the span as an error."""
        from opentelemetry.trace import Status, StatusCode

        if isinstance(error, BaseException):
            self._span.record_exception(error)
        self._span.set_status(Status(StatusCode.ERROR, str(error)[:200]))


_NONE = NoSpan()


def is_on() -> bool:
    """Whether traces are collected in this process."""
    return _tracer is not None


@contextmanager
def span(name: str, headers: Mapping[str, str] | None = None, server: bool = False) -> Iterator[NoSpan]:
    """A span around a block; a child of the one that `headers` (W3C `traceparent`) name."""
    if _tracer is None:
        yield _NONE
        return
    from opentelemetry.propagate import extract
    from opentelemetry.trace import SpanKind

    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    parent = extract(dict(headers)) if headers else None
    with _tracer.start_as_current_span(name, parent, kind, set_status_on_exception=True) as started:
        yield Span(started)


def record(name: str, began_ns: int) -> None:
    """A span for what began at `began_ns` (unix nanoseconds) and has just ended."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=began_ns).end()


@contextmanager
def exporting(settings: Settings, part: str) -> Iterator[None]:
    """Sends traces and metrics of this process while the block runs; `part` is `api` or `worker`."""
    global _tracer
    if settings.otlp_endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    base = settings.otlp_endpoint.rstrip("/")
    resource = Resource.create({"service.name": f"bitwatt-{part}", "service.namespace": "bitwatt"})
    sampler = ParentBased(TraceIdRatioBased(settings.otlp_sample_ratio))
    traces = TracerProvider(resource=resource, sampler=sampler)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{base}/v1/traces")))
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"{base}/v1/metrics"), settings.otlp_metrics_seconds * 1000
    )
    metrics = MeterProvider([reader], resource)
    _bridge(metrics.get_meter("bitwatt"))
    _tracer = traces.get_tracer("bitwatt")
    try:
        yield
    finally:
        _tracer = None
        traces.shutdown()
        metrics.shutdown()


def _bridge(meter: Any) -> None:
    """Every Prometheus metric as an observable instrument; of a histogram its count and sum."""
    from prometheus_client import REGISTRY

    for family in REGISTRY.collect():
        if not family.name.startswith("bitwatt_"):
            continue
        make = meter.create_observable_gauge if family.type == "gauge" else meter.create_observable_counter
        suffixes = ("_count", "_sum") if family.type == "histogram" else ("",)
        for suffix in suffixes:
            make(
                family.name + suffix, callbacks=[_observer(family.name, suffix)],
                description=family.documentation,
            )  # fmt: skip


def _observer(name: str, suffix: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    from opentelemetry.metrics import Observation
    from prometheus_client import REGISTRY

    wanted = {name + suffix, name + suffix + "_total"}

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for family in REGISTRY.collect():
            if family.name == name:
                for sample in family.samples:
                    if sample.name in wanted and not sample.name.endswith(_SKIPPED):
                        yield Observation(sample.value, dict(sample.labels))

    return observe
