from __future__ import annotations

from typing import Any

from written_answers import written

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.relations.config import RelationSettings
from spanbert.tasks.relations.examples import Argument, Entity, PredictedRelation, RelationExample, RelationPrediction
from spanbert.tasks.relations.task import RelationExtraction

TASK = RelationExtraction(RelationSettings())
TEXT = "Maria\nLindqvist works in Halifax\x07."
SPANS = ((0, 15), (25, 32))


def answer(*relations: tuple[int, int, str, float, bool], num_judged: int = 2, left_out: int = 0) -> Answer[Any, Any]:
    arguments = [Argument(number, *span, None, TEXT[slice(*span)]) for number, span in enumerate(SPANS)]
    found = [PredictedRelation(arguments[head], arguments[tail], *said) for head, tail, *said in relations]
    prediction = RelationPrediction(id="r", relations=tuple(found), num_judged=num_judged, num_left_out=left_out)
    example = RelationExample(id="r", text=TEXT, entities=tuple(Entity(*span) for span in SPANS))
    return Answer(1, example, prediction)


def test_each_relation_is_a_line() -> None:
    both = answer((0, 1, "works_in", 0.871, False), (1, 0, "no_relation", 0.6, True))
    assert written(TASK, both, ErrorRecord(2, "span outside\ntext", "x"), answer(num_judged=1, left_out=1000)) == (
        "r: 1 relation in 2 pairs\n"
        "  Maria Lindqvist [0:15] -> works_in -> Halifax [25:32] 87 %\n"
        "  Halifax [25:32] -> no_relation -> Maria Lindqvist [0:15] 60 %\n"
        "\n"
        "line 2 (x): error: span outside text\n"
        "\n"
        "r: no relation in 1 pair; 1,000 pairs too far apart to be judged\n"
    )
    coloured = written(TASK, both, colour=True)
    assert "\x1b[1;34mworks_in\x1b[0m" in coloured
    assert "\x1b[2mno_relation\x1b[0m" in coloured


def test_controls_of_the_input_are_shown() -> None:
    argument = Argument(0, 25, 33, None, TEXT[25:33])
    prediction = RelationPrediction(
        id="r\x1b", relations=(PredictedRelation(argument, argument, "a\x1b[2Jb", 1.0),), num_judged=1
    )
    made = Answer(1, RelationExample(id="r\x1b", text=TEXT, entities=(Entity(25, 33),)), prediction)
    assert written(TASK, made) == ("r␛: 1 relation in 1 pair\n  Halifax␇ [25:33] -> a␛[2Jb -> Halifax␇ [25:33] 100 %\n")
