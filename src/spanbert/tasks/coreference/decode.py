"""From the scores of a document's mentions to its clusters, and what is fitted to a development set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import IntArray, Scored
from spanbert.tasks.coreference.config import CoreferenceSettings
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.features import WordPlaces, words_of_mentions
from spanbert.temperature import fit_temperature

FloatArray = npt.NDArray[np.floating]


class KeptMentions(NamedTuple):
    """The M mentions of a document that are kept, with what the model says of them; see `SpanBertForCoreference.score`.

    places: of the document's words. mentions: [M, 2] first and last word. mention_scores: [M]. antecedents: [M, K].
    antecedent_scores: [M, 1 + K]. given: the spans of the text that were given as mentions, by their words.
    """

    places: WordPlaces
    mentions: IntArray
    mention_scores: FloatArray
    antecedents: IntArray
    antecedent_scores: FloatArray
    given: Mapping[tuple[int, int], Span]

    def span(self, mention: int) -> Span:
        """Where a mention stands in the text."""
        first, last = self.mentions[mention].tolist()
        if self.given:
            return self.given[first, last]
        return Span(int(self.places.words[first, 0]), int(self.places.words[last, 1]))


def decode_clusters(scored: Scored[CoreferenceExample], settings: CoreferenceSettings) -> CoreferencePrediction:
    """Link every mention to its best antecedent, if there is one; what is linked is a cluster."""
    kept = kept_mentions(scored)
    probabilities = link_probabilities(kept.antecedent_scores, settings.temperature)
    chosen = kept.antecedent_scores.argmax(1)  # 0: no antecedent
    clusters: dict[int, list[PredictedMention]] = {}  # by their first mentions
    first_of: dict[int, int] = {}
    links = np.flatnonzero(chosen)
    for mention in links.tolist():
        antecedent = int(kept.antecedents[mention, chosen[mention] - 1])
        first = first_of.setdefault(antecedent, antecedent)
        first_of[mention] = first
        if first not in clusters:
            clusters[first] = [_mention(scored.example, kept, first)]
        clusters[first].append(
            _mention(scored.example, kept, mention, antecedent, float(probabilities[mention, chosen[mention]]))
        )
    for mention in _singletons(kept, scored.example, settings, first_of):
        probability = float(_logistic(kept.mention_scores[mention] - settings.mention_threshold))
        clusters[mention] = [_mention(scored.example, kept, mention, probability=probability)]
    return CoreferencePrediction(
        scored.example.id, tuple(tuple(clusters[first]) for first in sorted(clusters)), scored.example.text
    )


def link_probabilities(scores: FloatArray, temperature: float) -> npt.NDArray[np.float64]:
    """[M, 1 + K] scores -> probabilities that sum to 1 over K antecedents and "no antecedent"."""
    scaled = scores.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True, initial=0.0))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def calibrated(scored: Sequence[Scored[CoreferenceExample]], settings: CoreferenceSettings) -> CoreferenceSettings:
    """The settings with the temperature of links and the threshold of singletons that fit known answers."""
    scores, right, mention_scores, is_mention = [], [], [], []
    for one in scored:
        if one.example.clusters is None:
            continue
        kept = kept_mentions(one)
        cluster = gold_clusters(kept, one.example)
        is_right = (cluster[kept.antecedents] == cluster[:, None]) & (kept.antecedents >= 0) & (cluster >= 0)[:, None]
        scores.append(kept.antecedent_scores)
        right.append(np.concatenate((~is_right.any(1, keepdims=True), is_right), 1))
        if one.example.mentions is None:  # given ones are singletons whatever their score
            linked = kept.antecedent_scores.argmax(1) > 0
            mention_scores.append(kept.mention_scores[~linked])
            is_mention.append((cluster >= 0)[~linked])
    if not any(map(len, scores)):
        return settings

    def surprise(temperature: float) -> float:
        return -sum(
            float(np.log((link_probabilities(some, temperature) * those).sum(1) + 1e-300).sum())
            for some, those in zip(scores, right, strict=True)
        )

    settings = replace(settings, temperature=fit_temperature(surprise))
    if settings.singletons and mention_scores:
        threshold = best_threshold(np.concatenate(mention_scores), np.concatenate(is_mention))
        settings = replace(settings, mention_threshold=threshold)
    return settings


def best_threshold(scores: FloatArray, right: npt.NDArray[np.bool_]) -> float:
    """The score from which on taking all gives the best F1; halfway to the next lower score."""
    if not right.any():
        return 0.0
    order = np.argsort(-scores, kind="stable")
    hits = right[order].cumsum()
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + right.sum())
    ranked = scores[order]
    f1[:-1][ranked[1:] == ranked[:-1]] = -1.0  # equal scores are taken together
    best = int(f1.argmax())
    next_lower = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] - 1
    return float((ranked[best] + next_lower) / 2)


def kept_mentions(scored: Scored[CoreferenceExample]) -> KeptMentions:
    """The mentions that the model kept of a document."""
    rows = scored.scores[0]  # what is about the document goes with its first window
    places = scored.windows[0].place
    given: dict[tuple[int, int], Span] = {}
    mentions = scored.example.mentions or ()
    for (first, last), span in zip(words_of_mentions(mentions, places).tolist(), mentions, strict=True):
        given.setdefault((first, last), span)
    return KeptMentions(
        places,
        rows["mentions"].astype(np.int64),
        rows["mention_scores"],
        rows["antecedents"].astype(np.int64),
        rows["antecedent_scores"],
        given,
    )


def gold_clusters(kept: KeptMentions, example: CoreferenceExample) -> npt.NDArray[np.int64]:
    """[M] the number of each kept mention's right cluster, -1 where it has none."""
    number_of: dict[tuple[int, int], int] = {}
    for number, cluster in enumerate(example.clusters or ()):
        for first, last in words_of_mentions(cluster, kept.places).tolist():
            number_of.setdefault((first, last), number)
    return np.array([number_of.get((first, last), -1) for first, last in kept.mentions.tolist()], np.int64)


def _singletons(
    kept: KeptMentions, example: CoreferenceExample, settings: CoreferenceSettings, linked: dict[int, int]
) -> list[int]:
    """The kept mentions that stand alone; of given ones, all that are not linked."""
    if not settings.singletons:
        return []
    is_mention = kept.mention_scores >= settings.mention_threshold
    if example.mentions is not None:
        is_mention[:] = True
    return [mention for mention in np.flatnonzero(is_mention).tolist() if mention not in linked]


def _mention(
    example: CoreferenceExample,
    kept: KeptMentions,
    mention: int,
    antecedent: int | None = None,
    probability: float | None = None,
) -> PredictedMention:
    span = kept.span(mention)
    return PredictedMention(
        *span,
        text=example.text[span.start : span.end],
        antecedent=None if antecedent is None else kept.span(antecedent),
        probability=probability,
    )


def _logistic(score: float) -> float:
    return float(1 / (1 + np.exp(-np.float64(score))))
