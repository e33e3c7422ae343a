"""From scores to entities, and what a development set says of thresholds and probabilities.

An entity's probability is that of exactly this span with this label. Tagging heads: the chance of its tags, one after
the other, and of no further word that continues it; for the linear head the words are independent, for a CRF it is the
marginal of the whole text. Span head: the span's own logistic score. All scores are divided by the temperature first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert.spans import LabelledSpan, spans_from_tags, well_formed_spans
from spanbert.task import Scored
from spanbert.tasks.ner.chain import FloatArray, best_tags, entity_probabilities
from spanbert.tasks.ner.config import EntitySettings
from spanbert.tasks.ner.examples import EntityExample, EntityPrediction, PredictedEntity, sorted_entities
from spanbert.tasks.ner.features import UnitPlace
from spanbert.temperature import fit_temperature

_MOST_TEXTS = 500
"""Texts with entities that the temperature is fitted on, at most."""
_FAINT = 0.01
"""Least score of a span that thresholds are chosen among."""


@dataclass(frozen=True, slots=True)
class Found:
    """The entities of one text as spans of its units, and the scores they come from.

    `tags` and `table` as in `chain`; for the span head `tags` is empty and `scores` [n] the logit of each entity.
    """

    entities: list[LabelledSpan]
    tags: npt.NDArray[np.int64]
    scores: FloatArray
    table: FloatArray | None

    def probabilities(self, temperature: float, *, span_head: bool) -> list[float]:
        """Of each entity."""
        if span_head:
            return [float(value) for value in _logistic(self.scores / temperature)]
        table = None if self.table is None else self.table / temperature
        return entity_probabilities(self.entities, self.tags, self.scores / temperature, table)


def decode_entities(scored: Scored[EntityExample], settings: EntitySettings) -> EntityPrediction:
    """The entities of one text."""
    found = find(scored, settings)
    probabilities = found.probabilities(settings.temperature, span_head=settings.head == "span")
    example = scored.example
    entities = []
    for span, probability in zip(_in_text(found.entities, scored), probabilities, strict=True):
        entities.append(PredictedEntity(*span, example.text[span.start : span.end], probability))
    return EntityPrediction(example.id, sorted_entities(entities))


def find(scored: Scored[EntityExample], settings: EntitySettings) -> Found:
    """The entities of one text as spans of units."""
    if settings.head == "span":
        return _find_spans(scored, settings)
    emissions = np.concatenate([scores["tags"] for scores in scored.scores]).astype(np.float64)
    table: FloatArray | None = None
    if settings.head == "linear":
        tags = emissions.argmax(1)
    else:
        table = scored.scores[0]["transitions"][0].astype(np.float64)
        tags = best_tags(emissions, table)
    names = [settings.tags[tag] for tag in tags]
    strict = settings.tag_reading == "strict"
    entities = well_formed_spans(names, "BIO") if strict else spans_from_tags(names)
    return Found(entities, tags, emissions, table)


def _find_spans(scored: Scored[EntityExample], settings: EntitySettings) -> Found:
    logits, rows = _span_scores(scored)
    least = np.array([settings.thresholds.get(label, 0.5) for label in settings.labels])
    chosen, labels = np.nonzero(_logistic(logits) >= least)
    scores = logits[chosen, labels]
    best_first = np.argsort(-scores, kind="stable")
    taken = np.zeros(len(_place(scored, 0).units), np.bool_)
    entities: list[LabelledSpan] = []
    kept: list[float] = []
    for index in best_first.tolist():
        start, end = rows[chosen[index]].tolist()
        if settings.flat and taken[start:end].any():
            continue
        taken[start:end] = True
        entities.append(LabelledSpan(start, end, settings.labels[labels[index]]))
        kept.append(float(scores[index]))
    return Found(entities, np.zeros(0, np.int64), np.array(kept), None)


def _span_scores(scored: Scored[EntityExample]) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Logits [S, K] and spans [S, 2] of units, of all windows."""
    logits = np.concatenate([scores["spans"] for scores in scored.scores]).astype(np.float64)
    return logits, np.concatenate([_place(scored, number).rows for number in range(len(scored.windows))])


