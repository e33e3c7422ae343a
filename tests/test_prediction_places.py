"""Predictions in files find their examples by id, in every task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spanbert.prediction_places import PredictionPlaces, error_record
from spanbert.task import Problem
from spanbert.tasks import find_task

PREDICTIONS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "question-answering": ({"question": "?", "context": "a b"}, [{"text": "a"}, {"text": "b"}]),
    "ner": ({"text": "a b"}, [{"entities": []}, {"entities": [{"start": 0, "end": 1, "label": "X"}]}]),
    "relations": (
        {"text": "a b", "head": {"start": 0, "end": 1}, "tail": {"start": 2, "end": 3}},
        [{"relation": "x"}, {"relation": "y"}],
    ),
    "classification": ({"text": "a b", "label": "x"}, [{"label": "x"}, {"label": "y"}]),
}


def test_examples_of_one_id_get_their_predictions_in_order() -> None:
    places = PredictionPlaces(["a", "b", "a"])
    assert (places.first("a"), places.take("a", 1), places.first("a"), places.take("a", 2)) == (0, 0, 2, 2)
    assert places.first("a") is None
    third, unknown = places.take("a", 3), places.take("c", 4)
    assert isinstance(third, Problem)
    assert isinstance(unknown, Problem)
    assert [(one.line, one.kind) for one in (third, unknown)] == [(3, "duplicate id"), (4, "unknown id")]


def test_only_what_predict_writes_for_a_refused_record_is_an_error_record() -> None:
    problem = error_record({"id": "a", "line": 3, "error": "half a character"}, 7)
    assert problem == Problem(7, "error record", "'a': half a character; it counts as no prediction")
    assert error_record({"line": 3, "error": "not JSON"}, 7) is not None
    assert error_record({"id": "a", "error": "x", "text": "an answer"}, 7) is None


@pytest.mark.parametrize("task", PREDICTIONS)
def test_every_task_reads_a_file_of_predictions_the_same_way(task: str, tmp_path: Path) -> None:
    task_class = find_task(task)
    example, (first, second) = PREDICTIONS[task]
    gold = [task_class.example({"id": id, **example}) for id in ("a", "b", "a")]
    lines = [
        {"id": "a", **first},
        {"id": "b", "line": 2, "error": "refused"},
        {"id": "a", **second},
        {"id": "a", **second},
        {"id": "c", **second},
        {"line": 6, "error": "not JSON"},
    ]
    path = tmp_path / "predicted.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found, problems = task_class.read_predictions(path, gold, task_class.data_options())
    assert [(one.line, one.kind) for one in problems if one.kind != "no prediction"] == [
        (2, "error record"),
        (4, "duplicate id"),
        (5, "unknown id"),
        (6, "error record"),
    ]
    assert found[1] is None
    assert None not in (found[0], found[2])
    assert found[0] != found[2]
