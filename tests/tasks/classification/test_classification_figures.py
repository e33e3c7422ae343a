"""The figures of classification beside scikit-learn's and scipy's."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.task import Comparison
from spanbert.tasks.classification.config import DataOptions
from spanbert.tasks.classification.examples import (
    Answer,
    ClassificationExample,
    ClassificationPrediction,
    LabelProbability,
)
from spanbert.tasks.classification.metrics import NO_PREDICTION
from spanbert.tasks.classification.task import Classification

NAMES = ("neg", "pos", "中性", "10", "9")


def comparison(gold: list[Any], predicted: list[Any]) -> Comparison:
    """Of plain answers; None is no prediction."""
    examples = [ClassificationExample(id=str(n), text="x", label=label) for n, label in enumerate(gold)]
    predictions = [
        None if label is None else ClassificationPrediction(id=str(n), label=label) for n, label in enumerate(predicted)
    ]
    return Classification.compare(examples, predictions, DataOptions())


def close(ours: float, theirs: float) -> bool:
    return ours == pytest.approx(float(theirs), abs=1e-9)


def draw(seed: int, num: int, num_labels: int) -> tuple[list[str], list[str], npt.NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    gold = [NAMES[n] for n in rng.integers(0, num_labels, num)]
    found = [name if rng.random() < 0.6 else NAMES[rng.integers(0, num_labels)] for name in gold]
    return gold, found, rng.integers(0, num, num)


@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_single_label_figures_equal_scikit_learn(seed: int, num: int, num_labels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, found, sample = draw(seed, num, num_labels)
    compared = comparison(gold, found)
    for chosen in (None, sample):
        right = gold if chosen is None else [gold[n] for n in chosen]
        answer = found if chosen is None else [found[n] for n in chosen]
        ours = compared.figures(chosen)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            report = metrics.classification_report(right, answer, output_dict=True, zero_division=0)
            assert close(ours["mcc"], metrics.matthews_corrcoef(right, answer))
        assert close(ours["accuracy"], 100 * metrics.accuracy_score(right, answer))
        assert close(ours["macro_f1"], 100 * report["macro avg"]["f1-score"])
        assert close(ours["weighted_f1"], 100 * report["weighted avg"]["f1-score"])
        for name in set(right) | set(answer):
            for figure, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
                assert close(ours[f"{figure}/{name}"], 100 * report[name][theirs])


def test_no_prediction_is_wrong_and_no_label() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, found = ["a", "a", "b", "b", "b"], ["a", None, "b", "a", None]
    ours = comparison(gold, found).figures()
    theirs = [name or "none" for name in found]
    assert close(ours["accuracy"], 40)
    average = {"labels": ["a", "b"], "zero_division": 0}
    assert close(ours["macro_f1"], 100 * metrics.f1_score(gold, theirs, average="macro", **average))
    assert close(ours["weighted_f1"], 100 * metrics.f1_score(gold, theirs, average="weighted", **average))
    assert close(ours["mcc"], metrics.matthews_corrcoef(gold, theirs))
    assert "f1/none" not in ours


def test_constant_and_missing_predictions() -> None:
    constant = comparison(["a", "b", "c"], ["a", "a", "a"]).figures()
    assert constant["mcc"] == 0
    assert constant["macro_f1"] == pytest.approx(100 * 0.5 / 3)
    nothing = comparison(["a", "b"], [None, None]).figures()
    assert set(nothing.values()) == {0}
    unknown = comparison(["a", "b"], ["a", "z"])
    assert unknown.figures()["recall/z"] == 0
    assert unknown.figures()["macro_f1"] == pytest.approx(100 / 3)


def test_one_wrong_number_of_labels_is_wrong() -> None:
    assert comparison(["a", "b"], ["a", ("a", "b")]).figures()["accuracy"] == 50


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_several_label_figures_equal_scikit_learn(seed: int, num: int, num_labels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(seed)
    gold = rng.random((num, num_labels)) < 0.4
    found = np.where(rng.random((num, num_labels)) < 0.7, gold, ~gold)
    gold[0] = True  # every label occurs, so that scikit-learn has the same columns

    def named(table: npt.NDArray[np.bool_]) -> list[Answer]:
        return [tuple(name for name, has in zip(NAMES, row, strict=False) if has) for row in table]

    compared = comparison(named(gold), named(found))
    for chosen in (np.arange(num), rng.integers(0, num, num)):
        ours = compared.figures(chosen)
        right, answer = gold[chosen].astype(int), found[chosen].astype(int)
        for name in ("precision", "recall", "f1"):
            scorer = getattr(metrics, f"{name}_score")
            assert close(ours[f"micro_{name}"], 100 * scorer(right, answer, average="micro", zero_division=0))
            each = scorer(right, answer, average=None, zero_division=0)
            for column, value in enumerate(each):
                assert close(ours[f"{name}/{NAMES[column]}"], 100 * value)
        assert close(ours["macro_f1"], 100 * metrics.f1_score(right, answer, average="macro", zero_division=0))
        assert close(ours["exact_match"], 100 * metrics.accuracy_score(right, answer))


def test_no_prediction_is_not_the_prediction_of_no_label() -> None:
    figures = comparison([(), (), ("a",)], [(), None, ("a",)]).figures()
    assert figures["exact_match"] == pytest.approx(200 / 3)
    assert figures["micro_f1"] == 100


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=30),
    st.floats(0.1, 10),
)
@settings(max_examples=60, deadline=None)
def test_regression_figures_equal_scipy_and_scikit_learn(pairs: list[tuple[int, int]], scale: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    gold, found = (np.array(values) * scale for values in zip(*pairs, strict=True))
    compared = comparison(gold.tolist(), found.tolist())
    sample = np.random.default_rng(len(pairs)).integers(0, len(pairs), len(pairs))
    for chosen in (None, sample):
        right, answer = (gold, found) if chosen is None else (gold[chosen], found[chosen])
        ours = compared.figures(chosen)
        assert close(ours["mse"], metrics.mean_squared_error(right, answer))
        assert close(ours["rmse"] ** 2, ours["mse"])
        assert close(ours["mae"], metrics.mean_absolute_error(right, answer))
        if np.ptp(right) == 0 or np.ptp(answer) == 0:
            assert ours["pearson"] == ours["spearman"] == 0
        else:
            assert close(ours["pearson"], stats.pearsonr(right, answer)[0])
            assert close(ours["spearman"], stats.spearmanr(right, answer)[0])
        if np.ptp(right) > 0:
            assert close(ours["r2"], metrics.r2_score(right, answer))


def test_a_missing_number_is_as_far_off_as_can_be() -> None:
    compared = comparison([0.0, 1.0, 4.0], [0.0, None, None])
    assert compared.badness().tolist() == [0, 3, 4]
    assert compared.figures()["mae"] == pytest.approx(7 / 3)


def test_confident_mistakes_are_worse_and_confidences_and_confusions() -> None:
    def prediction(label: str, probability: float) -> ClassificationPrediction:
        other = "b" if label == "a" else "a"
        pairs = (LabelProbability(label, probability), LabelProbability(other, 1 - probability))
        return ClassificationPrediction(id="x", label=label, probabilities=pairs)

    gold = [ClassificationExample(id=str(n), text="x", label="a") for n in range(4)]
    predicted = [prediction("a", 0.9), prediction("b", 0.6), prediction("b", 0.99), None]
    compared = Classification.compare(gold, predicted, DataOptions())
    assert compared.badness().tolist() == [0, 0.6, 0.99, 1]
    confidences = compared.confidences()
    assert confidences is not None
    assert confidences[0].tolist() == [0.9, 0.6, 0.99]
    assert confidences[1].tolist() == [True, False, False]
    assert compared.confusions() == {("a", "a"): 1, ("a", "b"): 2, ("a", NO_PREDICTION): 1}


def test_mistakes_and_confidences_with_several_labels() -> None:
    pairs = (LabelProbability("a", 0.8), LabelProbability("b", 0.3), LabelProbability("c", 0.1))
    gold = [ClassificationExample(id="1", text="x", label=label) for label in (("a",), ("b",), ("b",))]
    predicted = [ClassificationPrediction(id="1", label=("a",), probabilities=pairs)] * 2 + [None]
    compared = Classification.compare(gold, predicted, DataOptions())
    # `a` is wrong with 0.8 and `b` is missed with 0.7.
    assert compared.badness().tolist() == pytest.approx([0, 1.5, 2])
    confidences = compared.confidences()
    assert confidences is not None
    assert confidences[0].tolist() == [0.8, 0.3, 0.1] * 2
    assert confidences[1].tolist() == [True, False, False, False, True, False]


def test_examples_without_an_answer_cannot_be_compared() -> None:
    with pytest.raises(InputError, match="no right answer"):
        comparison(["a", None], ["a", "a"])


def test_a_thousand_bootstrap_samples_take_seconds() -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 10_000, (50, 10_000))
    labels = [str(n) for n in rng.integers(0, 15, 10_000)]
    lists = [(one, str(int(one) // 2)) for one in labels]
    numbers = rng.normal(size=10_000).tolist()
    for compared in (comparison(labels, labels), comparison(lists, lists), comparison(numbers, numbers)):
        began = time.perf_counter()
        for chosen in samples:
            compared.figures(chosen)
        assert time.perf_counter() - began < 1  # 50 samples; a twentieth of what 1,000 take
