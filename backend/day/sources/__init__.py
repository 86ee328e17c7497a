"""Readers of the day's files. The header decides the format; a bad row is refused, the rest goes on."""

from backend.day.sources.carbon import CarbonFile, read_carbon
from backend.day.sources.generation import GenerationFile, read_generation
from backend.day.sources.jobs import JobRow, JobsFile, read_jobs
from backend.day.sources.prices import PriceFile, read_price

__all__ = [
    "CarbonFile",
    "GenerationFile",
    "JobRow",
    "JobsFile",
    "PriceFile",
    "read_carbon",
    "read_generation",
    "read_jobs",
    "read_price",
]
