"""Reading predicted answers from files: our JSON lines, or the JSON object id -> text of the official scorers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spanbert.errors import InputError
from spanbert.example_files import parse_json_lines, source_name
from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.task import Problem
from spanbert.tasks.question_answering.data import open_json
from spanbert.tasks.question_answering.examples import QuestionExample, QuestionPrediction, prediction_from_json


def read_question_predictions(
    path: str | Path, gold: Sequence[QuestionExample]
) -> tuple[list[QuestionPrediction | None], list[Problem]]:
    """Predictions for `gold`, None where the file has none, and what is wrong with the file.

    Raises:
        InputError: the file cannot be read, or is neither of the two forms.
    """
    places = PredictionPlaces(example.id for example in gold)
    found: list[QuestionPrediction | None] = [None] * len(gold)
    problems: list[Problem] = []
    for line, item in _predictions(path):
        if isinstance(item, Problem):
            problems.append(item)
        elif isinstance(place := places.take(item.id, line), Problem):
            problems.append(place)
        else:
            found[place] = item
    return found, problems


def _predictions(path: str | Path) -> Iterator[tuple[int, QuestionPrediction | Problem]]:
    value, lines = open_json(path)
    if value is None:
        yield from _from_lines(lines, source_name(path))
    elif isinstance(value, dict):
        yield from _from_mapping(value, 1)
    else:
        raise InputError(
            "is neither JSON lines with 'id' and 'text' nor an object id -> text", source=source_name(path)
        )


def _from_lines(lines: Iterable[tuple[int, str]], source: str) -> Iterator[tuple[int, QuestionPrediction | Problem]]:
    for item in parse_json_lines(lines, source=source):
        if isinstance(item, Problem):
            yield item.line, item
        elif (problem := error_record(item.value, item.line)) is not None:
            yield item.line, problem
        elif not {"id", "text"} & item.value.keys():
            yield from _from_mapping(item.value, item.line)
        else:
            try:
                yield item.line, prediction_from_json(item.value)
            except InputError as error:
                yield item.line, Problem(item.line, "not a prediction", str(error))


def _from_mapping(value: dict[str, Any], line: int) -> Iterator[tuple[int, QuestionPrediction | Problem]]:
    for name, text in value.items():
        if isinstance(text, str):
            yield line, QuestionPrediction(id=name, text=text)
        else:
            detail = f"the answer to {name!r} must be text, not {type(text).__name__}"
            yield line, Problem(line, "not a prediction", detail)
