"""The rows of the benchmarks, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable

from side_by_side.comparison import Comparison, Options
from side_by_side.rows import coreference, finetuning, growth, prediction, preparing, pretraining, processes, start

ROWS: tuple[Callable[[Options], list[Comparison]], ...] = (
    pretraining.comparisons,
    preparing.comparisons,
    finetuning.comparisons,
    prediction.comparisons,
    coreference.comparisons,
    processes.comparisons,
    growth.comparisons,
    start.comparisons,
)
