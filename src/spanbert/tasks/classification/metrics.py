"""The figures of classification, equal to scikit-learn's and scipy's.

Shares (accuracy, precision, recall, F1) are percentages; correlations (Matthews, Pearson, Spearman), R2 and errors stay
in their own scale. What is not defined, such as the correlation with a constant, is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spanbert.errors import InputError
from spanbert.task import Comparison, IntArray
from spanbert.tasks.classification.examples import ClassificationExample, ClassificationPrediction
from spanbert.tasks.classification.labels import label_order, labels_of
from spanbert.tasks.classification.learning import kind_of

NO_PREDICTION = "(no prediction)"
"""Stands for the label of an example without a prediction, in confusions."""

Array = npt.NDArray[np.floating[Any] | np.integer[Any]]
Examples = Sequence[ClassificationExample]
Predictions = Sequence[ClassificationPrediction | None]


def compare(gold: Examples, predicted: Predictions) -> Comparison:
    """Gold answers beside predicted ones; what the gold answers are decides about the figures.

    Raises:
        InputError: the answer of an example is not known.
    """
    if unknown := [example.id for example in gold if example.label is None]:
        raise InputError(f"{len(unknown)} examples have no right answer to compare with, first {unknown[0]!r}")
    match kind_of([example.label for example in gold]):
        case "regression":
            return ValueComparison(gold, predicted)
        case "multi-label":
            return LabelSetComparison(gold, predicted)
        case _:
            return LabelComparison(gold, predicted)


class LabelComparison(Comparison):
    """One label for each text.

    Figures: accuracy, macro_f1, weighted_f1, mcc (Matthews' correlation; for more than two labels as Gorodkin 2004 has
    it), and precision, recall and f1 of each label ("f1/positive"). Means are over the labels that occur, gold or
    predicted, among the examples counted; no prediction is wrong, and no label.
    """

    def __init__(self, gold: Examples, predicted: Predictions) -> None:
        self._predicted = predicted
        right = [str(example.label) for example in gold]
        found = [_single_label(prediction) for prediction in predicted]
        self._names = label_order(name for name in (*right, *found) if name is not None)
        number = {name: number for number, name in enumerate(self._names)}
        # The column behind the last label is for no prediction at all.
        self._gold = np.array([number[name] for name in right], np.int64)
        self._found = np.array([len(number) if name is None else number[name] for name in found], np.int64)

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._gold)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """See the class."""
        table = self._table(chosen)
        num_right = table.diagonal()
        num_gold, num_found = table.sum(1), table.sum(0)
        precision, recall, f1 = _shares(num_right, num_found[:-1], num_gold)
        occurs = num_gold + num_found[:-1] > 0
        total = max(1, table.sum())
        figures = {
            "accuracy": 100 * float(num_right.sum() / total),
            "macro_f1": float(f1[occurs].mean()) if occurs.any() else 0.0,
            "weighted_f1": float((f1 * num_gold).sum() / total),
            "mcc": _matthews(table),
        }
        return figures | _by_label(self._names, precision, recall, f1)

    def badness(self) -> npt.NDArray[np.float64]:
        """[E] probability of the wrong label, 1 where it is not told or there is no prediction."""
        wrong = self._gold != self._found
        return np.where(wrong, [_best_probability(prediction) for prediction in self._predicted], 0.0)

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """Of every predicted label its probability and whether it is right."""
        with_probability = [number for number, found in enumerate(self._predicted) if found and found.probabilities]
        if not with_probability:
            return None
        probabilities = np.array([_best_probability(self._predicted[number]) for number in with_probability])
        return probabilities, (self._gold == self._found)[with_probability]

    def confusions(self) -> Mapping[tuple[str, str], int]:
        """(gold, predicted) -> number; `NO_PREDICTION` stands for none."""
        names = (*self._names, NO_PREDICTION)
        pairs = Counter(zip(self._gold.tolist(), self._found.tolist(), strict=True))
        return {(names[right], names[found]): number for (right, found), number in sorted(pairs.items())}

    def _table(self, chosen: IntArray | None) -> npt.NDArray[np.int64]:
        """[L, L + 1] numbers of examples by gold and predicted label."""
        num_labels = len(self._names)
        cells = self._gold * (num_labels + 1) + self._found
        counts = np.bincount(cells if chosen is None else cells[chosen], minlength=num_labels * (num_labels + 1))
        return counts.reshape(num_labels, num_labels + 1)


class LabelSetComparison(Comparison):
    """Any number of labels for each text.

    Figures: micro_precision, micro_recall, micro_f1, macro_f1 (over all labels that occur in the whole file, gold or
    predicted), exact_match (all labels of a text right and none too many), and precision, recall and f1 of each label.
    """

    def __init__(self, gold: Examples, predicted: Predictions) -> None:
        self._predicted = predicted
        right = [labels_of(example.label) for example in gold]
        found = [() if prediction is None else labels_of(prediction.label) for prediction in predicted]
        self._names = label_order(name for names in (*right, *found) for name in names)
        self._gold = _indicators(right, self._names)
        self._found = _indicators(found, self._names)
        missing = np.array([prediction is None for prediction in predicted], np.bool_)
        self._exact = (self._gold == self._found).all(1) & ~missing
        self._counts = np.concatenate((self._gold & self._found, self._found, self._gold), axis=1).astype(np.float64)

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._gold)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """See the class."""
        times = np.ones(self.num_examples)
        if chosen is not None:
            times = np.bincount(chosen, minlength=self.num_examples).astype(np.float64)
        num_right, num_found, num_gold = np.split(times @ self._counts, 3)
        precision, recall, f1 = _shares(num_right, num_found, num_gold)
        micro = _shares(*(np.array([numbers.sum()]) for numbers in (num_right, num_found, num_gold)))
        names = ("micro_precision", "micro_recall", "micro_f1")
        figures = {name: float(share[0]) for name, share in zip(names, micro, strict=True)}
        figures["macro_f1"] = float(f1.mean()) if len(f1) else 0.0
        figures["exact_match"] = 100 * float(times @ self._exact / max(1.0, times.sum()))
        return figures | _by_label(self._names, precision, recall, f1)

    def badness(self) -> npt.NDArray[np.float64]:
        """[E] sum over wrong labels of the probability that they were given (or not given) with."""
        badness = np.zeros(self.num_examples)
        for number, prediction in enumerate(self._predicted):
            probabilities = dict(prediction.probabilities) if prediction else {}
            for column in np.flatnonzero(self._gold[number] != self._found[number]):
                given = bool(self._found[number, column])
                probability = probabilities.get(self._names[column], float(given))
                badness[number] += probability if given else 1 - probability
            badness[number] += prediction is None
        return badness

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """Of every label of every text its probability and whether the text has it."""
        pairs = [
            (probability, self._gold[number, self._names.index(label)] if label in self._names else False)
            for number, prediction in enumerate(self._predicted)
            for label, probability in (prediction.probabilities if prediction else ())
        ]
        if not pairs:
            return None
        probabilities, right = zip(*pairs, strict=True)
        return np.array(probabilities), np.array(right, np.bool_)


class ValueComparison(Comparison):
    """A number for each text.

    Figures: pearson, spearman (ties have the mean of their ranks), r2, mse, rmse, mae. No prediction counts as the end
    of the range of gold numbers that is further away.
    """

    def __init__(self, gold: Examples, predicted: Predictions) -> None:
        self._gold = np.array([_value(example.label) for example in gold])
        worst = np.zeros(0)
        if len(self._gold):
            low, high = self._gold.min(), self._gold.max()
            worst = np.where(self._gold - low > high - self._gold, low, high)
        found = [np.nan if prediction is None else _value(prediction.label) for prediction in predicted]
        self._found = np.where(np.isnan(found), worst, found)
        self._gold_codes, self._found_codes = (
            np.unique(values, return_inverse=True)[1] for values in (self._gold, self._found)
        )

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._gold)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """See the class."""
        chosen = np.arange(self.num_examples) if chosen is None else chosen
        if not len(chosen):
            return dict.fromkeys(("pearson", "spearman", "r2", "mse", "rmse", "mae"), 0.0)
        gold, found = self._gold[chosen], self._found[chosen]
        errors = found - gold
        mse = float((errors**2).mean())
        variance = float(gold.var())
        return {
            "pearson": _pearson(gold, found),
            "spearman": _pearson(_ranks(self._gold_codes[chosen]), _ranks(self._found_codes[chosen])),
            "r2": 1 - mse / variance if variance else 0.0,
            "mse": mse,
            "rmse": mse**0.5,
            "mae": float(np.abs(errors).mean()),
        }

    def badness(self) -> npt.NDArray[np.float64]:
        """[E] how far off each number is."""
        distances: npt.NDArray[np.float64] = np.abs(self._found - self._gold)
        return distances


def _single_label(prediction: ClassificationPrediction | None) -> str | None:
    """The predicted label; None for no prediction, and for another number of labels than one, which is as wrong."""
    labels = () if prediction is None else labels_of(prediction.label)
    return labels[0] if len(labels) == 1 else None


def _best_probability(prediction: ClassificationPrediction | None) -> float:
    return prediction.probabilities[0].probability if prediction and prediction.probabilities else 1.0


def _value(answer: object) -> float:
    return answer if isinstance(answer, float) else np.nan


def _indicators(answers: Sequence[tuple[str, ...]], names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """[E, L] which answers have which labels."""
    number = {name: number for number, name in enumerate(names)}
    table = np.zeros((len(answers), len(names)), np.bool_)
    for row, answer in enumerate(answers):
        table[row, [number[label] for label in answer]] = True
    return table


def _shares(right: Array, found: Array, gold: Array) -> tuple[Array, Array, Array]:
    """[L] numbers of right, predicted and gold labels -> [L] precision, recall, F1 in per cent; 0 for 0/0."""
    parts = ((right, found), (right, gold), (2 * right, found + gold))
    precision, recall, f1 = (100 * part / np.maximum(whole, 1) for part, whole in parts)
    return precision, recall, f1


def _by_label(names: Sequence[str], precision: Array, recall: Array, f1: Array) -> dict[str, float]:
    figures: dict[str, float] = {}
    for number, name in enumerate(names):
        figures[f"precision/{name}"] = float(precision[number])
        figures[f"recall/{name}"] = float(recall[number])
        figures[f"f1/{name}"] = float(f1[number])
    return figures


def _matthews(table: npt.NDArray[np.int64]) -> float:
    """The correlation of gold and predicted labels (Gorodkin 2004, R_K); no prediction is one more predicted label."""
    num_gold, num_found = table.sum(1).astype(np.float64), table.sum(0).astype(np.float64)
    total = num_gold.sum()
    covariance = float(table.diagonal().sum() * total - num_gold @ num_found[:-1])
    variances = float(total**2 - num_gold @ num_gold) * float(total**2 - num_found @ num_found)
    return covariance / variances**0.5 if variances else 0.0


def _pearson(one: Array, other: Array) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # by rounding, a constant may differ from its own mean
        return 0.0
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return float(np.clip(one @ other / scale, -1, 1)) if scale else 0.0


def _ranks(codes: IntArray) -> Array:
    """[n] ranks of values given as their numbers in sorted order; equal ones share the mean. Without sorting again."""
    counts = np.bincount(codes)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[codes]
    return ranks
