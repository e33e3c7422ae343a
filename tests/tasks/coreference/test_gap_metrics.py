"""GAP's figures are those that its own scorer prints (recorded); clusters become answers as documented."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanbert.spans import Span
from spanbert.tasks.coreference.examples import (
    AmbiguousPronoun,
    CoreferenceExample,
    CoreferencePrediction,
    PredictedMention,
)
from spanbert.tasks.coreference.gap_scores import decisions, mention_of
from spanbert.tasks.coreference.metrics import CoreferenceComparison

CASES = json.loads((Path(__file__).parent / "gap_scorecards.json").read_text(encoding="utf-8"))["cases"]


def span(text: str, part: str) -> Span:
    start = text.index(part)
    return Span(start, start + len(part))


def asked(pronoun: str, is_a: bool | None, is_b: bool | None) -> CoreferenceExample:
    text = f"Ann met Bea before {pronoun} left ."
    question = AmbiguousPronoun(span(text, pronoun), span(text, "Ann"), span(text, "Bea"), is_a, is_b)
    answer = [name for name, is_it in ((question.a, is_a), (question.b, is_b)) if is_it]
    clusters = ((*answer, question.pronoun),) if answer else ()
    return CoreferenceExample("x", text, clusters, pronoun=question)


def answered(example: CoreferenceExample, is_a: bool, is_b: bool, probability: float | None = None) -> Any:
    """A prediction that links the pronoun to what it is said to be."""
    question = example.pronoun
    assert question is not None
    names = [name for name, is_it in ((question.a, is_a), (question.b, is_b)) if is_it]
    spans = [*names, question.pronoun] if names else []
    mentions = [
        PredictedMention(*one, example.text[slice(*one)], spans[place - 1] if place else None, probability)
        for place, one in enumerate(spans)
    ]
    return CoreferencePrediction("x", (tuple(mentions),) if mentions else ())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_figures_are_those_of_gaps_scorer(case: dict[str, Any]) -> None:
    gold = [asked(pronoun, *answer) for pronoun, answer, _ in case["rows"]]
    predicted = [
        None if row[2] is None else answered(example, *row[2]) for example, row in zip(gold, case["rows"], strict=True)
    ]
    figures = CoreferenceComparison(gold, predicted).figures()
    printed = re.findall(r"f1: (\S+)", case["scorecard"])
    names = ["gap_f1", "gap_f1_masculine", "gap_f1_feminine"]
    assert [f"{figures[name]:.1f}" for name in names] == printed
    bias = re.search(r"Bias \(F/M\): (\S+)", case["scorecard"])
    assert bias is not None
    assert (f"{figures['gap_bias']:.2f}" if "gap_bias" in figures else "-") == bias[1]
    assert set(figures) <= {*names, "gap_bias"}


def test_questions_and_documents_are_measured_apart() -> None:
    text = "Ann left , she said ."
    document = CoreferenceExample("y", text, ((span(text, "Ann"), span(text, "she")),))
    question = asked("she", True, False)
    comparison = CoreferenceComparison([question, document], [answered(question, True, True), None])
    figures = comparison.figures()
    assert next(iter(figures)) == "conll_f1"
    assert figures["conll_f1"] == 0
    assert figures["mention_recall"] == 0
    assert figures["gap_f1"] == pytest.approx(100 * 2 / 3)
    assert comparison.figures(np.array([0]))["gap_f1_feminine"] == figures["gap_f1"]
    assert comparison.badness().tolist() == [1, 1]


def test_an_unknown_answer_is_not_counted() -> None:
    question = asked("he", True, None)
    comparison = CoreferenceComparison([question], [answered(question, True, True)])
    assert comparison.figures()["gap_f1_masculine"] == 100
    assert comparison.badness().tolist() == [0]


def test_links_that_do_not_answer_the_question_are_left_out_of_the_confidences() -> None:
    question = asked("she", False, True)
    assert question.pronoun is not None
    a, b, pronoun = question.pronoun.a, question.pronoun.b, question.pronoun.pronoun
    other = span(question.text, "left")
    found = CoreferencePrediction(
        "x",
        (
            (
                PredictedMention(*a, "Ann"),
                PredictedMention(*b, "Bea", a, 0.3),
                PredictedMention(*pronoun, "she", b, 0.9),
            ),
            (PredictedMention(*pronoun, "she"), PredictedMention(*other, "left", pronoun, 0.1)),
        ),
    )
    comparison = CoreferenceComparison([question], [found])
    values = comparison.confidences()
    assert values is not None
    assert (values[0].tolist(), values[1].tolist()) == ([0.9], [True])
    # A is in the pronoun's cluster too, by a link between the names.
    assert comparison.badness().tolist() == [1]
    wrong = asked("she", True, False)
    hesitant = CoreferenceComparison([wrong], [answered(wrong, False, True, 0.25)])
    assert hesitant.badness().tolist() == [1.25]


TEXT = "Yesterday the actress Ann Lee , Bea 's sister , wrote that she met Lee 's agent ."


@pytest.mark.parametrize(
    ("mentions", "chosen"),
    [
        (["the actress Ann Lee", "Ann Lee", "Lee"], "Ann Lee"),
        (["the actress Ann Lee , Bea 's sister", "the actress Ann Lee", "Lee"], "the actress Ann Lee"),
        (["Ann", "Lee ,"], "Ann"),
        (["Bea 's sister", "she"], None),
    ],
)
def test_which_mention_stands_for_a_name(mentions: list[str], chosen: str | None) -> None:
    found = mention_of(span(TEXT, "Ann Lee"), TEXT, [span(TEXT, mention) for mention in mentions])
    assert found == (None if chosen is None else span(TEXT, chosen))


@pytest.mark.parametrize(
    ("text", "mention", "is_name"),
    [
        ("Bea 's sister left .", "Bea 's sister", False),
        ("Bea’s sister left .", "Bea’s sister", False),
        ("Bess' sister left .", "Bess' sister", False),
        ("Bea 's sister left .", "Bea 's", True),
        ("Bea, a singer, left .", "Bea, a singer", True),
        ("my sister Bea left .", "my sister Bea", True),
    ],
)
def test_a_possession_of_somebody_is_not_that_person(text: str, mention: str, is_name: bool) -> None:
    name = span(text, "Bess" if "Bess" in text else "Bea")
    assert (mention_of(name, text, [span(text, mention)]) is not None) == is_name


def test_the_pronoun_is_who_shares_its_cluster() -> None:
    question = AmbiguousPronoun(span(TEXT, "she"), span(TEXT, "Ann Lee"), span(TEXT, "Bea"))
    she, actress, ann = (span(TEXT, part) for part in ("she", "the actress Ann Lee", "Ann Lee"))
    assert decisions(TEXT, question, [[actress, she]]) == (True, False)
    assert decisions(TEXT, question, [[actress, she], [ann, span(TEXT, "agent")]]) == (False, False)
    assert decisions(TEXT, question, [[span(TEXT, "Bea 's sister"), she]]) == (False, False)
    assert decisions(TEXT, question, [[actress, span(TEXT, "she met")]]) == (False, False)
