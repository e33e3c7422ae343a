"""Figures of relations, equal to those of TACRED's scorer and of SemEval-2010 task 8's.

TACRED (Zhang et al. 2017): precision, recall and F1 over all pairs together, in which "no relation" counts neither as
found nor as to be found; precision is 100 % where nothing was predicted.

SemEval-2010 task 8 (Hendrickx et al. 2010), labels such as Cause-Effect(e1,e2), scored three times:
    (i)   every label a class of its own;
    (ii)  without the direction;
    (iii) relations as classes, but a wrong direction is wrong. For a relation R: right = pairs with the right label,
          direction included; predicted = pairs predicted to be R in either direction; gold = pairs that are R in
          either direction.
Each gives the mean F1 of the relations that the gold data have ("macro"), and F1 of their sums ("micro"). The official
figure is the macro F1 of (iii). A pair without prediction counts as Other, and so does a predicted relation that the
gold data do not have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert.task import Comparison, IntArray
from spanbert.tasks.relations.examples import RelationExample, RelationPrediction
from spanbert.tasks.relations.pairs import gold_labels
from spanbert.tasks.relations.semeval import DIRECTED

Floats = npt.NDArray[np.float64]
NOTHING = "(no prediction)"


def is_directed(labels: Sequence[str]) -> bool:
    """Whether labels name a direction, as SemEval's do."""
    return any(DIRECTED.fullmatch(label) for label in labels)


def without_direction(label: str) -> str:
    """The label without (e1,e2) or (e2,e1)."""
    match = DIRECTED.fullmatch(label)
    return match[1] if match else label


@dataclass(frozen=True, slots=True)
class _Row:
    """A pair that has a right or a predicted answer."""

    example: int
    gold: str
    predicted: str | None
    probability: float
    is_listed: bool


