"""Predictions from files: our JSON lines, columns with ids and labels, or one label a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from spanbert.errors import InputError
from spanbert.example_files import JsonRecord, parse_json_lines, read_lines, source_name
from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.read_summary import counted
from spanbert.task import Problem
from spanbert.tasks.classification.config import DataOptions
from spanbert.tasks.classification.examples import (
    ClassificationExample,
    ClassificationPrediction,
    answer_to_json,
    prediction_from_json,
)
from spanbert.tasks.classification.labels import parse_answer
from spanbert.tasks.classification.learning import kind_of
from spanbert.tasks.classification.rows import delimited_rows, separator_of

Numbered = tuple[int, ClassificationPrediction]


def read_prediction_file(
    path: str | Path, gold: Sequence[ClassificationExample], options: DataOptions
) -> tuple[list[ClassificationPrediction | None], list[Problem]]:
    """Predictions for `gold`, found by id; the second prediction with an id is for the second example with it.

    The file has JSON lines with "id" and "label" (as `spanbert predict` writes them), or columns with these names in
    its first row (.csv, .tsv, .txt), or else a label a line, in the order of `gold`.

    Raises:
        InputError: the file cannot be read, or has a label a line and another number of lines than `gold`.
    """
    # What a label is, its examples tell; how several stand in one string, the options.
    parsing = DataOptions(kind=kind_of([example.label for example in gold]), label_separator=options.label_separator)
    lines = list(read_lines(path, encoding=options.encoding))
    first = next((content for _, content in lines if content.strip()), "")
    separator = separator_of(path, options, first) or "\t"
    columns = [field.strip().strip('"') for field in first.split(separator)]
    items: Iterator[Numbered | Problem]
    if first.lstrip().startswith("{"):
        items = _from_json(lines, parsing, source_name(path))
    elif "id" in columns and "label" in columns:
        items = _from_columns(lines, separator, parsing, source_name(path))
    else:
        items = _from_labels(lines, gold, parsing, source_name(path))
    return _match(items, gold)


def _from_json(lines: list[tuple[int, str]], parsing: DataOptions, source: str) -> Iterator[Numbered | Problem]:
    for record in parse_json_lines(lines, source=source):
        if isinstance(record, JsonRecord):
            yield error_record(record.value, record.line) or _prediction(record.line, record.value, parsing)
        else:
            yield record


def _from_columns(
    lines: list[tuple[int, str]], separator: str, parsing: DataOptions, source: str
) -> Iterator[Numbered | Problem]:
    for row in delimited_rows(lines, separator, parsing, ("id", "label"), source):
        if isinstance(row, Problem):
            yield row
        else:
            yield _prediction(row.line, {key: row.values[key] for key in ("id", "label")}, parsing)


def _from_labels(
    lines: list[tuple[int, str]], gold: Sequence[ClassificationExample], parsing: DataOptions, source: str
) -> Iterator[Numbered | Problem]:
    while len(lines) > len(gold) and not lines[-1][1].strip():
        lines = lines[:-1]
    if len(lines) != len(gold):
        raise InputError(
            f"{counted(len(lines), 'line')} for {counted(len(gold), 'example')}: predictions are a label a line, or "
            'JSON lines or columns with "id" and "label"',
            source=source,
        )
    for example, (line, content) in zip(gold, lines, strict=True):
        yield _prediction(line, {"id": example.id, "label": content}, parsing)


def _prediction(line: int, record: dict[str, object], parsing: DataOptions) -> Numbered | Problem:
    try:
        label = parse_answer(record.get("label"), parsing)
        return line, prediction_from_json(record | {"label": answer_to_json(label)})
    except ValueError as error:
        return Problem(line, "bad label", str(error))
    except InputError as error:
        return Problem(line, "bad prediction", str(error))


def _match(
    items: Iterator[Numbered | Problem], gold: Sequence[ClassificationExample]
) -> tuple[list[ClassificationPrediction | None], list[Problem]]:
    places = PredictionPlaces(example.id for example in gold)
    found: list[ClassificationPrediction | None] = [None] * len(gold)
    problems = []
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
            continue
        line, prediction = item
        place = places.take(prediction.id, line)
        if isinstance(place, Problem):
            problems.append(place)
        else:
            found[place] = prediction
    missing = [example.id for example, prediction in zip(gold, found, strict=True) if prediction is None]
    if missing:
        detail = f"{len(missing)} of {len(gold)} examples have none and count as wrong, first {missing[0]!r}"
        problems.append(Problem(1, "no prediction", detail))
    return found, problems
