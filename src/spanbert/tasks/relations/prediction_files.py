"""Files of predictions: our JSON lines, TACRED's label a line, SemEval's id, tab, label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from spanbert.example_files import JsonRecord, parse_json_lines, peek, read_lines, source_name
from spanbert.json_values import BadRecordError
from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.read_summary import counted
from spanbert.task import Problem
from spanbert.tasks.relations.examples import (
    Argument,
    PredictedRelation,
    RelationExample,
    RelationPrediction,
)
from spanbert.tasks.relations.json_records import parse_prediction

Found = tuple[int, str | None, "str | RelationPrediction"]
"""Line, id (None: predictions come in order of the examples), and a label or a whole prediction."""


def read_relation_predictions(
    path: str | Path, gold: Sequence[RelationExample], negative: str
) -> tuple[list[RelationPrediction | None], list[Problem]]:
    """The prediction for each gold example, None where the file has none, and what is wrong with the file."""
    first, lines = peek(read_lines(path))
    if first.startswith("{"):
        found = _from_json(parse_json_lines(lines, source=source_name(path)))
    elif "\t" in first:
        found = _from_columns(lines)
    else:
        found = ((line, None, content.strip()) for line, content in lines if content.strip())
    places = PredictionPlaces(example.id for example in gold)
    predictions: list[RelationPrediction | None] = [None] * len(gold)
    problems: list[Problem] = []
    num_found = last_line = 0
    in_order = False
    for item in found:
        if isinstance(item, Problem):
            problems.append(item)
            continue
        line, id, answer = item
        in_order = id is None
        place = num_found if id is None else places.take(id, line)
        num_found, last_line = num_found + 1, line
        if isinstance(place, Problem):
            problems.append(place)
        elif place >= len(gold):
            problems.append(Problem(line, "surplus prediction", f"gold has only {counted(len(gold), 'example')}"))
        else:
            try:
                predictions[place] = _fitted(answer, gold[place], negative)
            except BadRecordError as error:
                problems.append(Problem(line, error.kind, f"{gold[place].id}: {error.detail}"))
    if in_order and num_found < len(gold):
        found_and_wanted = f"{counted(num_found, 'label')} for {counted(len(gold), 'example')}"
        detail = f"{found_and_wanted}: without ids, later ones cannot be told apart"
        problems.append(Problem(last_line, "predictions missing", detail, skipped=False))
    return predictions, problems


def _from_json(records: Iterable[JsonRecord | Problem]) -> Iterator[Found | Problem]:
    for record in records:
        if isinstance(record, Problem):
            yield record
            continue
        id = record.value.get("id")
        if (problem := error_record(record.value, record.line)) is not None:
            yield problem
        elif id is None:
            yield Problem(record.line, "missing key", "the record has no `id`")
        elif isinstance(record.value.get("relation"), str):
            yield record.line, str(id), record.value["relation"]
        else:
            try:
                yield record.line, str(id), parse_prediction(record.value)
            except BadRecordError as error:
                yield Problem(record.line, error.kind, f"{id}: {error.detail}")


def _from_columns(lines: Iterable[tuple[int, str]]) -> Iterator[Found | Problem]:
    for line, content in lines:
        if content.strip():
            id, tab, label = content.strip().partition("\t")
            if tab and label.strip():
                yield line, id.strip(), label.strip()
            else:
                yield Problem(line, "unknown line", f"{content[:60]!r} is not id, tab, label")


def _fitted(answer: str | RelationPrediction, example: RelationExample, negative: str) -> RelationPrediction:
    """The prediction with the example's own entities."""
    spans = {(entity.start, entity.end): number for number, entity in reversed(list(enumerate(example.entities)))}

    def argument(number: int) -> Argument:
        entity = example.entities[number]
        return Argument(number, entity.start, entity.end, entity.type, example.text[entity.start : entity.end])

    if isinstance(answer, str):
        if example.asked is None or len(example.asked) != 1:
            raise BadRecordError("one label", "the example asks about more than one pair: give `relations`")
        head, tail = example.asked[0]
        relation = PredictedRelation(argument(head), argument(tail), answer, 1.0, answer == negative)
        return RelationPrediction(id=example.id, relations=(relation,), num_judged=1)
    relations = []
    for relation in answer.relations:
        numbers = []
        for one in (relation.head, relation.tail):
            number = one.index if one.index >= 0 else spans.get((one.start, one.end), -1)
            if not 0 <= number < len(example.entities):
                raise BadRecordError("no such entity", f"{one.start}..{one.end} is no entity of the example")
            numbers.append(number)
        head, tail = numbers
        relations.append(
            replace(relation, head=argument(head), tail=argument(tail), negative=relation.label == negative)
        )
    return replace(answer, relations=tuple(relations))
