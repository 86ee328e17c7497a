"""A bare FastAPI endpoint that only parses an order, to measure the service's intake beside."""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

from backend.api.schemas.trading import OrderNew

app = FastAPI()


@app.get("/health")
async def health() -> dict[str, str]:
    """Whether it runs."""
    return {"status": "ok"}


@app.post("/api/v1/orders")
async def parse_order(body: OrderNew) -> dict[str, str]:
    """Parses the body and says so."""
    return {"maker": body.order.maker}


if __name__ == "__main__":
    uvicorn.run(
        "backend.api.bench_bare:app", host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]),
        access_log=False, log_level="warning",
    )  # fmt: skip
