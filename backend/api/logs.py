"""Logs as JSON lines, one object each, or as text for people."""

from __future__ import annotations

import logging
import logging.config


def configure(level: str, as_json: bool) -> None:
    """Sets up logging of this process."""
    json_format = {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(asctime)s %(levelname)s %(name)s %(message)s",
        "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
    }
    text_format = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": json_format if as_json else text_format},
            "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level, "handlers": ["err"]},
            "loggers": {
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.access": {"handlers": [], "propagate": False},
                "httpx": {"level": "WARNING"},
                "alembic": {"level": "WARNING"},
            },
        }
    )
