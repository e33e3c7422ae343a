from __future__ import annotations

from typing import Any

from written_answers import written

from spanbert.prediction_input import ErrorRecord
from spanbert.prediction_stream import Answer
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.examples import PredictedAnswer, QuestionExample, QuestionPrediction
from spanbert.tasks.question_answering.task import QuestionAnswering

TASK = QuestionAnswering(QuestionAnsweringSettings())
CONTEXT = (
    "The islands lie far from any other land. They are named after Tristao\nda Cunha, who saw them in 1506 and could "
    "not land."
)


def answer(
    *found: tuple[str, int, float],
    contexts: tuple[str, ...] = (CONTEXT,),
    question: str = "Who are they named after?",
    answered: bool = True,
    no_answer: float | None = None,
    cut: int = 0,
) -> Answer[Any, Any]:
    answers = []
    for text, document, probability in found:
        start = contexts[document].index(text)
        answers.append(
            PredictedAnswer(
                text=text, start=start, end=start + len(text), document=document, score=1.0, probability=probability
            )
        )
    prediction = QuestionPrediction(
        id="q",
        text=answers[0].text if answered else "",
        answers=tuple(answers),
        no_answer_probability=no_answer,
        question_pieces_cut=cut,
    )
    return Answer(1, QuestionExample(id="q", question=question, contexts=contexts), prediction)


BEST = ("Tristao\nda Cunha", 0, 0.874)


def test_an_answer_stands_between_the_words_around_it_and_others_behind() -> None:
    made = answer(BEST, ("1506", 0, 0.031), no_answer=0.06)
    error = ErrorRecord(2, "either 'context' or\n'contexts' is needed", "3")
    assert written(TASK, made, error) == (
        "q: Who are they named after?\n"
        "  Tristao da Cunha [62:78] 87 %\n"
        "  …any other land. They are named after [Tristao da Cunha], who saw them in 1506 and could not…\n"
        "  others: no answer 6 %, 1506 3 %\n"
        "\n"
        "line 2 (3): error: either 'context' or 'contexts' is needed\n"
    )
    assert "\x1b[1;32mTristao da Cunha\x1b[0m" in written(TASK, made, colour=True)


def test_a_question_that_is_left_open_says_so() -> None:
    assert written(TASK, answer(("1506", 0, 0.12), answered=False, no_answer=0.71)) == (
        "q: Who are they named after?\n  no answer 71 %\n  others: 1506 12 %\n"
    )
    assert written(TASK, answer(answered=False)) == "q: Who are they named after?\n  no answer\n"


def test_several_documents_are_counted_and_a_question_that_was_cut_is_told() -> None:
    made = answer(("走了", 1, 1.0), contexts=("Bo\x1b[2J", "小明\u2028走了。"), question="谁\n走了\x07?", cut=1200)
    assert written(TASK, made) == (
        "q: 谁 走了␇?\n"
        "  走了 [3:5] 100 %, document 2 of 2\n"
        "  小明 [走了]。\n"
        "  the question is too long: its last 1,200 word pieces were not read\n"
    )
    first = answer(("Bo", 0, 0.5), contexts=("Bo\x1b[2J", "x"))
    assert "  Bo [0:2] 50 %, document 1 of 2\n  [Bo]␛[2J\n" in written(TASK, first)


def test_a_long_answer_is_quoted_whole() -> None:
    long = "word " * 30 + "end"
    output = written(TASK, answer((long, 0, 0.9), contexts=(f"It was {long}.",)))
    assert f"  It was [{long}].\n" in output
    assert "word… [7:160] 90 %\n" in output
