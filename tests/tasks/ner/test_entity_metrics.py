"""Figures equal to conlleval's (recorded) and seqeval's (where it is installed); predictions from files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.spans import LabelledSpan, Span, misplaced_tags
from spanbert.task import examples_of
from spanbert.tasks.ner.config import EntityDataOptions
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity
from spanbert.tasks.ner.metrics import EntityComparison
from spanbert.tasks.ner.task import NamedEntityRecognition as Ner

CASES = json.loads((Path(__file__).parent / "conlleval_cases.json").read_text(encoding="utf-8"))["cases"]


def compared(path: Path, sentences: list[list[tuple[str, str]]], **options: Any) -> EntityComparison:
    """Gold and predicted tags written in conlleval's form, read and compared."""
    lines = []
    for sentence in sentences:
        lines += [f"w{number} {gold} {predicted}" for number, (gold, predicted) in enumerate(sentence)] + [""]
    path.write_text("\n".join(lines), encoding="utf-8")
    located, problems = examples_of(Ner.read(path, EntityDataOptions(tag_column=-2, **options)))
    assert not [problem for problem in problems if problem.skipped]
    gold = [one.example for one in located]
    predicted, problems = Ner.read_predictions(path, gold, EntityDataOptions(**options))
    assert not problems
    assert None not in predicted
    return Ner.compare(gold, predicted, EntityDataOptions(**options))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_figures_are_those_of_conlleval(case: dict[str, Any], tmp_path: Path) -> None:
    sentences = [[tuple(pair.split(":")) for pair in sentence.split()] for sentence in case["sentences"]]
    figures = compared(tmp_path / "x.txt", sentences).figures()  # type: ignore[arg-type]
    for line in case["conlleval"][1:]:
        label = re.match(r"\s*(\S+): precision:", line)
        ending = f"/{label[1]}" if label else ""
        printed = [float(value) for value in re.findall(r"[:=]\s*(\d+\.\d+)", line)]
        if not label:
            accuracy = printed.pop(0)
            tags = [[pair[side] for pair in sentence] for sentence in sentences for side in (0, 1)]
            if not any(misplaced_tags(sequence, "BIO") for sequence in tags):  # then they are the tags that we compare
                assert f"{figures['accuracy']:.2f}" == f"{accuracy:.2f}"
        ours = [figures[f"{name}{ending}"] for name in ("precision", "recall", "f1")]
        assert [f"{value:.2f}" for value in ours] == [f"{value:.2f}" for value in printed]


TAGS = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
SENTENCES = st.lists(st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=7), min_size=1, max_size=5)


