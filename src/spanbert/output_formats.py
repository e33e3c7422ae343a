"""The forms in which `spanbert predict` writes answers: JSON lines for every task, and what a task has besides."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any, Protocol

from spanbert.errors import ConfigurationError
from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.task import Task

if TYPE_CHECKING:
    from rich.text import Text

JSON_LINES = "jsonl"


class AnswerWriter(Protocol):
    """Turns a stream of answers into text, part by part; it may count, and holds no answer.

    A task's class for it is called with the name of the input, a file or `<stdin>`. A part is text with its line ends.
    One for people to read may be rich's `Text`, whose styles are shown where the output is a terminal.
    """

    def start(self) -> str | Text:
        """What stands before all answers."""
        ...

    def part(self, answer: Answer[Any, Any] | ErrorRecord) -> str | Text:
        """An answer, or the error in its place."""
        ...

    def end(self) -> str | Text:
        """What stands behind all answers."""
        ...


class JsonLines:
    """One object a line. Texts that were asked for with --question are told apart by it."""

    def __init__(self, *, asked: bool) -> None:
        self._asked = asked

    def start(self) -> str:
        """Nothing."""
        return ""

    def part(self, answer: Answer[Any, Any] | ErrorRecord) -> str:
        """A line."""
        record = answer.to_json()
        if self._asked and isinstance(answer, Answer):
            record["question"] = answer.example.to_json()["question"]
        return json.dumps(record, ensure_ascii=False) + "\n"

    def end(self) -> str:
        """Nothing."""
        return ""


def open_writer(task: Task[Any, Any], format: str, source: str, *, asked: bool = False) -> AnswerWriter:
    """The writer of a format.

    Args:
        task: what the answers are to.
        format: "jsonl", or one of `Task.output_formats`.
        source: names the input.
        asked: whether JSON lines also hold the question.

    Raises:
        ConfigurationError: the task does not have the format.
    """
    if format == JSON_LINES:
        return JsonLines(asked=asked)
    if format not in task.output_formats:
        known = ", ".join((JSON_LINES, *task.output_formats))
        raise ConfigurationError(f"--format {format}: the answers of a {task.name} model can be written as {known}")
    module, _, name = task.output_formats[format].partition(":")
    writer: AnswerWriter = getattr(importlib.import_module(module), name)(source)
    return writer
