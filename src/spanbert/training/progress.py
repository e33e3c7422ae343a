"""What a person sees while a model trains: a live line on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self


def tell(message: str) -> None:
    """Print a line to stderr. Where nobody reads it any more (`2>&1 | head`), the work goes on in silence."""
    with suppress(BrokenPipeError):
        print(message, file=sys.stderr, flush=True)


def warn(message: str) -> None:
    """Print a warning to stderr, as `tell` does."""
    tell(f"warning: {message}")


_SHORT = {"learning_rate": "lr", "pieces_per_second": "pieces/s", "grad_norm": "norm"}


def short_figures(figures: Mapping[str, float]) -> str:
    """The figures of a training step in the width that is left beside a progress bar, the speed first."""
    order = sorted(figures, key=lambda name: name != "pieces_per_second")
    return " ".join(f"{_SHORT.get(name, name.removesuffix('_loss'))} {_short(name, figures[name])}" for name in order)


def format_figures(figures: Mapping[str, float], *, deciding: str | None = None) -> str:
    """`{"mlm_loss": 3.21}` as `mlm loss 3.210`; figures of single labels ("f1/PER") are left out: too many.

    The one that chooses the best weights, `deciding`, comes first, and a bar parts it from the others.
    """
    shown = {name: f"{name.replace('_', ' ')} {_short(name, value)}" for name, value in figures.items()}
    first = shown.pop(deciding, None) if deciding is not None else None
    others = "  ".join(text for name, text in shown.items() if "/" not in name)
    return " | ".join(filter(None, (first, others)))


def _short(name: str, value: float) -> str:
    if name == "learning_rate":
        return f"{value:.2e}"
    if name.endswith("per_second"):
        return f"{value:,.0f}"
    return f"{value:.3f}"


class Reporter:
    """Shows the run to a person. This one shows nothing, as `--quiet` asks; the others override it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, step: int) -> None:
        """Training begins after `step` steps, which an earlier process did."""

    def step(self, step: int, figures: dict[str, float] | None) -> None:
        """A step is done; `figures` come with every logged one."""

    def say(self, message: str) -> None:
        """One line about the run."""


class LiveReporter(Reporter):
    """A progress bar with the newest figures and the time left."""

    def __init__(self, total: int) -> None:
        # Here and not above: opening a model takes `warn` from this module, and importing rich as long as a prediction.
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=total, figures="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, step: int) -> None:
        """Start the clock with the bar where the run stands."""
        self._progress.reset(self._task, completed=step)

    def step(self, step: int, figures: dict[str, float] | None) -> None:
        """Move the bar."""
        if figures is None:
            self._progress.update(self._task, completed=step)
        else:
            self._progress.update(self._task, completed=step, figures=short_figures(figures))

    def say(self, message: str) -> None:
        """Print above the bar."""
        self._progress.console.print(message, markup=False, highlight=False)


class LineReporter(Reporter):
    """A line for every logged step that is at least `seconds` after the one before."""

    def __init__(self, total: int, seconds: float = 10.0) -> None:
        self._total = total
        self._seconds = seconds
        self._last = float("-inf")
        self.begin(0)

    def begin(self, step: int) -> None:
        """The steps up to `step` are done already."""
        self._first_step, self._started = step, time.monotonic()

    def step(self, step: int, figures: dict[str, float] | None) -> None:
        """Print the figures, seldom."""
        if figures is None or (time.monotonic() - self._last < self._seconds and step != self._total):
            return
        self._last = time.monotonic()
        self.say(f"step {step}/{self._total}  {format_figures(figures)}  {self._left(step)}")

    def _left(self, step: int) -> str:
        seconds = round((time.monotonic() - self._started) / (step - self._first_step) * (self._total - step))
        return f"{timedelta(seconds=seconds)} left"

    def say(self, message: str) -> None:
        """Print a line."""
        tell(message)


def make_reporter(total: int, *, quiet: bool) -> Reporter:
    """The reporter that fits stderr: live on a terminal, lines elsewhere, none when `quiet`."""
    if quiet:
        return Reporter()
    return LiveReporter(total) if sys.stderr.isatty() else LineReporter(total)