class RelationComparison(Comparison):
    """Gold and predicted relations, pair by pair.

    Args:
        gold: the examples; those without a known answer are passed over.
        predicted: None for no prediction at all.
        negative: the label of a pair without a relation.
    """

    def __init__(
        self, gold: Sequence[RelationExample], predicted: Sequence[RelationPrediction | None], negative: str
    ) -> None:
        rows = [
            row
            for number, (example, prediction) in enumerate(zip(gold, predicted, strict=True))
            if example.relations is not None
            for row in _rows(number, example, prediction, negative)
        ]
        self._num_examples = len(gold)
        self._all_asked = all(example.asked is not None for example in gold)
        self._rows = rows
        names = sorted({row.gold for row in rows} | {row.predicted for row in rows if row.predicted} | {negative})
        self._names = names
        number = {name: place for place, name in enumerate(names)}
        self._negative = number[negative]
        self._example = np.array([row.example for row in rows], np.int64)
        gold_of_row = np.array([number[row.gold] for row in rows], np.int64)
        predicted_of_row = np.array([number.get(row.predicted or "", len(names)) for row in rows], np.int64)
        self._right = gold_of_row == predicted_of_row
        self._cell = gold_of_row * (len(names) + 1) + predicted_of_row
        self._directed = is_directed([row.gold for row in rows])
        relations = sorted({without_direction(name) for name in names})
        self._relation = np.array([relations.index(without_direction(name)) for name in names], np.int64)
        self._relations = relations

    @property
    def num_examples(self) -> int:
        """E."""
        return self._num_examples

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """See the module; `f1/R` are the F1 of single relations, in SemEval's data those of (iii)."""
        weights = None
        if chosen is not None:
            weights = np.bincount(chosen, minlength=self._num_examples).astype(np.float64)[self._example]
        size = len(self._names)
        counted = np.bincount(self._cell, weights, minlength=size * (size + 1))
        confusion = counted.astype(np.float64).reshape(size, size + 1)  # gold x predicted, the last column: nothing
        figures = _micro(confusion, self._negative)
        if self._all_asked:
            figures["accuracy"] = 100 * _share(float(np.trace(confusion)), float(confusion.sum()))
        right, found, known = confusion.diagonal(), confusion[:, :-1].sum(0), confusion.sum(1)
        if not self._directed:
            scores = _averages(right, found, known, self._negative)
            return figures | _named(scores, "") | self._of_relations(scores, self._names, self._negative)
        ways = len(self._relations)

        def merged(values: Floats) -> Floats:
            return np.asarray(np.bincount(self._relation, values, minlength=ways), np.float64)

        negative = int(self._relation[self._negative])
        same = self._relation[:, None] == self._relation[None, :]
        right_any = merged((confusion[:, :-1] * same).sum(1))
        official = _averages(merged(right), merged(found), merged(known), negative)
        undirected = _averages(right_any, merged(found), merged(known), negative)
        each = _averages(right, found, known, self._negative)
        return (
            figures
            | _named(official, "", micro=True)
            | _named(undirected, "undirected_", micro=True)
            | _named(each, "each_direction_", micro=True)
            | self._of_relations(official, self._relations, negative)
        )

    def _of_relations(self, scores: _Averages, names: Sequence[str], negative: int) -> dict[str, float]:
        return {
            f"f1/{name}": float(scores.f1[number])
            for number, name in enumerate(names)
            if number != negative and scores.is_known[number]
        }

    def badness(self) -> Floats:
        """[E] of the worst pair of each example: 0 when right, else 1 and its probability."""
        worst = np.zeros(self._num_examples)
        probability = np.array([row.probability for row in self._rows])
        np.maximum.at(worst, self._example, np.where(self._right, 0.0, 1.0 + probability))
        return worst

    def confidences(self) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Of every listed prediction."""
        listed = np.array([row.is_listed for row in self._rows], bool)
        return np.array([row.probability for row in self._rows], np.float64)[listed], self._right[listed]

    def confusions(self) -> Mapping[tuple[str, str], int]:
        """Pairs by gold and predicted label."""
        return Counter((row.gold, row.predicted or NOTHING) for row in self._rows)


def _rows(number: int, example: RelationExample, prediction: RelationPrediction | None, negative: str) -> list[_Row]:
    gold = gold_labels(example, negative)
    listed = {} if prediction is None else {(one.head.index, one.tail.index): one for one in prediction.relations}
    rows = []
    for pair, label in gold.items():
        found = listed.get(pair)
        if found is not None:
            rows.append(_Row(number, label, found.label, found.probability, True))
        else:  # a document's prediction need not list pairs without a relation
            guess = negative if prediction is not None and example.asked is None else None
            rows.append(_Row(number, label, guess, 0.0, False))
    for pair, found in listed.items():
        if pair not in gold:
            rows.append(_Row(number, negative, found.label, found.probability, True))
    return rows


def _share(part: float, whole: float, otherwise: float = 0.0) -> float:
    return part / whole if whole else otherwise


def _micro(confusion: Floats, negative: int) -> dict[str, float]:
    """TACRED's figures."""
    right = confusion.diagonal().sum() - confusion[negative, negative]
    found = confusion[:, :-1].sum() - confusion[:, negative].sum()
    known = confusion.sum() - confusion[negative].sum()
    precision, recall = _share(float(right), float(found), 1.0), _share(float(right), float(known))
    f1 = _share(2 * precision * recall, precision + recall)
    return {"precision": 100 * precision, "recall": 100 * recall, "f1": 100 * f1}


@dataclass(frozen=True, slots=True)
class _Averages:
    """Percentages over classes: [C] F1 of each, [C] whether the gold data have it, and both averages."""

    f1: Floats
    is_known: npt.NDArray[np.bool_]
    macro: tuple[float, float, float]
    micro: tuple[float, float, float]


def _averages(right: Floats, found: Floats, known: Floats, negative: int) -> _Averages:
    """SemEval's figures from what is right, predicted and gold of each class, [C] each."""
    precision = 100 * np.divide(right, found, out=np.zeros_like(right), where=found > 0)
    recall = 100 * np.divide(right, known, out=np.zeros_like(right), where=known > 0)
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(right), where=total > 0)
    is_known = known > 0
    counted = is_known & (np.arange(len(known)) != negative)
    if not counted.any():
        return _Averages(f1, is_known, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    sums = [float(values[counted].sum()) for values in (right, found, known)]
    micro_p, micro_r = 100 * _share(sums[0], sums[1]), 100 * _share(sums[0], sums[2])
    micro = micro_p, micro_r, _share(2 * micro_p * micro_r, micro_p + micro_r)
    macro = tuple(float(values[counted].mean()) for values in (precision, recall, f1))
    return _Averages(f1, is_known, (macro[0], macro[1], macro[2]), micro)


def _named(scores: _Averages, prefix: str, *, micro: bool = False) -> dict[str, float]:
    names = ("precision", "recall", "f1")
    figures = {f"{prefix}macro_{name}": value for name, value in zip(names, scores.macro, strict=True)}
    if micro:
        figures |= {f"{prefix}micro_{name}": value for name, value in zip(names, scores.micro, strict=True)}
    return figures
