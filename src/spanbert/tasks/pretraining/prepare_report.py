"""What a person sees of `spanbert prepare`: progress while it runs, and a summary of what it read and made."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from spanbert.documents import Document, InputFile, ReadSummary
from spanbert.read_summary import counted
from spanbert.tasks.pretraining.corpus import Corpus

_SECONDS_BETWEEN_UPDATES = 0.1
_SECONDS_BETWEEN_LINES = 30.0


class PrepareProgress:
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

    def follow(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Pass documents on, and show how far reading them is."""
        for document in documents:
            if time.monotonic() >= self._next:
                self._update()
            yield document

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


def summary_figures(corpus: Corpus) -> dict[str, Any]:
    """Return the summary as JSON-like values: what the corpus's manifest says, and figures derived from it."""
    counts = corpus.manifest["counts"]
    return corpus.describe() | {
        "pieces_per_word": counts["num_pieces"] / counts["num_words"],
        "bytes_per_piece": counts["num_text_bytes"] / counts["num_pieces"],
        "unknown_share": counts["num_unknown_pieces"] / counts["num_pieces"],
    }


def summary_table(corpus: Corpus, reading: ReadSummary) -> str:
    """Return the summary for a person, some lines of text."""
    figures = summary_figures(corpus)
    counts: dict[str, int] = figures["counts"]
    rows = [
        ("vocabulary", _vocabulary(figures["tokenizer"])),
        (
            "corpus",
            f"{counted(corpus.num_documents, 'document')}, {counted(corpus.num_lines, 'line')}, "
            f"{counted(corpus.num_words, 'word')}, {counted(corpus.num_pieces, 'piece')}",
        ),
        ("pieces per word", f"{figures['pieces_per_word']:.3f}"),
        ("bytes per piece", f"{figures['bytes_per_piece']:.2f}"),
        ("[UNK]", f"{figures['unknown_share']:.4%} of the pieces"),
        ("longest line", f"{counts['longest_line']:,} pieces"),
    ]
    if lines := counts["num_lines_without_pieces"]:
        documents = counts["num_documents_without_pieces"]
        rows.append(("left out", f"{lines:,} lines and {documents:,} documents without a piece"))
    if documents := counts["num_documents_of_unknown_pieces"]:
        rows.append(("only [UNK]", f"{documents:,} documents (kept)"))
    if corpus.annotation_kinds:
        rows.append(("annotations", f"{counts['num_annotations']:,}: {', '.join(corpus.annotation_kinds)}"))
    if lost := counts["num_annotations_without_pieces"]:
        rows.append(("left out", f"{lost:,} annotations without a piece"))
    rows.append(("written", f"{figures['num_bytes'] / 1e6:,.1f} MB to {corpus.path}"))
    return "\n".join([str(reading), *(f"{label:<16}{value}" for label, value in rows)])


def _vocabulary(tokenizer: dict[str, Any]) -> str:
    size = f"{tokenizer['vocab_size']:,} pieces"
    if "words_added" in tokenizer:
        size += f" ({tokenizer['words_added']:,} of them added words)"
    if tokenizer["source"] is not None:
        return f"{size}, reused from {tokenizer['source']}"
    learned = tokenizer["learned_from"]
    if learned["num_documents"] == learned["of_num_documents"]:
        return f"{size}, learned from all of the text"
    return (
        f"{size}, learned from a random sample: {learned['num_documents']:,} of {learned['of_num_documents']:,} "
        f"documents, {learned['num_characters']:,} of {learned['of_num_characters']:,} characters"
    )
