"""The examples of a whole file in memory, with an account of what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spanbert.errors import InputError
from spanbert.example_files import source_name
from spanbert.problem_lists import problem_lines
from spanbert.read_summary import counted
from spanbert.task import ExampleT, Located, PredictionT, Problem, Task, examples_of

_SHOWN = 3


def load_examples(
    task: type[Task[ExampleT, PredictionT]],
    path: str | Path,
    options: Any,
    *,
    strict: bool,
    say: Callable[[str], None],
) -> list[Located[ExampleT]]:
    """Read a file of examples with known answers; those without are left out like bad records.

    Args:
        task: whose examples they are.
        path: the file, or "-".
        options: the task's data options.
        strict: a record that would be left out is an error.
        say: gets a line for each kind of problem, with its number and the first cases.

    Raises:
        InputError: the file cannot be read, has no usable example, or a bad record and `strict`.
    """
    located, problems = examples_of(task.read(path, options))
    problems += unanswered(task, located)
    located = [one for one in located if task.is_answered(one.example)]
    skipped = [problem for problem in problems if problem.skipped]
    source = source_name(path)
    if strict and skipped:
        first = skipped[0]
        raise InputError(
            f"{first.kind}: {first.detail} ({counted(len(skipped), 'record')} would be left out; "
            f"`spanbert check {task.name} {source}` lists all)",
            source=source,
            line=first.line,
        )
    if problems:
        say(f"{source}:")
        for line in problem_lines(problems, most=_SHOWN):
            say(f"  {line}")
        say(f"  (`spanbert check {task.name} {source}` lists all)")
    if not located:
        raise InputError(
            f"holds no example for {task.name} with its right answer ({counted(len(skipped), 'record')} left out)",
            source=source,
        )
    return located


def unanswered(task: type[Task[ExampleT, PredictionT]], located: Sequence[Located[ExampleT]]) -> list[Problem]:
    """A problem for each example whose right answer is not known."""
    return [
        Problem(one.line, "no right answer", f"that of {one.example.id!r} is not given: nothing to learn or to compare")
        for one in located
        if not task.is_answered(one.example)
    ]
