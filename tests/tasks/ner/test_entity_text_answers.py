from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from written_answers import written

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity, sorted_entities
from spanbert.tasks.ner.task import NamedEntityRecognition

TASK = NamedEntityRecognition(EntitySettings())


def answer(text: str, *entities: tuple[int, int, str, float | None], id: str = "1") -> Answer[Any, Any]:
    found = [PredictedEntity(start, end, label, text[start:end], p) for start, end, label, p in entities]
    return Answer(1, EntityExample(id, text), EntityPrediction(id, sorted_entities(found)))


TEXT = "Maria Lindqvist sold the mill\nin Halifax."


def test_entities_are_marked_where_they_stand() -> None:
    made = answer(TEXT, (0, 15, "PERSON", 0.934), (33, 40, "LOCATION", 0.71), id="mill")
    error = ErrorRecord(2, "the key 'text' is missing", "x\x07")
    assert written(TASK, made, error, answer("Nobody came.")) == (
        "mill: 2 entities: 1 PERSON, 1 LOCATION\n"
        "  [Maria Lindqvist PERSON 93 %] sold the mill\n"
        "  in [Halifax LOCATION 71 %].\n"
        "\n"
        "line 2 (x␇): error: the key 'text' is missing\n"
        "\n"
        "1: no entities\n"
        "  Nobody came.\n"
    )


def test_a_label_keeps_its_colour() -> None:
    first = answer("Ada", (0, 3, "PERSON", 0.9))
    second = answer("Oslo, Ada", (0, 4, "PLACE", 0.9), (6, 9, "PERSON", 0.9))
    output = written(TASK, first, second, colour=True)
    assert output.count("\x1b[34mAda\x1b[0m") == 2
    assert "\x1b[31mOslo\x1b[0m" in output


def test_what_a_span_head_finds_nests_and_what_crosses_is_named_below() -> None:
    text = "University of Halifax Mill"
    nested = answer(text, (0, 21, "ORG", 0.8), (14, 21, "PLACE", 0.7), (14, 21, "NAME", None), (14, 26, "MILL", 0.6))
    assert written(TASK, nested) == (
        "1: 4 entities: 1 ORG, 1 MILL, 1 NAME, 1 PLACE\n"
        "  [University of [[Halifax PLACE 70 %] NAME] ORG 80 %] Mill\n"
        "  crossing: Halifax Mill [14:26] MILL 60 %\n"
    )


def test_an_empty_text_and_odd_line_ends() -> None:
    assert written(TASK, answer(" \r\n")) == "1: no entities\n"
    assert (
        written(TASK, answer("\ta\rb\r\n", (3, 4, "X\nY", 1.0))) == "1: 1 entity: 1 X Y\n        a\n  [b X Y 100 %]\n"
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 10), st.sampled_from("PQ")), max_size=6, unique=True))
def test_without_marks_the_text_is_as_it_was(spans: list[tuple[int, int, str]]) -> None:
    entities: list[tuple[int, int, str, float | None]] = [(s, e, label, 0.5) for s, e, label in spans if s < e]
    shown = written(TASK, answer("abcdefghij", *entities)).splitlines()
    line = shown[1].removeprefix("  ")
    for label in "PQ":
        line = line.replace(f" {label} 50 %]", "")
    assert line.replace("[", "") == "abcdefghij"
    assert shown[1].count("[") + len(shown[2:]) == len(entities)
