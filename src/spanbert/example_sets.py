"""The examples of a whole file in memory, with an account of what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spanbert.errors import InputError
from spanbert.example_files import source_name
from spanbert.read_summary import counted
from spanbert.task import ExampleT, PredictionT, Problem, Task, examples_of

_SHOWN = 3


def load_examples(
    task: type[Task[ExampleT, PredictionT]],
    path: str | Path,
    options: Any,
    *,
    strict: bool,
    say: Callable[[str], None],
) -> list[ExampleT]:
    """Read a file of examples.

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
    for line in describe_problems(problems, source, hint=f"`spanbert check {task.name} {source}` lists all"):
        say(line)
    if not located:
        raise InputError(f"holds no example for {task.name} ({counted(len(skipped), 'bad record')})", source=source)
    return [one.example for one in located]


def describe_problems(problems: list[Problem], source: str, *, hint: str) -> list[str]:
    """Lines for people: of every kind how many, and the first few."""
    lines = []
    for kind, number in Counter(problem.kind for problem in problems).most_common():
        cases = [problem for problem in problems if problem.kind == kind]
        what = "left out" if cases[0].skipped else "used all the same"
        lines.append(f"{source}: {kind}: {counted(number, 'record')} {what}")
        lines += [f"  line {case.line}: {case.detail}" for case in cases[:_SHOWN]]
        if number > _SHOWN:
            lines.append(f"  ... {hint}")
    return lines
