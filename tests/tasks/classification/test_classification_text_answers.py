from __future__ import annotations

from typing import Any

from written_answers import written

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.examples import (
    Answer as Label,
)
from spanbert.tasks.classification.examples import (
    ClassificationExample,
    ClassificationPrediction,
    LabelProbability,
)
from spanbert.tasks.classification.task import Classification

TASK = Classification(Settings())


def answer(id: str, text: str, label: Label, pair: str | None = None, **probabilities: float) -> Answer[Any, Any]:
    pairs = tuple(LabelProbability(*item) for item in probabilities.items())
    prediction = ClassificationPrediction(id=id, label=label, probabilities=pairs)
    return Answer(1, ClassificationExample(id=id, text=text, pair=pair), prediction)


def test_each_text_is_a_line_whatever_is_said_of_it() -> None:
    assert written(
        TASK,
        answer("1", "It\nrained\x1b[2J.", "bad", bad=0.873, good=0.127),
        ErrorRecord(2, "nothing to read"),
        answer("several", "Fine " * 20, ("good", "short"), good=0.9, short=0.61, bad=0.1),
        answer("none", "明日", (), good=0.2),
        answer("number", "a", -0.25, pair="b\tc"),
    ) == (
        "1: bad 87 %  It rained␛[2J.\n"
        "line 2: error: nothing to read\n"
        "several: good 90 %, short 61 %  Fine Fine Fine Fine Fine Fine Fine Fine Fine Fine Fine Fine…\n"
        "none: (no label)  明日\n"
        "number: -0.25  a | b c\n"
    )


def test_a_label_keeps_its_colour() -> None:
    output = written(TASK, answer("1", "a", "bad", bad=0.9), answer("2", "b", ("good", "bad"), bad=0.9), colour=True)
    assert output.count("\x1b[1;34mbad\x1b[0m") == 2
    assert "\x1b[1;31mgood\x1b[0m" in output
