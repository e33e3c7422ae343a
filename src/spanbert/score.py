"""`spanbert score TASK GOLD PREDICTIONS`: official figures from files, without a model and without torch."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from spanbert.errors import ConfigurationError, InputError
from spanbert.evaluation.bootstrap import Difference, Resampled, differences_of, resample
from spanbert.evaluation.tables import print_differences, print_figures
from spanbert.example_files import source_name
from spanbert.example_sets import unanswered
from spanbert.problem_lists import MOST_SHOWN, problem_lines, problems_json
from spanbert.read_summary import counted
from spanbert.task import Comparison, Problem, Task, examples_of

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """Compare predictions with the right answers: the official figures, each with its 95 % confidence interval.

    Two files of predictions are compared with each other, too. The exit status is 1 when predictions are missing, do
    not belong to an example, or cannot be read, and when a record of the examples is left out; all this is listed on
    stderr, and the figures are printed all the same: a missing prediction counts as wrong.
    """

    gold: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="GOLD")]
    """Examples with their right answers, in a format that `spanbert check` reads."""

    predictions: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="PREDICTIONS")]
    """One or two files of predictions: what `spanbert predict` writes, or the form that the official scorer reads."""

    samples: int = 1000
    """How many times the examples are drawn anew, with replacement, for the intervals; 0 turns them off."""

    seed: int = 0
    """Seed of these draws."""

    all: bool = False
    """List every problem; otherwise the first 20 of a kind."""

    json: bool = False
    """Print JSON."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if len(self.predictions) not in (1, 2):
            raise ConfigurationError(f"one or two files of predictions are needed, not {len(self.predictions)}")
        if self.samples < 0 or self.seed < 0:
            raise ConfigurationError(f"--samples and --seed are at least 0, not {min(self.samples, self.seed)}")


@dataclass(frozen=True)
class Scores:
    """What a file of predictions is worth.

    Attributes:
        source: its name.
        comparison: its predictions beside the gold answers.
        figures: over all examples, and over examples drawn anew; `figures.intervals()` has both.
        missing: ids of the examples without a prediction, which count as wrong.
        problems: what else is wrong with the file, such as surplus predictions.
    """

    source: str
    comparison: Comparison
    figures: Resampled
    missing: tuple[str, ...]
    problems: tuple[Problem, ...]


def run(config: ScoreConfig, task: type[Task[Any, Any]], options: Any) -> int:
    """The verb: 0, or 1 when something is wrong with a file."""
    gold, gold_problems = read_gold(task, config.gold, options)
    scores = [
        score_file(task, gold, file, options, samples=config.samples, seed=config.seed) for file in config.predictions
    ]
    differences: dict[str, Difference] = {}
    if len(scores) == 2:
        differences = differences_of(scores[0].figures, scores[1].figures)
    most = None if config.all else MOST_SHOWN
    if config.json:
        record = {
            "task": task.name,
            "gold": source_name(config.gold),
            "num_examples": scores[0].comparison.num_examples,
            "problems": problems_json(gold_problems, most=most),
            "predictions": [_json(one, most) for one in scores],
            **({"differences": {name: value.to_json() for name, value in differences.items()}} if differences else {}),
            "samples": config.samples,
            "seed": config.seed,
        }
        print(json.dumps(record, ensure_ascii=False))
    else:
        _print(config, scores, gold_problems, differences, most)
    return int(any(problem.skipped for problem in gold_problems) or any(one.problems or one.missing for one in scores))


def read_gold(task: type[Task[Any, Any]], path: str | Path, options: Any) -> tuple[list[Any], list[Problem]]:
    """The examples of a file, and the records that cannot be used as they stand.

    Examples whose right answer is not known are among both: files of predictions may go by their order.

    Raises:
        InputError: the file cannot be read, or holds no example with its right answer.
    """
    located, problems = examples_of(task.read(path, options))
    problems += unanswered(task, located)
    if not any(task.is_answered(item.example) for item in located):
        reasons = "; ".join(problem_lines(problems, most=1))
        raise InputError(
            f"holds no example that can be used{f' ({reasons})' if reasons else ''}", source=source_name(path)
        )
    return [item.example for item in located], problems


def score_file(
    task: type[Task[Any, Any]],
    gold: Sequence[Any],
    predictions: str | Path,
    options: Any,
    *,
    samples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Measure a file of predictions.

    Args:
        task: the task.
        gold: examples; those without a known right answer are not scored, as in training and `spanbert evaluate`.
        predictions: the file, in a form that the task reads.
        options: the task's data options.
        samples: of the bootstrap, 0 for figures without intervals.
        seed: of the bootstrap.

    Raises:
        InputError: the file cannot be read.
    """
    found_for_all, problems = task.read_predictions(predictions, gold, options)
    pairs = [pair for pair in zip(gold, found_for_all, strict=True) if task.is_answered(pair[0])]
    scored, predicted = [example for example, _ in pairs], [found for _, found in pairs]
    comparison = task.compare(scored, predicted, options)
    return Scores(
        source=source_name(predictions),
        comparison=comparison,
        figures=resample(comparison, samples=samples, seed=seed),
        missing=tuple(example.id for example, found in pairs if found is None),
        problems=tuple(problems),
    )


def _json(scores: Scores, most: int | None) -> dict[str, Any]:
    return {
        "file": scores.source,
        "figures": {name: value.to_json() for name, value in scores.figures.intervals().items()},
        "num_missing": len(scores.missing),
        "missing": list(scores.missing[:most]),
        "problems": problems_json(scores.problems, most=most),
    }


def _print(
    config: ScoreConfig,
    scores: Sequence[Scores],
    gold_problems: Sequence[Problem],
    differences: dict[str, Difference],
    most: int | None,
) -> None:
    from rich.console import Console

    out, errors = Console(file=sys.stdout), Console(file=sys.stderr)
    _print_problems(errors, source_name(config.gold), gold_problems, most)
    for one in scores:
        _print_problems(errors, one.source, one.problems, most)
        _print_missing(errors, one, most)
    for one in scores:
        print_figures(out, f"{one.source} ({counted(one.comparison.num_examples, 'example')})", one.figures.intervals())
    if differences:
        print_differences(out, f"{scores[1].source} minus {scores[0].source}", differences)
    if config.samples:
        out.print(
            f"Intervals: 95 % of {config.samples:,} bootstrap samples over examples, seed {config.seed}.", style="dim"
        )


def _print_problems(console: Console, source: str, problems: Sequence[Problem], most: int | None) -> None:
    for line in problem_lines(problems, most=most):
        text = line if line.startswith(" ") else f"{source}: {line}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _print_missing(console: Console, scores: Scores, most: int | None) -> None:
    if missing := scores.missing:
        examples = counted(scores.comparison.num_examples, "example")
        more = f", ... and {len(missing) - most:,} more" if most is not None and len(missing) > most else ""
        names = ", ".join(missing[:most]) + more
        text = f"{scores.source}: no prediction: {len(missing):,} of {examples}, which count as wrong: {names}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
