"""The figures of the official scorers, on hard cases whose scores under the official rules are recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.tasks.question_answering.config import QuestionAnsweringData
from spanbert.tasks.question_answering.examples import Answer, PredictedAnswer, QuestionExample, QuestionPrediction
from spanbert.tasks.question_answering.matching import CmrcMatching, mixed_tokens
from spanbert.tasks.question_answering.metrics import QuestionComparison

OFFICIAL: dict[str, Any] = json.loads(Path(__file__).with_name("official_scores.json").read_text(encoding="utf-8"))
NAMES = {
    "exact": "exact_match",
    "HasAns_exact": "has_ans_exact_match",
    "HasAns_f1": "has_ans_f1",
    "HasAns_total": "has_ans_total",
    "NoAns_exact": "no_ans_exact_match",
    "NoAns_f1": "no_ans_f1",
    "NoAns_total": "no_ans_total",
    "best_exact": "best_exact_match",
    "best_exact_thresh": "best_exact_match_threshold",
    "best_f1": "best_f1",
    "best_f1_thresh": "best_f1_threshold",
}


def gold(name: str, *answers: str) -> QuestionExample:
    return QuestionExample(id=name, question="?", contexts=("x",), answers=tuple(Answer(text=text) for text in answers))


def predicted(name: str, text: str | None, no_answer: float | None = None) -> QuestionPrediction | None:
    return None if text is None else QuestionPrediction(id=name, text=text, no_answer_probability=no_answer)


def compared(cases: list[dict[str, Any]]) -> QuestionComparison:
    return QuestionComparison(
        [gold(case["name"], *case["gold"]) for case in cases],
        [predicted(case["name"], case["predicted"], case.get("no_answer_probability")) for case in cases],
        QuestionAnsweringData(),
    )


@pytest.mark.parametrize("rules", OFFICIAL)
def test_every_hard_case_scores_as_officially(rules: str) -> None:
    cases = OFFICIAL[rules]["cases"]
    comparison = compared(cases)
    assert comparison.rules == ("cmrc" if rules == "cmrc" else "squad")
    for number, case in enumerate(cases):
        figures = comparison.figures(np.array([number]))
        expected = OFFICIAL[rules]["each"][case["name"]]
        assert [figures["exact_match"], figures["f1"]] == pytest.approx(expected), case["name"]


@pytest.mark.parametrize("rules", OFFICIAL)
def test_all_together_score_as_officially(rules: str) -> None:
    figures = compared(OFFICIAL[rules]["cases"]).figures()
    expected = {NAMES.get(name, name): value for name, value in OFFICIAL[rules]["all"].items()}
    assert figures == pytest.approx({"total": len(OFFICIAL[rules]["cases"])} | expected)


def test_a_set_with_unanswerable_questions_is_never_scored_as_if_all_were_answerable() -> None:
    answerable = QuestionComparison([gold("a", "red")], [predicted("a", "red")], QuestionAnsweringData())
    assert answerable.figures() == {"exact_match": 100, "f1": 100, "total": 1}
    assert answerable.confusions() is None
    both = QuestionComparison(
        [gold("a", "red"), gold("b")], [predicted("a", "red"), predicted("b", "blue")], QuestionAnsweringData()
    )
    figures = both.figures()
    assert (figures["f1"], figures["has_ans_f1"], figures["no_ans_f1"]) == (50, 100, 0)
    assert "best_f1" not in figures  # no probabilities
    assert both.confusions() == {("answer", "answer"): 1, ("no answer", "answer"): 1}


def test_the_best_threshold_looks_at_the_answer_behind_an_abstention() -> None:
    answers = (PredictedAnswer(text="red", start=0, end=3, document=0, score=1.0, probability=0.3),)
    shy = QuestionPrediction(id="a", text="", answers=answers, no_answer_probability=0.7)
    comparison = QuestionComparison(
        [gold("a", "red"), gold("b")],
        [shy, QuestionPrediction(id="b", text="", answers=answers, no_answer_probability=0.9)],
        QuestionAnsweringData(),
    )
    figures = comparison.figures()
    assert (figures["f1"], figures["best_f1"], figures["best_f1_threshold"]) == (50, 100, 0.7)


def test_an_answer_that_is_not_known_cannot_be_scored() -> None:
    unknown = QuestionExample(id="q7", question="?", contexts=("x",))
    with pytest.raises(InputError, match="'q7' are not known"):
        QuestionComparison([unknown], [None], QuestionAnsweringData())


def test_rules_follow_the_answers_or_the_option() -> None:
    golds = [gold("a", "北京大学。"), gold("b", "IBM"), gold("c", "上海")]
    answers = [predicted("a", "北京"), predicted("b", "IBM"), predicted("c", "上海")]
    by_itself = QuestionComparison(golds, answers, QuestionAnsweringData())
    assert by_itself.rules == "cmrc"
    assert by_itself.figures()["f1"] == pytest.approx(100 * (2 / 3 + 2) / 3)
    assert QuestionComparison(golds, answers, QuestionAnsweringData(rules="squad")).rules == "squad"


def test_chinese_questions_without_answer_are_right_when_left_open() -> None:
    comparison = QuestionComparison(
        [gold("a", "北京"), gold("b"), gold("c")],
        [predicted("a", "北京"), predicted("b", ""), predicted("c", "上海")],
        QuestionAnsweringData(),
    )
    assert comparison.rules == "cmrc"
    figures = comparison.figures()
    assert (figures["has_ans_f1"], figures["no_ans_f1"]) == (100, 50)


@given(st.lists(st.integers(0, 27), min_size=1, max_size=60))
def test_figures_of_a_bootstrap_sample_are_those_of_its_examples_one_by_one(chosen: list[int]) -> None:
    cases = OFFICIAL["squad_2_0"]["cases"]
    fast = compared(cases).figures(np.array(chosen))
    repeated = [cases[number] for number in sorted(chosen)]  # the search goes through equals in their order
    # A question that could be any: the rules for a set with unanswerable ones then hold for every sample.
    slow = QuestionComparison(
        [gold(case["name"], *case["gold"]) for case in [*repeated, *cases]],
        [predicted(case["name"], case["predicted"], case["no_answer_probability"]) for case in [*repeated, *cases]],
        QuestionAnsweringData(),
    ).figures(np.arange(len(repeated)))
    assert fast == pytest.approx(slow, nan_ok=True)


def test_confident_mistakes_are_worse() -> None:
    def answer(name: str, text: str, probability: float) -> QuestionPrediction:
        best = PredictedAnswer(text=text, start=0, end=3, document=0, score=1.0, probability=probability)
        return QuestionPrediction(id=name, text=text, answers=(best,))

    golds = [gold(name, "red") for name in "abcd"]
    comparison = QuestionComparison(
        golds,
        [answer("a", "red", 0.2), answer("b", "blue", 0.2), answer("c", "blue", 0.9), None],
        QuestionAnsweringData(),
    )
    right, hesitant, sure, missing = comparison.badness()
    assert right == 0 < hesitant < sure < missing
    confidences = comparison.confidences()
    assert confidences is not None
    assert confidences[0].tolist() == [0.2, 0.2, 0.9]
    assert confidences[1].tolist() == [True, False, False]


@given(st.text(max_size=30), st.text(max_size=30))
def test_f1_is_symmetric_and_1_only_for_the_same_tokens(one: str, other: str) -> None:
    matching = CmrcMatching(empty_equals_empty=True)
    assert matching.f1(one, other) == pytest.approx(matching.f1(other, one))
    assert (matching.f1(one, other) > 1 - 1e-12) == (mixed_tokens(one) == mixed_tokens(other))
