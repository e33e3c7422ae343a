"""`spanbert check TASK FILE`: reads a data file as training would and says what is in it and what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spanbert.check_lengths import Lengths, Measure, choose_measure, measure_lengths
from spanbert.errors import ConfigurationError, InputError
from spanbert.example_files import source_name
from spanbert.example_sets import unanswered
from spanbert.problem_lists import MOST_SHOWN, problem_lines, problems_json
from spanbert.read_summary import counted
from spanbert.task import Located, Problem, Task, examples_of

if TYPE_CHECKING:
    from rich.console import Console

AnyTask = type[Task[Any, Any]]

_MOST_LABELS = 30


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Read a data file as training would, and say what is in it and what is wrong.

    Problems come with their line numbers, then the counts of labels, how long the texts are, and which share of them
    needs several windows. The exit status is 1 when anything is wrong, also between --dev and the file.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The data file, or - for standard input."""

    dev: Path | None = None
    """A second file, which the first is not to know: labels that only it has, and texts or ids that are in both, are
    problems too."""

    model: str | None = None
    """Count lengths in the pieces of this model (a folder, a name on the hub, or a vocab.txt); otherwise they are
    words, or characters where a script has no spaces."""

    max_length: int | None = None
    """Most pieces of a window, as for `spanbert finetune`: longer texts are read in several. The task's own default
    when not given."""

    all: bool = False
    """List every problem and every label; otherwise the first 20 problems of a kind, and the 30 commonest labels."""

    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.max_length is not None and self.max_length < 3:
            raise ConfigurationError(f"--max-length is at least 3, not {self.max_length}")


@dataclass(frozen=True)
class CheckedFile:
    """What is in a data file.

    Attributes:
        source: its name.
        examples: those that training would use.
        problems: what is wrong with it.
        counts: by title, numbers of what occurs: `{"labels": {"PER": 12}}`.
        lengths: how long its texts are; None without an example.
        labels: what a model that learns from it could predict; None where the task has no labels (or nothing is to be
            learned from the file).
        entity_types: the types of entities that it would know; None where the task has none.
    """

    source: str
    examples: Sequence[Located[Any]]
    problems: Sequence[Problem]
    counts: Mapping[str, Mapping[str, int]]
    lengths: Lengths | None
    labels: tuple[str, ...] | None = None
    entity_types: tuple[str, ...] | None = None


def run(config: CheckConfig, task: AnyTask, options: Any) -> int:
    """The verb: 0, or 1 when anything is wrong."""
    tokenizer = None
    if config.model is not None:
        from spanbert.checkpoint_sources import load_tokenizer

        tokenizer = load_tokenizer(config.model)
    measure = choose_measure(tokenizer)
    files = [check_file(task, config.file, options, measure)]
    between: list[Problem] = []
    if config.dev is not None:
        # Both files are measured alike: by words or characters as the first one's script has it.
        measure = files[0].lengths.measure if files[0].lengths else measure
        files.append(check_file(task, config.dev, options, measure, training=False))
        between += compare_files(task, *files)
    most = None if config.all else MOST_SHOWN
    if config.json:
        print(json.dumps(_json(config, task, files, between, most), ensure_ascii=False))
    else:
        _print(config, task, files, between, most)
    return int(bool(between) or any(one.problems for one in files))


def check_file(
    task: AnyTask, path: str | Path, options: Any, measure: Measure | None = None, *, training: bool = True
) -> CheckedFile:
    """Read a file and look for everything that is wrong with it.

    Args:
        task: the task.
        path: the file, or "-".
        options: the task's data options.
        measure: how long a text is; None chooses words or characters, as fits the file.
        training: whether it is to be learned from.

    Raises:
        InputError: the file as a whole cannot be read.
    """
    located, problems = examples_of(task.read(path, options))
    problems += task.check(located, options)
    told = {problem.line for problem in problems if problem.skipped}
    problems += [problem for problem in unanswered(task, located) if problem.line not in told]
    located = [item for item in located if task.is_answered(item.example)]
    examples = [item.example for item in located]
    labels: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    if not examples:
        problems.append(Problem(0, "no example", "nothing in the file can be used"))
    elif training:
        try:
            learned = task(task.settings_class(**asdict(options))).learn(examples)
        except InputError as error:
            problems.append(Problem(0, "nothing to learn", str(error), skipped=False))
        else:
            labels = getattr(learned.settings, "labels", None)
            types = getattr(learned.settings, "entity_types", None)
    return CheckedFile(
        source=source_name(path),
        examples=located,
        problems=problems,
        counts=task.describe(examples),
        lengths=measure_lengths([task.text_of(example) for example in examples], measure) if examples else None,
        labels=labels,
        entity_types=types,
    )


