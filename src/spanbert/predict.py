"""`spanbert predict`: a fine-tuned model's answers for a stream of records. Free of torch until it runs."""

from __future__ import annotations

import io
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import tyro

from spanbert.errors import ConfigurationError, InputError
from spanbert.example_files import input_file
from spanbert.golden import Golden
from spanbert.output_files import refuse_overwriting
from spanbert.output_formats import JSON_LINES, open_writer
from spanbert.prediction_input import Document, ErrorRecord, InputForm, InputFormat, Pause, read_records
from spanbert.prediction_stream import Answer, answer_records
from spanbert.read_summary import FileSummary, ReadSummary, counted
from spanbert.reading_progress import ReadingProgress
from spanbert.training.config import Device, Precision

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """Let a fine-tuned model answer for every record of a file or pipe, in order, in memory that does not grow.

    Input is JSON lines or plain text, in UTF-8; output is one JSON object a line (or what --format says) with the
    record's id, its line in the input (from 1), and the prediction. Offsets are code points of the text as it stands in
    the input, end exclusive. Blank lines are passed over. A record that cannot be answered becomes {"line": ...,
    "error": ...} in its place; the others are answered all the same, and the exit status is 1. Where a pipe pauses, all
    that came is answered.
    """

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Folder of a fine-tuned model, or the name of a shipped model (spanbert-mini-en-ner) or one on the hub."""

    file: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[FILE|-]")] = "-"
    """Records to answer, also .gz or .zst; `-` is standard input."""

    format: str = JSON_LINES
    """How answers are written: jsonl (for programs), text (lines for people, coloured on a terminal), or what the
    model's task offers besides. For coreference: html (a page with coloured chains), conll (columns)."""

    input_format: InputFormat = "auto"
    """What the input is: JSON lines or plain text; auto goes by the file's name (.jsonl, .json, .txt), or else takes
    input that begins with { for JSON lines."""

    question: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Ask this of plain text; may be given several times. For question answering only, whose JSON lines carry their own
    questions. The text's answers then also hold the question."""

    document: Document = "auto"
    """What one text of plain text is: a line, or the whole file; auto is what suits the task."""

    output: Path | None = None
    """File for the answers instead of standard output. It grows as FILE.partial and is renamed when it is complete."""

    strict: bool = False
    """Stop at the first record that cannot be answered."""

    golden: Golden = "check"
    """The answers stored with the model: check compares them with those of today, once for each combination of library
    versions, processor and precision, and refuses to go on if they changed; accept stores those of today in their
    place; skip does nothing."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    precision: Precision = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    batch_pieces: int | None = None
    """Most word pieces, padding counted, that go through the encoder at once; the default is 8,192 on a GPU and 2,048
    on a CPU. In fp32 the answers do not depend on it; in bf16 probabilities, and close decisions, move a little."""

    quiet: bool = False
    """No progress and no summary on standard error."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        if self.batch_pieces is not None and self.batch_pieces < 1:
            raise ConfigurationError(f"--batch-pieces must be at least 1, not {self.batch_pieces}")
        if self.threads is not None and self.threads < 1:
            raise ConfigurationError(f"--threads must be at least 1, not {self.threads}")
        if not all(question.strip() for question in self.question):
            raise ConfigurationError("--question is empty")


