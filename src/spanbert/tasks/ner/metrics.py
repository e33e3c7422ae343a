"""Entity-level figures, as conlleval (Tjong Kim Sang and De Meulder 2003) and seqeval compute them.

An entity is right when its two ends and its label are. `precision`, `recall` and `f1` count all entities together;
`macro_f1` is the mean over labels. Partial matches: `overlap_*` asks only for the label and one character in common,
`boundaries_*` only for the two ends. `accuracy`, where every text has its words, is the share of words with the right
tag, written in BIO, as conlleval prints it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spanbert.spans import LabelledSpan, Span
from spanbert.task import Comparison, IntArray
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity

_NOTHING = "(none)"
# Columns of the counts of an example: gold and predicted entities, those that overlap, those whose boundaries match.
_GOLD, _PREDICTED, _GOLD_OVERLAP, _PREDICTED_OVERLAP, _GOLD_BOUNDARIES, _PREDICTED_BOUNDARIES = range(6)


class EntityComparison(Comparison):
    """Gold and predicted entities of E texts; an entity that is given twice counts once."""

    def __init__(self, gold: Sequence[EntityExample], predicted: Sequence[EntityPrediction | None]) -> None:
        self._pairs = [
            (set(example.entities or ()), {entity.span: entity for entity in prediction.entities} if prediction else {})
            for example, prediction in zip(gold, predicted, strict=True)
        ]
        self._labels = sorted({span.label for right, found in self._pairs for span in (*right, *found)})
        number = {label: index for index, label in enumerate(self._labels)}
        # [E, K, 3]: right, predicted, gold
        self._by_label = np.zeros((len(gold), len(self._labels), 3), np.int64)
        self._counts = np.zeros((len(gold), 6), np.int64)
        for index, (right, found) in enumerate(self._pairs):
            for column, spans in enumerate((right & found.keys(), found, right)):
                for span in spans:
                    self._by_label[index, number[span.label], column] += 1
            self._counts[index] = _partial(right, list(found))
        self._words = _word_counts(gold, self._pairs)

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._pairs)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """Percentages over the texts of `chosen`, or all; a share of nothing is 0, as conlleval has it."""
        take = slice(None) if chosen is None else chosen
        by_label = self._by_label[take].sum(0)
        counts = self._counts[take].sum(0)
        right, num_predicted, num_gold = by_label.sum(0).tolist()
        figures = _three("", right, num_predicted, right, num_gold)
        single: dict[str, float] = {}
        f1s = []
        for label, (label_right, label_predicted, label_gold) in zip(self._labels, by_label.tolist(), strict=True):
            three = _three("", label_right, label_predicted, label_right, label_gold)
            single |= {f"{name}/{label}": value for name, value in three.items()}
            if label_predicted or label_gold:
                f1s.append(three["f1"])
        figures["macro_f1"] = float(np.mean(f1s)) if f1s else 0.0
        for name, in_predicted, in_gold in (
            ("overlap_", _PREDICTED_OVERLAP, _GOLD_OVERLAP),
            ("boundaries_", _PREDICTED_BOUNDARIES, _GOLD_BOUNDARIES),
        ):
            figures |= _three(name, counts[in_predicted], counts[_PREDICTED], counts[in_gold], counts[_GOLD])
        if self._words is not None:
            right_words, num_words = self._words[take].sum(0).tolist()
            figures["accuracy"] = _percent(right_words, num_words)
        return figures | single

    def badness(self) -> npt.NDArray[np.float64]:
        """[E] missed entities, and wrong ones by their probability (1 where it is not known)."""
        badness = np.zeros(len(self._pairs))
        for index, (right, found) in enumerate(self._pairs):
            wrong = sum(_probability(entity) for span, entity in found.items() if span not in right)
            badness[index] = len(right - found.keys()) + wrong
        return badness

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """Of every predicted entity its probability and whether it is right; None where some have none."""
        values = [(entity.probability, span in right) for right, found in self._pairs for span, entity in found.items()]
        known = [value for value, _ in values if value is not None]
        if not values or len(known) < len(values):
            return None
        return np.array(known), np.array([is_right for _, is_right in values])

    def confusions(self) -> Mapping[tuple[str, str], int]:
        """(gold label, predicted label) -> number of spans with the same boundaries; "(none)" where one has none."""
        confusions: Counter[tuple[str, str]] = Counter()
        for right, found in self._pairs:
            confusions.update((span.label, span.label) for span in right & found.keys())
            missed, wrong = _at_place(right - found.keys()), _at_place(found.keys() - right)
            for place in missed.keys() | wrong.keys():
                gold_labels, other_labels = missed.get(place, []), wrong.get(place, [])
                for index in range(max(len(gold_labels), len(other_labels))):
                    gold_label = gold_labels[index] if index < len(gold_labels) else _NOTHING
                    confusions[gold_label, other_labels[index] if index < len(other_labels) else _NOTHING] += 1
        return dict(confusions)


def _probability(entity: PredictedEntity) -> float:
    return 1.0 if entity.probability is None else entity.probability


def _at_place(spans: Iterable[LabelledSpan]) -> dict[Span, list[str]]:
    places: dict[Span, list[str]] = {}
    for start, end, label in sorted(spans):
        places.setdefault(Span(start, end), []).append(label)
    return places


def _three(prefix: str, right: int, num_predicted: int, found: int, num_gold: int) -> dict[str, float]:
    """Precision (`right` of `num_predicted`), recall (`found` of `num_gold`) and their harmonic mean."""
    precision, recall = _percent(right, num_predicted), _percent(found, num_gold)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {f"{prefix}precision": precision, f"{prefix}recall": recall, f"{prefix}f1": f1}


def _percent(part: int, whole: int) -> float:
    return 100 * float(part) / float(whole) if whole else 0.0


def _partial(right: set[LabelledSpan], found: list[LabelledSpan]) -> tuple[int, ...]:
    """The counts of one example, in the order of the columns."""
    if not right or not found:
        return len(right), len(found), 0, 0, 0, 0
    places, found_places = {span[:2] for span in right}, {span[:2] for span in found}
    return (
        len(right),
        len(found),
        sum(any(_meet(span, other) for other in found) for span in right),
        sum(any(_meet(span, other) for other in right) for span in found),
        sum(span[:2] in found_places for span in right),
        sum(span[:2] in places for span in found),
    )


def _meet(one: LabelledSpan, other: LabelledSpan) -> bool:
    return one.label == other.label and one.start < other.end and other.start < one.end


def _word_counts(
    gold: Sequence[EntityExample], pairs: Sequence[tuple[set[LabelledSpan], Mapping[LabelledSpan, PredictedEntity]]]
) -> npt.NDArray[np.int64] | None:
    """[E, 2] words with the right tag, words; None where some text has no words of its own."""
    counts = np.zeros((len(gold), 2), np.int64)
    for index, (example, (right, found)) in enumerate(zip(gold, pairs, strict=True)):
        if example.words is None:
            return None
        wrong = 0
        if right or found:
            one, other = (_tags(example.words, spans) for spans in (right, found))
            wrong = sum(a != b for a, b in zip(one, other, strict=True))
        counts[index] = len(example.words) - wrong, len(example.words)
    return counts


def _tags(words: Sequence[Span], entities: Iterable[LabelledSpan]) -> list[str]:
    """The BIO tag of each word; of entities that overlap, the one that begins first, then the wider, decides."""
    starts = np.array([word.start for word in words])
    ends = np.array([word.end for word in words])
    tags = ["O"] * len(words)
    for start, end, label in sorted(entities, key=lambda span: (span.start, -span.end, span.label)):
        first, last = int(np.searchsorted(ends, start, "right")), int(np.searchsorted(starts, end, "left"))
        if all(tag == "O" for tag in tags[first:last]):
            tags[first:last] = [f"B-{label}"] + [f"I-{label}"] * (last - first - 1) if last > first else []
    return tags
