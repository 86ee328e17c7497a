"""A node's configuration: one JSON file, every field checked before the node starts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FAULTS = ("", "lie", "stall", "equivocate")


class ConfigError(Exception):
    """A configuration that cannot be started; names the file and the field."""


@dataclass(frozen=True, slots=True)
class FeedConfig:
    """The feed this committee reports: epoch e covers [start + e * slot_seconds, + slot_seconds)."""

    name: str
    start: int
    slot_seconds: int

    def interval(self, epoch: int) -> tuple[int, int]:
        """First second covered and first second not covered, unix seconds."""
        begin = self.start + epoch * self.slot_seconds
        return begin, begin + self.slot_seconds

    def epoch_of(self, start: int) -> int | None:
        """The epoch that starts at `start`, None when none does."""
        offset, rest = divmod(start - self.start, self.slot_seconds)
        return offset if rest == 0 and offset >= 0 else None


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Paths are absolute, or relative to the file.

    `archive`: a folder, or s3://bucket/prefix?endpoint=URL. `key`: file with the member's secp256k1
    secret, 64 hex digits. `nodes`: URLs of all members' nodes, this one too. `grace_seconds`: chain time
    after the end of an epoch until it is closed without missing readings. `turn_seconds`: wall time until
    the next member takes the lead, doubled with every turn of an epoch. `fault` is for development chains
    only. `mqtt`: a broker to take readings from as well, mqtt(s)://[user:password@]host[:port].
    `dev_broker`: run that broker in this process, on development chains only. `max_store_mib`: how far
    the store may grow before readings are refused (0: as far as the disk lets it).
    """

    key: Path
    store: Path
    archive: str
    book: Path
    rpc: str
    host: str
    port: int
    nodes: tuple[str, ...]
    feed: FeedConfig
    grace_seconds: int = 600
    turn_seconds: float = 1.0
    poll_seconds: float = 0.03
    fault: str = ""
    mqtt: str = ""
    max_store_mib: int = 0
    dev_broker: bool = False


_REQUIRED = {"key", "store", "archive", "book", "rpc", "port", "nodes", "feed"}
_OPTIONAL = {
    "host",
    "grace_seconds",
    "turn_seconds",
    "poll_seconds",
    "fault",
    "mqtt",
    "max_store_mib",
    "dev_broker",
}


def load_config(path: Path, fault: str = "") -> NodeConfig:
    """The configuration in `path`; raises ConfigError naming the field."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: is not a JSON object")
    if missing := _REQUIRED - set(table):
        raise ConfigError(f"{path}: {', '.join(sorted(missing))} is missing")
    if unknown := set(table) - _REQUIRED - _OPTIONAL:
        raise ConfigError(f"{path}: {', '.join(sorted(unknown))} is not understood")
    try:
        feed = FeedConfig(
            str(table["feed"]["name"]), int(table["feed"]["start"]), int(table["feed"]["slot_seconds"])
        )
        config = NodeConfig(
            key=_path(path, table["key"]),
            store=_path(path, table["store"]),
            archive=_location(path, str(table["archive"])),
            book=_path(path, table["book"]),
            rpc=str(table["rpc"]),
            host=str(table.get("host", "127.0.0.1")),
            port=int(table["port"]),
            nodes=tuple(str(url).rstrip("/") for url in table["nodes"]),
            feed=feed,
            grace_seconds=int(table.get("grace_seconds", 600)),
            turn_seconds=float(table.get("turn_seconds", 1.0)),
            poll_seconds=float(table.get("poll_seconds", 0.03)),
            fault=fault or str(table.get("fault", "")),
            mqtt=str(table.get("mqtt", "")),
            dev_broker=table.get("dev_broker") is True,
            max_store_mib=int(table.get("max_store_mib", 0)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error!r}") from None
    _check(path, config)
    return config


def _location(config: Path, text: str) -> str:
    return text if text.startswith("s3://") else str(_path(config, text))


def _path(config: Path, text: str) -> Path:
    return (config.parent / text).resolve()


def _check(path: Path, config: NodeConfig) -> None:
    problems = {
        "feed.slot_seconds": config.feed.slot_seconds <= 0,
        "feed.start": config.feed.start < 0 or config.feed.start % max(config.feed.slot_seconds, 1) != 0,
        "port": not 0 < config.port < 65_536,
        "nodes": not config.nodes or len(set(config.nodes)) != len(config.nodes),
        "grace_seconds": config.grace_seconds < 0,
        "turn_seconds": config.turn_seconds <= 0,
        "poll_seconds": config.poll_seconds <= 0,
        "fault": config.fault not in FAULTS,
        "mqtt": bool(config.mqtt) and urlsplit(config.mqtt).scheme not in ("mqtt", "mqtts"),
        "dev_broker": config.dev_broker and not config.mqtt,
        "max_store_mib": config.max_store_mib < 0,
    }
    for name, wrong in problems.items():
        if wrong:
            raise ConfigError(f"{path}: {name} has a value that cannot be used")


def read_secret(path: Path) -> bytes:
    """The 32-byte secret in a key file; raises ConfigError."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip().removeprefix("0x"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: holds no key in hexadecimal ({error})") from None
    if len(secret) != 32:
        raise ConfigError(f"{path}: {len(secret)} bytes where 32 are due")
    return secret