def run(config: PredictConfig) -> int:
    """Answer the records and return the exit status: 1 if there was one without an answer.

    Raises:
        CheckpointError: there is no such model, or its answers are no longer those that were stored with it.
        ConfigurationError: the input's form does not fit the model's task, or the task has no such output.
        InputError: the input cannot be read, or with `strict` a record cannot be answered.
    """
    file = input_file(config.file)
    if file.path is not None and not file.path.exists():
        raise InputError("there is no such file", source=file.name)
    if config.output is not None:
        if config.output.is_dir():
            raise ConfigurationError(f"--output {config.output} is a folder: name a file in it")
        refuse_overwriting("--output", config.output, model=config.model, source=file.path, what="the input")
    from spanbert.loading import load

    if file.path is None and sys.stdin.isatty() and not config.quiet:
        print("reading records from standard input, one a line", file=sys.stderr)
    predictor = load(
        config.model,
        device=config.device,
        precision=config.precision,
        threads=config.threads,
        batch_pieces=config.batch_pieces,
        golden=config.golden,
    ).predictor
    counts = FileSummary(source=file.name)
    writer = open_writer(predictor.task, config.format, file.name, asked=bool(config.question))
    form = InputForm(format=config.input_format, document=config.document, questions=config.question)
    tally = _Tally(counts)
    # On a terminal a bar would run through the answers.
    quiet = config.quiet or (config.output is None and sys.stdout.isatty())
    with (
        ReadingProgress("predicting", [file], ReadSummary([counts]), quiet=quiet) as progress,
        _opened(config.output) as output,
    ):
        encoded = _Encoder(to_terminal=config.output is None)
        output.write(encoded(writer.start()))
        records = read_records(predictor.task, config.file, form, counts)
        for answer in progress.follow(answer_records(predictor, records)):
            if isinstance(answer, Pause):
                output.flush()
                continue
            checked = _checked(answer)
            if config.strict and isinstance(checked, ErrorRecord):
                raise InputError(checked.error, source=file.name, line=checked.line)
            output.write(encoded(writer.part(checked)))
            tally.count(checked)
            progress.show(tally.so_far())
        output.write(encoded(writer.end()))
    if not config.quiet:
        print(tally, file=sys.stderr)
    return 1 if tally.num_errors else 0


class _Encoder:
    """Parts of the output as bytes."""

    def __init__(self, *, to_terminal: bool) -> None:
        self._to_terminal = to_terminal

    def __call__(self, part: str | Text) -> bytes:
        if not isinstance(part, str):
            with self._console.capture() as capture:
                self._console.print(part, end="")
            part = capture.get()
        return part.encode()

    @cached_property
    def _console(self) -> Console:
        # JSON lines do without: importing rich takes as long as answering a short record.
        from rich.console import Console

        # Rich finds out whether standard output is a terminal, and which colours it has.
        return Console(
            file=None if self._to_terminal else io.StringIO(),
            force_terminal=None if self._to_terminal else False,
            highlight=False,
            soft_wrap=True,
        )


def _checked(answer: Answer[Any, Any] | ErrorRecord) -> Answer[Any, Any] | ErrorRecord:
    """The answer; an error for one that JSON cannot hold."""
    if isinstance(answer, ErrorRecord) or _is_finite(answer.prediction.to_json()):
        return answer
    message = "the model gives no number here: its weights are damaged, or try --precision fp32"
    return ErrorRecord(answer.line, message, answer.example.id)


def _is_finite(value: object) -> bool:
    """Whether JSON can hold all numbers of a value."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that gets its name when all is written."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        output = unfinished.open("wb")
    except OSError as error:
        raise ConfigurationError(f"--output {path} cannot be written: {error.strerror}") from error
    try:
        with output:
            yield output
    except BaseException:
        print(f"stopped before the end: the answers so far are in {unfinished}", file=sys.stderr)
        raise
    unfinished.replace(path)


class _Tally:
    """Counts for the summary."""

    def __init__(self, counts: FileSummary) -> None:
        self.num_records = self.num_errors = 0
        self._counts = counts
        self._started = time.monotonic()

    def count(self, answer: Answer[Any, Any] | ErrorRecord) -> None:
        """One answer was written."""
        self.num_records += 1
        self.num_errors += isinstance(answer, ErrorRecord)

    def so_far(self) -> str:
        """For the line of progress."""
        return counted(self.num_records, "record") + (f", {self._errors()}" if self.num_errors else "")

    def _errors(self) -> str:
        return counted(self.num_errors, "error")

    def __str__(self) -> str:
        speed = self.num_records / max(time.monotonic() - self._started, 1e-9)
        blank = self._counts.skipped.get("blank")
        passed_over = f", {counted(blank.count, 'blank line')} passed over" if blank else ""
        return f"{counted(self.num_records, 'record')}, {self._errors()}{passed_over}, {speed:,.1f} records/s"
