"""What classification learns beside weights, examples and predictions as JSON, and files of predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import ConfigurationError, InputError
from spanbert.task import Problem, Scored
from spanbert.tasks.classification.config import DataOptions, Settings
from spanbert.tasks.classification.examples import (
    Answer,
    ClassificationExample,
    ClassificationPrediction,
    LabelProbability,
)
from spanbert.tasks.classification.task import Classification


def example(label: Answer | None, number: int = 1, text: str = "x") -> ClassificationExample:
    return ClassificationExample(id=str(number), text=text, label=label)


def learn(labels: list[Answer | None], **options: Any) -> Settings:
    return Classification(Settings(**options)).learn([example(label) for label in labels]).settings


def scored(rows: list[list[float]], labels: list[Answer]) -> list[Scored[ClassificationExample]]:
    return [
        Scored(example(label), [], [{"labels": np.array([row], np.float32)}])
        for row, label in zip(rows, labels, strict=True)
    ]


# Before training


def test_labels_are_sorted_and_numbers_by_value() -> None:
    assert learn(["b", "好", "a", None]).labels == ("a", "b", "好")
    assert learn(["10", "9", "-1", "2.5"]).labels == ("-1", "2.5", "9", "10")
    assert learn([("b", "a"), ()]).labels == ("a", "b")


def test_the_kind_is_told_by_the_answers() -> None:
    assert learn(["a", "b"]).kind == "single-label"
    assert learn([("a",), ("b",)]).kind == "multi-label"
    assert learn([1.0, 2.0]).kind == "regression"
    learned = learn([1.0, 3.0])
    assert (learned.value_mean, learned.value_deviation) == (2.0, 1.0)
    assert [Classification(learn(labels)).main_metric for labels in (["a", "b"], [("a",)], [1.0, 2.0])] == [
        "accuracy",
        "micro_f1",
        "pearson",
    ]


def test_where_nothing_can_be_learned() -> None:
    with pytest.raises(InputError, match="no examples"):
        learn([None])
    with pytest.raises(
        InputError, match=r"all examples to learn from \(2\) have the label 'a'.*If the file has others.*--dev"
    ):
        learn(["a", "a"])
    with pytest.raises(InputError, match="nothing to learn"):
        learn([(), ()])
    with pytest.raises(InputError, match="not all the same"):
        learn([2.0, 2.0])
    with pytest.raises(ConfigurationError, match="--class-weights"):
        learn([1.0, 2.0], class_weights="balanced")
    with pytest.raises(ConfigurationError, match="--training-windows"):
        learn(["a", "b"], training_windows=0)


def test_a_split_keeps_labels_in_proportion_and_equal_texts_together() -> None:
    task = Classification(Settings())
    assert [task.stratum(example(label)) for label in ("a", ("a", "b"), (), 1.0, None)] == [
        "a",
        "a, b",
        "(no label)",
        None,
        None,
    ]
    pair = replace(example("a"), pair="y")
    assert task.group(example("a", 1)) == task.group(example("b", 2)) != task.group(pair)


# After it


def test_a_temperature_makes_probabilities_honest() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2000, 3))
    odds = np.exp(rows)
    labels = [str(rng.choice(3, p=row / row.sum())) for row in odds]
    task = Classification(Settings(kind="single-label", labels=("0", "1", "2")))
    too_sure = task.calibrate(scored((rows * 4).tolist(), list(labels)))
    assert too_sure.settings.temperature == pytest.approx(4, rel=0.1)
    too_shy = task.calibrate(scored((rows / 4).tolist(), list(labels)))
    assert too_shy.settings.temperature == pytest.approx(0.25, rel=0.1)
    assert too_sure.calibrate([]).settings == too_sure.settings


def test_three_right_answers_do_not_make_a_model_certain() -> None:
    task = Classification(Settings(kind="single-label", labels=("a", "b")))
    calibrated = task.calibrate(scored([[1, 0], [0, 1], [1, 0]], ["a", "b", "a"]))
    [best, _] = calibrated.decode(scored([[1, 0]], ["a"])[0]).probabilities
    assert best.label == "a"
    assert 0.7 < best.probability < 0.99


def test_labels_that_were_not_learned_do_not_disturb_calibration() -> None:
    task = Classification(Settings(kind="single-label", labels=("a", "b")))
    known = task.calibrate(scored([[2, 0], [0, 1]], ["a", "b"]))
    assert task.calibrate(scored([[2, 0], [0, 1], [9, 0]], ["a", "b", "z"])).settings == known.settings


def test_thresholds_have_the_best_f1() -> None:
    task = Classification(Settings(kind="multi-label", labels=("a", "b", "c")))
    rows = [[-1.0, 3.0, -1.0], [-2.0, 2.0, -1.0], [-3.0, 1.0, -1.0], [-4.0, -1.0, -1.0]]
    labels: list[Answer] = [("a", "b"), ("a", "b"), (), ()]
    items = scored(rows, labels)
    assert [task.decode(item).label for item in items] == [("b",), ("b",), ("b",), ()]
    task = task.calibrate(items)
    assert [set(task.decode(item).label) for item in items] == [{"a", "b"}, {"a", "b"}, set(), set()]
    assert task.settings.thresholds[2] == 0.5  # no text has this label


def test_numbers_are_mapped_back() -> None:
    task = Classification(Settings(kind="regression", value_mean=10, value_deviation=2))
    [item] = scored([[0.5]], [11.0])
    assert task.calibrate([item]).decode(item) == ClassificationPrediction(id="1", label=11.0)


def test_extreme_scores_stay_probabilities() -> None:
    for kind in ("single-label", "multi-label"):
        task = Classification(Settings(kind=kind, labels=("a", "b"), temperature=0.1))
        [best, other] = task.decode(scored([[1e4, -1e4]], ["a"])[0]).probabilities
        assert (best.label, best.probability) == ("a", 1)
        assert 0 <= other.probability < 1e-9


# JSON


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=5)
answers = st.none() | names | st.lists(names, unique=True).map(tuple) | st.floats(-1e9, 1e9)


@given(
    st.text(max_size=3), names.map(lambda text: text + "x"), st.none() | names.map(lambda text: "好" + text), answers
)
@settings(max_examples=60, deadline=None)
def test_examples_survive_json(name: str, text: str, pair: str | None, label: Answer | None) -> None:
    one = ClassificationExample(id=name, text=text, pair=pair, label=label)
    assert Classification.example(json.loads(json.dumps(one.to_json()))) == one


@given(answers.filter(lambda answer: answer is not None), st.dictionaries(names, st.floats(0, 1)))
@settings(max_examples=60, deadline=None)
def test_predictions_survive_json(label: Answer, probabilities: dict[str, float]) -> None:
    pairs = tuple(LabelProbability(*item) for item in probabilities.items())
    one = ClassificationPrediction(id="1", label=label, probabilities=pairs)
    assert Classification.prediction(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, '"text" is missing'),
        ({"text": None}, '"text" must be a string'),
        ({"text": ["a"]}, '"text" must be a string, not list'),
        ({"text": ""}, '"text" is empty'),
        ({"text": " \n\u3000\t"}, '"text" has nothing but white space'),
        ({"text": "\x00\u200b\ufeff"}, '"text" has nothing but white space or control'),
        ({"text": "a\ud800"}, r'"text" has half a character, the lone surrogate \\ud800, at 1'),
        ({"text": "a", "pair": ""}, '"pair" is empty'),
        ({"text": "a", "pair": 3}, '"pair" must be a string'),
        ({"text": "a", "id": [1]}, '"id" must be'),
        ({"text": "a", "label": {"b": 1}}, '"label" must be'),
        ({"text": "a", "label": True}, '"label" must be'),
        ({"text": "a", "label": [1]}, '"label" must be'),
        ({"text": "a", "label": float("nan")}, '"label" must be'),
    ],
)
def test_a_bad_record_is_an_error_that_names_the_key(record: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Classification.example(record)


def test_texts_of_one_character_and_plain_text() -> None:
    for text in ("a", "好", "!", "\U0001f642", "a\x00"):
        assert Classification.example({"id": 3, "text": text}) == ClassificationExample(id="3", text=text)
        assert Classification.example_from_text(text, "3").text == text
    with pytest.raises(InputError, match="is empty"):
        Classification.example_from_text("", "3")


def test_bad_predictions() -> None:
    for record in ({}, {"label": None}, {"label": "a", "probabilities": {"a": 2}}, {"label": "a", "probabilities": []}):
        with pytest.raises(InputError, match=r"label|probabilities"):
            Classification.prediction(record)


def test_the_golden_examples_are_english_and_chinese() -> None:
    golden = Classification.golden_examples()
    assert len(golden) == 6
    assert len({one.id for one in golden}) == 6
    assert sum(any("\u4e00" <= character <= "\u9fff" for character in one.text) for one in golden) == 3


def test_an_explanation_shows_both_answers() -> None:
    task = Classification(Settings(kind="single-label"))
    found = ClassificationPrediction(id="1", label="b", probabilities=(LabelProbability("b", 0.75),))
    explained = task.explain(replace(example("a"), pair="y"), found)
    assert (explained.text, explained.question, explained.gold, explained.predicted) == ("x", "y", "a", "b (75.0%)")
    assert task.explain(example(("a", "b")), replace(found, label=())).predicted == "(no label)"


# Files of predictions


def read(
    path: Path, content: str, gold: list[ClassificationExample], **options: Any
) -> tuple[list[Answer | None], list[tuple[int, str]]]:
    path.write_text(content, encoding="utf-8")
    found, problems = Classification.read_predictions(path, gold, DataOptions(**options))
    assert all(isinstance(problem, Problem) for problem in problems)
    return [None if one is None else one.label for one in found], [(one.line, one.kind) for one in problems]


GOLD = [example("pos", 1), example("1", 2), example("neg", 3)]


def test_predictions_in_every_form(tmp_path: Path) -> None:
    lines = (
        '{"id": "3", "label": "neg", "probabilities": {"neg": 0.9}}\n\n{"id": 2, "label": 1}\n{"id": "1", "label": "x"}'
    )
    expected = (["x", "1", "neg"], [])
    assert read(tmp_path / "p.jsonl", lines, GOLD) == expected
    assert read(tmp_path / "p", lines, GOLD) == expected
    assert read(tmp_path / "p.csv", "label,id\nneg,3\nx,1\n1,2\n", GOLD) == expected
    assert read(tmp_path / "p.tsv", "id\tother\tlabel\n3\t\tneg\n2\t\t1\n1\t\tx\n", GOLD) == expected
    assert read(tmp_path / "p.txt", "x\n1\nneg\n\n", GOLD) == expected


def test_predictions_of_lists_and_numbers(tmp_path: Path) -> None:
    lists = [example(("a", "b"), 1), example((), 2)]
    assert read(tmp_path / "p.txt", "b|a\n\n", lists, label_separator="|") == ([("b", "a"), ()], [])
    assert read(tmp_path / "p.jsonl", '{"id": 2, "label": []}\n{"id": 1, "label": "a"}', lists) == ([("a",), ()], [])
    numbers = [example(1.5, 1), example(2.0, 2)]
    assert read(tmp_path / "p.csv", "id,label\n1,3\n2,high\n", numbers) == (
        [3.0, None],
        [(3, "bad label"), (1, "no prediction")],
    )


def test_what_is_wrong_with_predictions(tmp_path: Path) -> None:
    lines = [
        '{"id": "1", "label": "pos"}',
        '{"id": "1", "label": "neg"}',
        '{"id": "9", "label": "neg"}',
        '{"id": "2", "error": "the text is empty"}',
        '{"id": "3", "label": ["a", "b"]}',
        '{"id": "3", "label": "a", "probabilities": 1}',
        "neg",
    ]
    assert read(tmp_path / "p.jsonl", "\n".join(lines), GOLD) == (
        ["pos", None, None],
        [
            (2, "duplicate id"),
            (3, "unknown id"),
            (4, "error record"),
            (5, "bad label"),
            (6, "bad prediction"),
            (7, "not JSON"),
            (1, "no prediction"),
        ],
    )
    with pytest.raises(InputError, match="2 lines for 3 examples"):
        read(tmp_path / "p.txt", "pos\nneg\n", GOLD)


def test_examples_that_share_an_id_get_their_predictions_in_order(tmp_path: Path) -> None:
    gold = [example("a", 1), example("b", 1)]
    assert read(tmp_path / "p.csv", "id,label\n1,a\n1,b\n", gold) == (["a", "b"], [])
