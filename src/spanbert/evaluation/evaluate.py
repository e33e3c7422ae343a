"""`spanbert evaluate MODEL FILE`: a fine-tuned model's official figures on a file, and a report of its errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import track

from spanbert.errors import ConfigurationError
from spanbert.evaluation.bootstrap import Interval, intervals_of
from spanbert.evaluation.report import write_report
from spanbert.evaluation.tables import print_figures
from spanbert.example_sets import load_examples
from spanbert.golden import Golden
from spanbert.loading import load
from spanbert.output_files import refuse_overwriting
from spanbert.prediction_stream import rounded
from spanbert.read_summary import counted
from spanbert.task import UNKNOWN_LABEL, Comparison, Located, Task
from spanbert.training.config import Device, Precision
from spanbert.training.progress import tell, warn
from spanbert.training.record import read_history

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Measure a fine-tuned model on examples with known answers.

    Prints the task's official figures with 95 % confidence intervals and writes a report with curves, confusion matrix,
    calibration and the worst errors with their text. For a model that is only pre-trained, name a corpus instead of a
    file: `spanbert evaluate MODEL --help` then shows those options.
    """

    model: Annotated[str, tyro.conf.Positional]
    """A folder that `spanbert finetune` wrote, or its hub name."""

    file: Annotated[Path, tyro.conf.Positional]
    """Examples with known answers, in a format that `spanbert check TASK` reads."""

    output: Path = Path("report.html")
    """The report, one HTML file; replaced when it is there."""

    predictions: Path | None = None
    """Also write the predictions here, as JSON lines that `spanbert score` reads."""

    samples: int = 1000
    """How many times the examples are drawn anew for the confidence intervals; 0 leaves these out."""

    worst: int = 30
    """Errors that the report shows, the worst first."""

    seed: int = 0
    """Of the draws."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    precision: Precision = "auto"
    """bf16 or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    golden: Golden = "check"
    """check compares the answers that are stored with the model with those of today, once for each combination of
    versions, processor and precision; accept stores those of today instead; skip does nothing."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    batch_pieces: int | None = None
    """Most pieces, padding counted, that go through the model at once; the default is 8,192 on a GPU and 2,048 on a
    CPU. In fp32 the answers do not depend on it; in bf16 probabilities, and close decisions, move a little."""

    strict: bool = False
    """Stop at a bad record; otherwise it is left out, counted and shown."""

    json: bool = False
    """Print the figures as JSON."""

    quiet: bool = False
    """No progress, only figures and errors."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        for name, least in (("samples", 0), ("worst", 0), ("seed", 0), ("batch_pieces", 1), ("threads", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise ConfigurationError(f"--{name.replace('_', '-')} is at least {least}, not {value}")


def run(config: EvaluateConfig, task: type[Task[Any, Any]], options: Any) -> int:
    """The verb: always 0, however good the figures."""
    _make_room(config)
    located = load_examples(task, config.file, options, strict=config.strict, say=tell)
    model = load(
        config.model,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        batch_pieces=config.batch_pieces,
        golden=config.golden,
    )
    _warn_of_unknown_labels(model.task, located, config.file)
    examples = [one.example for one in located]
    predictions = list(_tracked(model.predictor.predict(examples), len(examples), config))
    comparison = model.task.compare(examples, predictions, options)
    intervals = intervals_of(comparison, samples=config.samples, seed=config.seed)
    try:  # before the table is printed, perhaps into a pipe whose reader has gone
        report = _write(config, model.task, examples, predictions, comparison, intervals)
    except OSError as error:
        raise ConfigurationError(f"{error.filename or config.output} cannot be written: {error.strerror}") from error
    _print(config, intervals, len(examples))
    if not config.quiet:
        tell(f"report: {report}")
    return 0


def _make_room(config: EvaluateConfig) -> None:
    """Make the folders of what is written, and refuse what cannot be written, before hours of computing."""
    if config.predictions is not None:
        if config.predictions.is_dir():
            raise ConfigurationError(f"--predictions {config.predictions} is a folder: name a file in it")
        if config.predictions.resolve() == config.output.resolve():
            raise ConfigurationError(f"--predictions {config.predictions} is also the report: choose another name")
    for name, path in (("output", config.output), ("predictions", config.predictions)):
        if path is None:
            continue
        file = path / "report.html" if path.is_dir() else path
        refuse_overwriting(f"--{name}", file, model=config.model, source=config.file, what="the file of examples")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"--{name} {path} cannot be written: {error.strerror}") from error


def _write(
    config: EvaluateConfig,
    task: Task[Any, Any],
    examples: Sequence[Any],
    predictions: Sequence[Any],
    comparison: Comparison,
    intervals: Mapping[str, Interval],
) -> Path:
    """Write the report, and the predictions where they were asked for; the report's path."""
    if config.predictions is not None:
        lines = (json.dumps(rounded(prediction.to_json()), ensure_ascii=False) + "\n" for prediction in predictions)
        config.predictions.write_text("".join(lines), encoding="utf-8", newline="\n")
    history = Path(config.model) / "history.jsonl"
    return write_report(
        config.output,
        title=f"{Path(config.model).resolve().name} on {config.file.name}",
        task=task,
        examples=examples,
        predictions=predictions,
        comparison=comparison,
        intervals=intervals,
        history=read_history(history) if history.exists() else None,
        worst=config.worst,
    )


def _warn_of_unknown_labels(task: Task[Any, Any], located: list[Located[Any]], path: Path) -> None:
    """Say that labels which the model does not know are counted as wrong."""
    unknown = [problem for problem in task.check(located, task.settings) if problem.kind == UNKNOWN_LABEL]
    if unknown:
        num_examples = len({problem.line for problem in unknown})
        warn(
            f"{path}: labels that the model does not know, in {num_examples:,} of {counted(len(located), 'example')}: "
            f"they count as wrong. The first, in line {unknown[0].line}: {unknown[0].detail}"
        )


def _tracked(items: Iterable[T], total: int, config: EvaluateConfig) -> Iterator[T]:
    """The items, with a bar on stderr where that is a terminal."""
    silent = config.quiet or not sys.stderr.isatty()
    yield from track(items, "predicting", total=total, console=Console(stderr=True), disable=silent)


def _print(config: EvaluateConfig, intervals: dict[str, Interval], num_examples: int) -> None:
    if config.json:
        figures = {name: interval.to_json() for name, interval in intervals.items()}
        print(json.dumps({"examples": num_examples, "figures": figures}, ensure_ascii=False))
    else:
        print_figures(Console(), f"{config.file}: {counted(num_examples, 'example')}", intervals)