@pytest.mark.parametrize("strict", [False, True])
@given(sentences=SENTENCES)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore")
def test_figures_are_those_of_seqeval(
    strict: bool, sentences: list[list[tuple[str, str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    metrics, scheme = pytest.importorskip("seqeval.metrics"), pytest.importorskip("seqeval.scheme")
    options: dict[str, Any] = {"tag_reading": "strict", "scheme": "BIO"} if strict else {}
    path = tmp_path_factory.getbasetemp() / "seqeval.txt"
    figures = compared(path, sentences, **options).figures()
    gold, predicted = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    how: dict[str, Any] = {"mode": "strict", "scheme": scheme.IOB2} if strict else {}
    for name in ("precision", "recall", "f1"):
        theirs = getattr(metrics, f"{name}_score")(gold, predicted, zero_division=0, **how)
        assert figures[name] == pytest.approx(100 * theirs)
    if any(name.startswith("f1/") for name in figures):
        report = metrics.classification_report(gold, predicted, output_dict=True, zero_division=0, **how)
        assert figures["macro_f1"] == pytest.approx(100 * report["macro avg"]["f1-score"])
        for label in ("X", "Y"):
            if f"f1/{label}" in figures:
                assert figures[f"f1/{label}"] == pytest.approx(100 * report[label]["f1-score"])


def example(id: str, text: str, *entities: tuple[int, int, str]) -> EntityExample:
    return EntityExample(id, text, tuple(LabelledSpan(*entity) for entity in entities))


def prediction(id: str, *entities: tuple[int, int, str, float | None]) -> EntityPrediction:
    return EntityPrediction(id, tuple(PredictedEntity(*one[:3], "", one[3]) for one in entities))


GOLD = [
    example("a", "x" * 20, (0, 4, "P"), (6, 9, "L"), (12, 14, "P")),
    example("b", "x" * 20, (0, 4, "P"), (0, 2, "P")),
    example("c", "x" * 20),
    example("d", "x" * 20, (3, 5, "L")),
]
PREDICTED = [
    prediction("a", (0, 4, "P", 0.9), (6, 9, "P", 0.8), (13, 16, "P", 0.5)),
    prediction("b", (0, 2, "P", 0.7), (0, 4, "P", 0.6)),
    prediction("c", (1, 2, "L", 0.4)),
    None,
]


def test_partial_matches_nested_entities_and_missing_predictions() -> None:
    comparison = EntityComparison(GOLD, PREDICTED)
    figures = comparison.figures()
    assert figures["precision"] == pytest.approx(100 * 3 / 6)
    assert figures["recall"] == pytest.approx(100 * 3 / 6)
    assert figures["overlap_precision"] == pytest.approx(100 * 4 / 6)
    assert figures["overlap_recall"] == pytest.approx(100 * 4 / 6)
    assert figures["boundaries_precision"] == pytest.approx(100 * 4 / 6)
    assert figures["f1/L"] == 0
    assert "accuracy" not in figures
    assert comparison.badness().tolist() == pytest.approx([2 + 0.8 + 0.5, 0, 0.4, 1])
    confidences = comparison.confidences()
    assert confidences is not None
    assert sorted(zip(*confidences, strict=True)) == [
        (0.4, False), (0.5, False), (0.6, True), (0.7, True), (0.8, False), (0.9, True)
    ]  # fmt: skip
    assert comparison.confusions() == {
        ("P", "P"): 3, ("L", "P"): 1, ("P", "(none)"): 1, ("(none)", "P"): 1, ("(none)", "L"): 1, ("L", "(none)"): 1
    }  # fmt: skip


def test_figures_of_chosen_examples_are_those_of_these_examples() -> None:
    whole = EntityComparison(GOLD, PREDICTED)
    chosen = np.array([0, 1, 1, 3])
    part = EntityComparison([GOLD[i] for i in chosen], [PREDICTED[i] for i in chosen])
    assert part.figures() == {name: value for name, value in whole.figures(chosen).items() if name in part.figures()}


def test_nothing_at_all_has_figures_of_zero() -> None:
    figures = EntityComparison([example("a", "")], [None]).figures()
    assert set(figures.values()) == {0.0}
    assert EntityComparison([example("a", "")], [None]).confidences() is None


def test_predictions_of_json_lines_find_their_examples_by_id(tmp_path: Path) -> None:
    gold = [example("1", "Ada met Bob"), example("2", "Bob"), example("3", "Cy")]
    entity = {"start": 0, "end": 3, "label": "P", "text": "whatever", "probability": 0.5}
    records = [
        {"id": "2", "entities": [entity]},
        {"id": 2, "entities": []},
        {"id": "9", "entities": []},
        {"id": "1", "entities": [{**entity, "end": 12}]},
        {"id": "3", "entities": [{**entity, "end": 2, "probability": 2}]},
    ]
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    predicted, problems = Ner.read_predictions(path, gold, EntityDataOptions())
    assert predicted == [None, EntityPrediction("2", (PredictedEntity(0, 3, "P", "Bob", 0.5),)), None]
    kinds = ["duplicate id", "unknown id", "span outside the text", "not a probability"]
    assert [(problem.line, problem.kind) for problem in problems] == list(zip(range(2, 6), kinds, strict=True))


def test_a_predicted_sentence_that_cannot_be_read_moves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "p.conll"
    path.write_text("Bob B-P\n\nAda\nmet O\n\nBob O\n", encoding="utf-8")  # a column is missing in line 3
    gold = [example(id, "Bob") for id in "xyz"]
    predicted, problems = Ner.read_predictions(path, gold, EntityDataOptions())
    assert [None if one is None else len(one.entities) for one in predicted] == [1, None, 0]
    assert [problem.line for problem in problems] == [4]


def test_predictions_of_columns_for_other_gold(tmp_path: Path) -> None:
    path = tmp_path / "p.conll"
    path.write_text("Ada B-P\nmet O\n\nBob B-P\n\nCy B-P\n", encoding="utf-8")
    gold = [
        EntityExample("x", "Ada  met", (), (Span(0, 3), Span(5, 8))),
        EntityExample("y", "Rob", (), (Span(0, 3),)),
        EntityExample("z", "Cy", ()),
    ]
    predicted, problems = Ner.read_predictions(path, gold, EntityDataOptions())
    assert [one and [entity.text for entity in one.entities] for one in predicted] == [["Ada"], None, ["Cy"]]
    assert [(problem.line, problem.kind) for problem in problems] == [(4, "other words than gold")]
    _, problems = Ner.read_predictions(path, gold[:1], EntityDataOptions())
    assert [problem.kind for problem in problems] == ["unknown sentence"]
