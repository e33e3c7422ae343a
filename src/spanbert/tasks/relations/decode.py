"""From the scores of an example's pairs to its relations, and the temperature that makes probabilities honest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from spanbert.task import Scored
from spanbert.tasks.relations.config import RelationSettings
from spanbert.tasks.relations.examples import Argument, PredictedRelation, RelationExample, RelationPrediction
from spanbert.tasks.relations.features import Place
from spanbert.tasks.relations.pairs import gold_labels, negative_label
from spanbert.temperature import fit_temperature


def decode_relations(scored: Scored[RelationExample], settings: RelationSettings) -> RelationPrediction:
    """The likeliest label of every judged pair."""
    example = scored.example
    places: list[Place] = [window.place for window in scored.windows]
    pairs = np.concatenate([place.pairs for place in places])
    logits = np.concatenate([rows["relations"] for rows in scored.scores])
    probabilities = softmax(logits, settings.temperature)
    best = probabilities.argmax(1) if len(pairs) else np.zeros(0, np.int64)
    negative = negative_label(settings.labels, settings)
    is_negative = np.array([label == negative for label in settings.labels], bool)[best]
    listed = np.ones(len(pairs), bool) if example.asked is not None or settings.show_all_pairs else ~is_negative
    arguments = [
        Argument(number, entity.start, entity.end, entity.type, example.text[entity.start : entity.end])
        for number, entity in enumerate(example.entities)
    ]
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    relations = []
    for row in order[listed[order]].tolist():
        head, tail = pairs[row].tolist()
        relations.append(
            PredictedRelation(
                arguments[head],
                arguments[tail],
                settings.labels[best[row]],
                float(probabilities[row, best[row]]),
                bool(is_negative[row]),
            )
        )
    return RelationPrediction(
        id=example.id,
        relations=tuple(relations),
        num_judged=len(pairs),
        num_left_out=sum(place.num_left_out for place in places),
        num_split=sum(len(place.pairs) for place in places if place.is_split),
    )


def softmax(logits: npt.NDArray[np.floating], temperature: float) -> npt.NDArray[np.float64]:
    """[P, L] logits -> [P, L] probabilities."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True, initial=-np.inf))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def temperature_of(scored: Sequence[Scored[RelationExample]], settings: RelationSettings) -> float:
    """The temperature under which the right answers of pairs that have one are likeliest."""
    number = {label: place for place, label in enumerate(settings.labels)}
    negative = negative_label(settings.labels, settings)
    rows, right = [], []
    for one in scored:
        if one.example.relations is None:
            continue
        gold = gold_labels(one.example, negative)
        for window, scores in zip(one.windows, one.scores, strict=True):
            for pair, logits in zip(window.place.pairs.tolist(), scores["relations"], strict=True):
                label = number.get(gold.get(tuple(pair), negative))
                if label is not None:
                    rows.append(logits)
                    right.append(label)
    if not rows:
        return settings.temperature
    logits, labels = np.stack(rows), np.array(right)
    return fit_temperature(
        lambda temperature: -float(np.log(softmax(logits, temperature)[np.arange(len(labels)), labels] + 1e-300).sum())
    )
