"""JSON-RPC for pollers: one kept connection and the standard library, at a quarter of the cost."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

from backend.chain.errors import RpcUnavailable
from backend.chain.rpc import Rpc


class LeanRpc(Rpc):
    """An Rpc whose requests go over one kept-alive connection, one at a time from any thread."""

    def __init__(self, url: str, timeout_seconds: float = 120.0) -> None:
        super().__init__(url, timeout_seconds)
        self._lock = threading.Lock()
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()
        super().close()

    def _post(self, body: object) -> Any:
        content = json.dumps(body).encode()
        with self._lock:
            try:
                return self._exchange(content)
            except (http.client.HTTPException, OSError):
                self._connection.close()  # an idle connection may have been closed: once more on a new one
            try:
                return self._exchange(content)
            except (http.client.HTTPException, OSError, ValueError) as error:
                self._connection.close()
                raise RpcUnavailable(self.url, error) from error

    def _exchange(self, content: bytes) -> Any:
        self._connection.request("POST", self._path, content, {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())
