"""All that was read for one day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.day.errors import RefusedRow
from backend.day.sources.carbon import CarbonFile
from backend.day.sources.generation import GenerationFile
from backend.day.sources.jobs import JobsFile
from backend.day.sources.prices import PriceFile


@dataclass(frozen=True)
class DaySources:
    """What was read. `day_ahead` is the forecast file of the same plants, where there is one."""

    name: str
    jobs: JobsFile
    generation: GenerationFile
    price: PriceFile
    carbon: CarbonFile
    day_ahead: GenerationFile | None = None
    nodes: Mapping[str, int] | None = None
    refused: tuple[RefusedRow, ...] = ()
    """Rows refused in small tables beside the four files."""

    def all_refused(self) -> tuple[RefusedRow, ...]:
        """Every refused row, by file and line."""
        ahead = self.day_ahead.refused if self.day_ahead else ()
        rows = (
            *self.jobs.refused,
            *self.generation.refused,
            *ahead,
            *self.price.refused,
            *self.carbon.refused,
            *self.refused,
        )
        return tuple(sorted(rows, key=lambda row: (row.file, row.line, row.field)))
