"""Prometheus metrics of the service."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("bitwatt_requests_total", "requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "bitwatt_request_seconds",
    "time to answer",
    ["method", "route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
ORDERS = Counter("bitwatt_orders_total", "signed messages taken in", ["kind"])
INDEXED_BLOCK = Gauge("bitwatt_indexed_block", "highest block taken in")
INDEXED_EVENTS = Counter("bitwatt_indexed_events_total", "contract events taken in")
REORGS = Counter("bitwatt_reorganisations_total", "times the chain changed under the indexer")
TASK_STEPS = Counter("bitwatt_task_steps_total", "steps of background tasks", ["task", "failed"])
TASK_SECONDS = Histogram("bitwatt_task_seconds", "time of a step of a background task", ["task"])
STREAMS = Gauge("bitwatt_streams", "event streams open now")
OUTBOX = Counter("bitwatt_outbox_total", "what happened to transactions of the outbox", ["what"])