def compare_files(task: AnyTask, train: CheckedFile, dev: CheckedFile) -> Iterator[Problem]:
    """What is wrong between a file to learn from and one to measure on; lines are those of the second.

    Labels are what the first title of `Task.describe` counts. The same ids in both files are only a problem where they
    are names: ids that just count the records are passed over.
    """
    if train.labels and dev.counts:
        title, numbers = next(iter(dev.counts.items()))
        for name in sorted(numbers.keys() - set(train.labels)):
            detail = f"{name!r} ({title}): {counted(numbers[name], 'case')}, none in {train.source}"
            yield Problem(0, "only in the dev file", detail, skipped=False)
    if train.entity_types:
        yield from _compare_types(train, dev)
    texts = {task.text_of(item.example): item.line for item in reversed(train.examples)}
    for item in dev.examples:
        if (line := texts.get(task.text_of(item.example))) is not None:
            detail = f"example {item.example.id!r} has the text of line {line:,} of {train.source}"
            yield Problem(item.line, "text in both files", detail, skipped=False)
    places = {item.example.id: number for number, item in enumerate(train.examples)}
    shared = [(number, item) for number, item in enumerate(dev.examples) if item.example.id in places]
    if any(item.example.id != str(item.line) and places[item.example.id] != number for number, item in shared):
        for _, item in shared:
            first = train.examples[places[item.example.id]]
            detail = f"the id {item.example.id!r} is also that of line {first.line:,} of {train.source}"
            yield Problem(item.line, "id in both files", detail, skipped=False)


def _compare_types(train: CheckedFile, dev: CheckedFile) -> Iterator[Problem]:
    """Types of entities that only the second file has, or that it should have and has not."""
    types = {entity.type for item in dev.examples for entity in item.example.entities}
    if types == {None}:
        detail = f"no entity has a type, and those of {train.source} have: a model that learned types judges worse"
        yield Problem(0, "no types in the dev file", detail, skipped=False)
    for name in sorted(types - {None, *(train.entity_types or ())}):
        detail = f"{name!r} (entity types): none in {train.source}; such entities are taken as without a type"
        yield Problem(0, "only in the dev file", detail, skipped=False)


# Showing


def _json(
    config: CheckConfig, task: AnyTask, files: Sequence[CheckedFile], between: Sequence[Problem], most: int | None
) -> dict[str, Any]:
    def of_file(file: CheckedFile) -> dict[str, Any]:
        return {
            "file": file.source,
            "num_examples": len(file.examples),
            "problems": problems_json(file.problems, most=most),
            "counts": {title: dict(numbers) for title, numbers in file.counts.items()},
            "lengths": file.lengths.to_json(_window_of(config, task)) if file.lengths else None,
        }

    shown: dict[str, Any] = {"task": task.name, **of_file(files[0])}
    if len(files) == 2:
        shown |= {"dev": of_file(files[1]), "between": problems_json(between, most=most)}
    return shown


def _print(
    config: CheckConfig, task: AnyTask, files: Sequence[CheckedFile], between: Sequence[Problem], most: int | None
) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout)
    for file in files:
        title = f"{file.source}: {counted(len(file.examples), 'example')} for {task.name}"
        console.print(Text(title, style="bold"), soft_wrap=True)
        _print_problems(console, file.problems, most)
        if file.lengths is not None:
            for line in file.lengths.describe(_window_of(config, task), plain=not _has_blocks()):
                console.print(line, markup=False, highlight=False, soft_wrap=True)
        console.print()
    if len(files) == 2:
        console.print(Text("between the files", style="bold"))
        _print_problems(console, between, most)
        console.print()
    for title in dict.fromkeys(title for file in files for title in file.counts):
        _print_counts(console, title, files, None if config.all else _MOST_LABELS)


def _print_problems(console: Console, problems: Sequence[Problem], most: int | None) -> None:
    if not problems:
        console.print("nothing is wrong", style="green")
    for line in problem_lines(problems, most=most):
        console.print(line, style="" if line.startswith(" ") else "red", markup=False, highlight=False, soft_wrap=True)


def _print_counts(console: Console, title: str, files: Sequence[CheckedFile], most: int | None) -> None:
    """A table of what occurs how often in the files, in the task's own order: labels by number, ranges by value."""
    from rich.table import Table
    from rich.text import Text

    counts = [file.counts.get(title, {}) for file in files]
    names = list(dict.fromkeys(name for numbers in counts for name in numbers))
    if not names:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(Text(title))
    for file in files:
        table.add_column(Text(Path(file.source).name), justify="right")
        table.add_column("")
    for name in names[:most]:
        cells = []
        for numbers in counts:
            number = numbers.get(name, 0)
            cells += [f"{number:,}", f"{number / max(1, sum(numbers.values())):.1%}"]
        table.add_row(Text(name), *cells)
    console.print(table)
    if most is not None and len(names) > most:
        console.print(f"... and {len(names) - most:,} more (--all)")
    console.print()


def _window_of(config: CheckConfig, task: AnyTask) -> int:
    """Most pieces of a window."""
    return task.settings_class.max_length if config.max_length is None else config.max_length


def _has_blocks() -> bool:
    """Whether standard output can show block characters."""
    try:
        "█▏".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
