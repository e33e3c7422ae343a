"""Averages and speed between two entries of the training curves."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Meter:
    """Averages between two log entries, and the speed, validation and saving not counted."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._steps = 0
        self._sums: dict[str, float] = defaultdict(float)
        self._seconds = 0.0
        self.start()

    def start(self) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def add(self, figures: Mapping[str, float]) -> None:
        """Count a step."""
        self._steps += 1
        for name, value in figures.items():
            self._sums[name] += value

    def read(self) -> dict[str, float]:
        """Averages over the steps since the last reading, with `pieces_per_second`; begins anew."""
        seconds = self._seconds + time.perf_counter() - self._started
        pieces = self._sums.pop("pieces")
        figures = {name: value / self._steps for name, value in self._sums.items()}
        figures["pieces_per_second"] = pieces / seconds
        self._reset()
        return figures

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock for a while."""
        self._seconds += time.perf_counter() - self._started
        yield
        self.start()

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as JSON values."""
        return {"steps": self._steps, "sums": dict(self._sums), "seconds": self._seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._steps, self._seconds = state["steps"], state["seconds"]
        self._sums = defaultdict(float, state["sums"])
