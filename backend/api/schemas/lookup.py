"""Bodies of search, transactions and the story of an order."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.api.schemas.base import Answer, Hash, Seconds
from backend.api.schemas.trading import OrderOut


class SearchHit(Answer):
    """Something with that name."""

    kind: Literal["order", "agreement", "transaction", "certificate", "report", "account"]
    id: str = Field(examples=["1-0-12"])
    start: Seconds | None = Field(default=None, description="of a report: its interval")


Stage = Literal[
    "received", "cleared", "delivering", "reported", "disputed", "settled", "refunded", "retired",
    "cancelled", "expired",
]  # fmt: skip


class StageOut(Answer):
    """A stage that the order has reached; `done` of `total` slots have."""

    stage: Stage
    at: Seconds | None
    tx_hash: Hash | None
    done: int
    total: int


class OrderStory(Answer):
    """A cleared order, which is public on chain, and the stages it went through."""

    order: OrderOut
    stages: list[StageOut]
