"""Small tables beside the day's files: tolerance of delay (survey) and GPU counts by model (openb nodes)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from backend.day.errors import DataFileError, RefusedRow, RowError
from backend.day.sources.jobs import OPENB_MODELS
from backend.day.sources.rows import integer, iter_rows, read_header, refusal

_QUESTION: Final = "q9_max_tolerable_delay"


def read_tolerance(path: Path) -> tuple[tuple[tuple[int, int], ...], tuple[RefusedRow, ...]]:
    """(minutes, answers) of question 9, by minutes. Raises `DataFileError` when it holds no answer."""
    refused: list[RefusedRow] = []
    answers: dict[int, int] = {}
    for line, row in iter_rows(path, refused):
        try:
            if not row["question"].startswith(_QUESTION):
                continue
            minutes = integer(row, "answer", 0, 100_000)
            answers[minutes] = answers.get(minutes, 0) + integer(row, "count", 0, 1_000_000)
        except RowError as error:
            refused.append(refusal(path, line, error))
    if not any(answers.values()):
        raise DataFileError(path.name, _QUESTION, "has no answer", "give the survey's counts")
    return tuple(sorted(answers.items())), tuple(refused)


def read_node_gpus(path: Path) -> tuple[Mapping[str, int], tuple[RefusedRow, ...]]:
    """GPUs by model over all nodes; CPU-only nodes are passed over."""
    names, _ = read_header(path)
    if not {"node_id", "gpu_count", "gpu_model"} <= set(names):
        raise DataFileError(
            path.name, "header", "is no node table", "openb_nodes.csv has node_id, gpu_count, gpu_model"
        )
    refused: list[RefusedRow] = []
    gpus = dict.fromkeys(OPENB_MODELS, 0)
    for line, row in iter_rows(path, refused):
        try:
            count = integer(row, "gpu_count", 0, 64)
            model = row["gpu_model"].strip()
            if count == 0:
                continue
            if model not in gpus:
                raise RowError("gpu_model", model, "is an unknown class", f"use {', '.join(OPENB_MODELS)}")
            gpus[model] += count
        except RowError as error:
            refused.append(refusal(path, line, error))
    return {model: count for model, count in gpus.items() if count}, tuple(refused)