def _place(scored: Scored[EntityExample], number: int) -> UnitPlace:
    place = scored.windows[number].place
    assert isinstance(place, UnitPlace)
    return place


def _in_text(entities: Iterable[LabelledSpan], scored: Scored[EntityExample]) -> list[LabelledSpan]:
    """Spans of units as spans of the text's code points."""
    units = _place(scored, 0).units
    return [LabelledSpan(int(units[start, 0]), int(units[end - 1, 1]), label) for start, end, label in entities]


def fit_thresholds(scored: Sequence[Scored[EntityExample]], settings: EntitySettings) -> dict[str, float]:
    """For each label that is in the development set, the least score with which its F1 there is highest.

    Each label by itself: that a flat model drops overlapping spans is not looked at. A threshold lies half-way between
    the last score it lets through and the next.
    """
    scores: list[list[FloatArray]] = [[] for _ in settings.labels]
    hits: list[list[npt.NDArray[np.bool_]]] = [[] for _ in settings.labels]
    num_gold = np.zeros(len(settings.labels), np.int64)
    for one in scored:
        logits, rows = _span_scores(one)
        units = _place(one, 0).units
        values = _logistic(logits)
        gold = set(one.example.entities or ())
        for number, label in enumerate(settings.labels):
            num_gold[number] += sum(entity.label == label for entity in gold)
            chosen = np.flatnonzero(values[:, number] >= _FAINT)
            places = zip(units[rows[chosen, 0], 0].tolist(), units[rows[chosen, 1] - 1, 1].tolist(), strict=True)
            hits[number].append(np.array([(start, end, label) in gold for start, end in places], np.bool_))
            scores[number].append(values[chosen, number])
    thresholds = {}
    for number, label in enumerate(settings.labels):
        if num_gold[number]:
            all_scores, all_hits = np.concatenate(scores[number]), np.concatenate(hits[number])
            thresholds[label] = _best_threshold(all_scores, all_hits, int(num_gold[number]))
    return thresholds


def _best_threshold(scores: FloatArray, hits: npt.NDArray[np.bool_], num_gold: int) -> float:
    if not hits.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ordered = np.append(scores[order], 0.0)
    f1 = 2 * np.cumsum(hits[order]) / (np.arange(1, len(scores) + 1) + num_gold)
    f1[ordered[:-1] == ordered[1:]] = -1  # equal scores are let through together
    best = int(f1.argmax())
    return float((ordered[best] + ordered[best + 1]) / 2)


def temperature_of(scored: Sequence[Scored[EntityExample]], settings: EntitySettings) -> float:
    """The temperature with which the probabilities of predicted entities say best whether they are right."""
    found: list[tuple[Found, npt.NDArray[np.bool_]]] = []
    for one in scored:
        result = find(one, settings)
        if result.entities:
            gold = set(one.example.entities or ())
            found.append((result, np.array([span in gold for span in _in_text(result.entities, one)])))
    chosen = [found[index] for index in np.linspace(0, len(found) - 1, min(len(found), _MOST_TEXTS)).astype(int)]
    if not chosen:
        return 1.0
    return fit_temperature(lambda temperature: _log_loss(chosen, temperature, settings))


def _log_loss(
    found: Sequence[tuple[Found, npt.NDArray[np.bool_]]], temperature: float, settings: EntitySettings
) -> float:
    span_head = settings.head == "span"
    values = np.array([p for one, _ in found for p in one.probabilities(temperature, span_head=span_head)])
    hits = np.concatenate([hits for _, hits in found])
    values = np.clip(values, 1e-6, 1 - 1e-6)
    return -float(np.where(hits, np.log(values), np.log1p(-values)).sum())


def _logistic(logits: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
