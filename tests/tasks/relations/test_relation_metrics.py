"""The figures are those of TACRED's scorer and of SemEval-2010 task 8's, whose outputs are recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spanbert.tasks.relations.config import RelationOptions
from spanbert.tasks.relations.examples import (
    Argument,
    Entity,
    PredictedRelation,
    Relation,
    RelationExample,
    RelationPrediction,
)
from spanbert.tasks.relations.metrics import RelationComparison
from spanbert.tasks.relations.task import RelationExtraction

OFFICIAL: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "official_figures.json").read_text(encoding="utf-8")
)
WORDS = tuple(Entity(place, place + 1) for place in range(0, 8, 2))


def argument(number: int) -> Argument:
    return Argument(number, WORDS[number].start, WORDS[number].end, None, "a")


def prediction(*relations: tuple[int, int, str], probability: float = 0.8) -> RelationPrediction:
    found = tuple(
        PredictedRelation(argument(head), argument(tail), label, probability) for head, tail, label in relations
    )
    return RelationPrediction(id="", relations=found, num_judged=len(found))


def sentence(label: str | None) -> RelationExample:
    relations = None if label is None else (Relation(0, 1, label),)
    return RelationExample(id="", text="a b", entities=WORDS[:2], asked=((0, 1),), relations=relations)


def compared(gold: Sequence[str | None], predicted: Sequence[str | None], **options: Any) -> RelationComparison:
    predictions = [None if label is None else prediction((0, 1, label)) for label in predicted]
    comparison = RelationExtraction.compare(list(map(sentence, gold)), predictions, RelationOptions(**options))
    assert isinstance(comparison, RelationComparison)
    return comparison


@pytest.mark.parametrize("case", [*OFFICIAL["semeval"], *OFFICIAL["tacred"]], ids=lambda case: case["case"])
def test_figures_are_official(case: dict[str, Any]) -> None:
    figures = compared(case["gold"], case["predicted"]).figures()
    assert {name: figures[name] for name in case["figures"]} == pytest.approx(case["figures"], abs=0.005001)


def test_nothing_predicted_and_nothing_known() -> None:
    figures = compared(["A(e1,e2)", "Other"], [None, None]).figures()
    assert (figures["macro_f1"], figures["f1"], figures["precision"], figures["accuracy"]) == (0, 0, 100, 0)
    figures = compared([None, None], ["A", None]).figures()
    assert (figures["f1"], figures["recall"], figures["macro_f1"]) == (0, 0, 0)
    assert RelationExtraction.compare([], [], RelationOptions()).figures()["f1"] == 0


def test_label_of_no_relation_can_be_named() -> None:
    assert compared(["none", "x"], ["x", "x"], no_relation="none").figures()["precision"] == 50
    assert "f1/none" not in compared(["none", "x"], ["x", "x"], no_relation="none").figures()


def test_documents() -> None:
    relations = (Relation(0, 1, "a"), Relation(1, 2, "b"), Relation(3, 0, "a"))
    gold = [RelationExample(id="", text="a b c d", entities=WORDS, relations=relations)]
    predicted = [prediction((0, 1, "a"), (1, 2, "a"), (2, 1, "b"), (0, 2, "no_relation"))]
    comparison = RelationExtraction.compare(gold, predicted, RelationOptions())
    figures = comparison.figures()
    assert (figures["precision"], figures["recall"]) == pytest.approx((100 / 3, 100 / 3))
    assert "accuracy" not in figures
    assert comparison.confusions() == {
        ("a", "a"): 1,
        ("b", "a"): 1,
        ("a", "no_relation"): 1,
        ("no_relation", "b"): 1,
        ("no_relation", "no_relation"): 1,
    }


def test_figures_of_chosen_examples_are_those_of_a_set_of_them() -> None:
    random = np.random.default_rng(0)
    labels = ["A(e1,e2)", "A(e2,e1)", "B(e1,e2)", "Other"]
    gold, predicted = (random.choice(labels, 30).tolist() for _ in range(2))
    whole = compared(gold, predicted)
    for _ in range(5):
        chosen = random.integers(30, size=30)
        part = compared([gold[n] for n in chosen], [predicted[n] for n in chosen])
        assert whole.figures(chosen) == pytest.approx(part.figures())
    assert whole.num_examples == 30


def test_badness_and_confidence() -> None:
    gold = [sentence("a"), sentence("a"), sentence("b"), sentence(None)]
    predictions = [prediction((0, 1, "a")), prediction((0, 1, "b"), probability=0.9), None, prediction((0, 1, "a"))]
    comparison = RelationExtraction.compare(gold, predictions, RelationOptions())
    assert comparison.badness().tolist() == pytest.approx([0, 1.9, 1, 0])
    confidences = comparison.confidences()
    assert confidences is not None
    assert confidences[0].tolist() == [0.8, 0.9]
    assert confidences[1].tolist() == [True, False]
