"""How far reading files is, for people: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from spanbert.input_files import InputFile
from spanbert.read_summary import ReadSummary

if TYPE_CHECKING:
    from rich.progress import Progress

ItemT = TypeVar("ItemT")

_SECONDS_BETWEEN_UPDATES = 0.1
_SECONDS_BETWEEN_LINES = 30.0


class ReadingProgress:
    """How far reading is, by bytes of the files: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, title: str, files: Sequence[InputFile], reading: ReadSummary, *, quiet: bool) -> None:
        self._title = title
        self._reading = reading
        self._quiet = quiet
        sizes = [file.num_bytes for file in files if file.skip_reason is None]
        # The size of standard input is not known: the bar then only shows that something happens.
        self._total = None if None in sizes else sum(size for size in sizes if size is not None)
        self._figures = ""
        self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
        self._bar: Progress | None = None
        if not quiet and sys.stderr.isatty():
            # Takes longer to import than a short file to answer, and off a terminal nothing is drawn.
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(bar_width=24),
                TaskProgressColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(compact=True),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(title, total=self._total, figures="")
            self._next = 0.0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            if error is None:
                self._update()
            self._bar.stop()

    def follow(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        """Pass on what was read, or came of it, and show how far reading is."""
        for item in items:
            if time.monotonic() >= self._next:
                self._update()
            yield item

    def show(self, figures: str) -> None:
        """Set what stands beside the bar."""
        self._figures = figures

    def say(self, message: str) -> None:
        """Print one line."""
        if self._bar is not None:
            self._bar.console.print(message, markup=False, highlight=False)
        elif not self._quiet:
            print(message, file=sys.stderr, flush=True)

    def _update(self) -> None:
        num_bytes = self._reading.total("num_bytes")
        if self._bar is not None:
            self._bar.update(self._task, completed=num_bytes, figures=self._figures)
            self._next = time.monotonic() + _SECONDS_BETWEEN_UPDATES
        else:
            done = f"{num_bytes:,} bytes" if not self._total else f"{num_bytes / self._total:.0%}"
            self.say(f"{self._title}: {done}  {self._figures}".rstrip())
            self._next = time.monotonic() + _SECONDS_BETWEEN_LINES
