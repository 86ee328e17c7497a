"""The service's context, where routers have always found it."""

from backend.service.context import ChainLink, Context

__all__ = ["ChainLink", "Context"]
