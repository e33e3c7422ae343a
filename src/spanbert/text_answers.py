"""What the tasks share of `spanbert predict --format text`, lines for people: blocks, errors, quotations, numbers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import ClassVar, Generic

from rich.text import Text

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.task import ExampleT, PredictionT
from spanbert.visible_text import for_terminal

STYLES = ("blue", "red", "green", "magenta", "yellow", "cyan")
"""The colours that tell chains or labels apart. Terminals know them by these names, on any background."""

_WHITE_SPACE = re.compile(r"\s+")
_MOST_CHARACTERS = 60


class TextWriter(ABC, Generic[ExampleT, PredictionT]):
    """A block of lines for each answer, a line for each error. What a block holds, a task's own class says.

    Whatever comes from the input goes through `for_terminal`. Styles only help: nothing is said by them alone.
    """

    between: ClassVar[str] = "\n"
    """What stands between two blocks."""

    def __init__(self, source: str) -> None:
        self._num_parts = 0
        self._styles: dict[str, str] = {}

    @abstractmethod
    def block(self, answer: Answer[ExampleT, PredictionT]) -> Text:
        """The lines of an answer, with their line ends."""

    def start(self) -> Text:
        """Nothing."""
        return Text()

    def part(self, answer: Answer[ExampleT, PredictionT] | ErrorRecord) -> Text:
        """The block of an answer, or the line of an error."""
        lines = Text(self.between if self._num_parts else "")
        self._num_parts += 1
        return lines.append_text(_error_line(answer) if isinstance(answer, ErrorRecord) else self.block(answer))

    def end(self) -> Text:
        """Nothing."""
        return Text()

    def style_of(self, label: str) -> str:
        """The colour of a label, the same in all blocks."""
        return self._styles.setdefault(label, STYLES[len(self._styles) % len(STYLES)])


def _error_line(error: ErrorRecord) -> Text:
    id = "" if error.id in (None, str(error.line)) else f" ({error.id})"
    line = Text().append(for_terminal(shortened(f"line {error.line:,}{id}")), "bold")
    return line.append(for_terminal(f": error: {one_line(error.error)}\n"), "red")


def heading(id: str) -> Text:
    """The beginning of a block's first line: which record it is about."""
    return Text().append(for_terminal(shortened(id)), "bold").append(": ")


def stretch(text: str, start: int, end: int, style: str = "") -> Text:
    """A stretch of a text on one line, and its offsets (code points, end exclusive)."""
    return Text().append(for_terminal(shortened(text[start:end])), style).append(f" [{start}:{end}]", "dim")


def one_line(text: str) -> str:
    """The text on one line."""
    return _WHITE_SPACE.sub(" ", text).strip()


def shortened(text: str) -> str:
    """The text on one line; of a long one the beginning."""
    line = one_line(text)
    return line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 1].rstrip() + "…"


def percent(probability: float) -> str:
    """A probability for people. Only certainty is 100 %."""
    return f"{min(int(100 * probability + 0.5), 99 if probability < 1 else 100)} %"


def around(text: str, start: int, end: int, *, num_words: int, most: int) -> tuple[str, str]:
    """What stands before and behind a stretch of a text, to quote it on one line; "…" where words were left out.

    Args:
        text: the text.
        start: where the stretch begins.
        end: where it ends.
        num_words: most words on either side, beside what touches the stretch.
        most: most characters on either side. A word that they would cut is left out, unless nothing else is there.
    """
    first, last = max(0, start - most), min(len(text), end + most)
    before, after = text[first:start], text[end:last]
    if first and not text[first - 1].isspace():
        before = re.sub(r"\A\S+\s+(?=\S)", "", before)
    if last < len(text) and not text[last].isspace():
        after = re.sub(r"(?<=\S)\s+\S+\Z", "", after)
    before = re.findall(rf"(?:\S+\s+){{0,{num_words}}}\S*\Z", before)[0]
    after = re.findall(rf"\A\S*(?:\s+\S+){{0,{num_words}}}", after)[0]
    # White space at the ends of a text is nothing that was left out.
    more_before = "…" if text[: start - len(before)].strip() else ""
    more_after = "…" if text[end + len(after) :].strip() else ""
    return more_before + _WHITE_SPACE.sub(" ", before), _WHITE_SPACE.sub(" ", after) + more_after
