"""What a task's writer makes of answers, as a terminal or a pipe gets it."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from spanbert.output_formats import open_writer
from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.task import Task


def written(
    task: Task[Any, Any],
    *answers: Answer[Any, Any] | ErrorRecord,
    format: str = "text",
    source: str = "a/story.txt",
    colour: bool = False,
) -> str:
    """The whole output; with `colour` as a terminal gets it."""
    writer = open_writer(task, format, source)
    file = io.StringIO()
    console = Console(
        file=file, force_terminal=colour, color_system="standard" if colour else None, soft_wrap=True, highlight=False
    )
    for part in (writer.start(), *map(writer.part, answers), writer.end()):
        if isinstance(part, str):
            file.write(part)
        else:
            console.print(part, end="")
    return file.getvalue()
