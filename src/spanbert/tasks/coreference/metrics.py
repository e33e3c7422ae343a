"""Gold and predicted clusters of a corpus, compared: the CoNLL metrics, LEA, mention detection, and GAP's figures.

`spanbert.tasks.coreference.scores` says how clusters are counted, `gap_scores` how the answers to GAP's questions are.
Documents count for the former, examples with a question for the latter only: their clusters are not known in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.task import Comparison, IntArray
from spanbert.tasks.coreference.examples import (
    AmbiguousPronoun,
    CoreferenceExample,
    CoreferencePrediction,
    PredictedMention,
)
from spanbert.tasks.coreference.gap_scores import gap_counts, gap_figures, mention_of
from spanbert.tasks.coreference.scores import METRICS, cluster_of_mentions, document_counts, scores

Link = tuple[PredictedMention, bool]
"""A predicted mention that was linked, and whether the link is right."""


class CoreferenceComparison(Comparison):
    """Gold and predicted clusters of E examples.

    Args:
        gold: the examples; documents whose clusters are not known, and decisions whose answer is not known, are passed
            over.
        predicted: None for no prediction at all.
    """

    def __init__(self, gold: Sequence[CoreferenceExample], predicted: Sequence[CoreferencePrediction | None]) -> None:
        self._pairs = list(zip(gold, predicted, strict=True))
        self._has_questions = any(example.pronoun is not None for example in gold)
        self._has_documents = not self._has_questions or any(example.pronoun is None for example in gold)
        self._counts = np.zeros((len(gold), len(METRICS), 2, 2))
        self._gap_counts = np.zeros((len(gold), 3, 3))
        for index, (example, prediction) in enumerate(self._pairs):
            if example.pronoun is not None:
                self._gap_counts[index] = gap_counts(example, prediction)
            elif example.clusters is not None:
                self._counts[index] = document_counts(example.clusters, prediction.spans if prediction else ())

    @property
    def num_examples(self) -> int:
        """E."""
        return len(self._pairs)

    def figures(self, chosen: IntArray | None = None) -> dict[str, float]:
        """Percentages over the examples of `chosen`, or all: numerators and denominators are summed over documents.

        Cluster figures, "conll_f1" first, are there unless every example asks about a pronoun; GAP's if any does.
        """
        take = slice(None) if chosen is None else chosen
        figures = scores(self._counts[take].sum(0)) if self._has_documents else {}
        return figures | (gap_figures(self._gap_counts[take].sum(0)) if self._has_questions else {})

    def badness(self) -> npt.NDArray[np.float64]:
        """[E] of a document: links and singletons that are missed, and wrong ones by their probability; of a question:
        decisions so (1 where a probability is not known)."""
        badness = np.zeros(len(self._pairs))
        for index, (example, prediction) in enumerate(self._pairs):
            wrong = [_weight(mention) for mention, is_right in _links(example, prediction) if not is_right]
            if example.pronoun is not None:
                _, false_positives, false_negatives = self._gap_counts[index, 0]
                badness[index] = false_positives - len(wrong) + sum(wrong) + false_negatives
            elif example.clusters is not None:
                found, num_links = self._counts[index, METRICS.index("muc"), 1]
                badness[index] = num_links - found + sum(wrong) + _wrong_singletons(example, prediction)
        return badness

    def confidences(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None:
        """Of every predicted link its probability, and whether one gold cluster holds its mention and its antecedent;
        of a question, of links between its pronoun and its names only. None where some have no probability."""
        links = [
            (mention.probability, is_right)
            for example, prediction in self._pairs
            for mention, is_right in _links(example, prediction)
            if mention.antecedent is not None
        ]
        known = [probability for probability, _ in links if probability is not None]
        if not links or len(known) < len(links):
            return None
        return np.array(known), np.array([is_right for _, is_right in links])


def _links(example: CoreferenceExample, prediction: CoreferencePrediction | None) -> Iterator[Link]:
    """The links of a prediction of which is known whether they are right."""
    if prediction is None:
        return
    if example.pronoun is not None:
        yield from _answering_links(example.text, example.pronoun, prediction)
    elif example.clusters is not None:
        cluster_of = cluster_of_mentions(example.clusters)
        for cluster in prediction.clusters:
            seen: set[int | None] = set()
            for number, mention in enumerate(cluster):
                own = cluster_of.get(mention.span)
                if number:
                    # Without an antecedent, as in files of clusters alone, one right mention before it is enough: MUC.
                    antecedent = mention.antecedent
                    before = seen if antecedent is None else {cluster_of.get(antecedent)}
                    yield mention, own is not None and own in before
                seen.add(own)


def _answering_links(text: str, question: AmbiguousPronoun, prediction: CoreferencePrediction) -> Iterator[Link]:
    """Links from the pronoun to a name or back, whose answer is known."""
    mentions = {mention.span for cluster in prediction.clusters for mention in cluster}
    answers: dict[Span, bool] = {}
    for name, answer in ((question.a, question.is_a), (question.b, question.is_b)):
        place = mention_of(name, text, mentions)
        if place is not None and answer is not None:
            answers[place] = answer or answers.get(place, False)
    for cluster in prediction.clusters:
        for mention in cluster:
            ends = {mention.span, mention.antecedent}
            for place, answer in answers.items():
                if ends == {question.pronoun, place}:
                    yield mention, answer


def _wrong_singletons(example: CoreferenceExample, prediction: CoreferencePrediction | None) -> float:
    """Gold singletons that are no predicted mention, and predicted ones that are no gold mention by probability."""
    predicted, gold = prediction.clusters if prediction else (), example.clusters or ()
    found = {mention.span for cluster in predicted for mention in cluster}
    known = {mention for cluster in gold for mention in cluster}
    missed = sum(len(cluster) == 1 and cluster[0] not in found for cluster in gold)
    return missed + sum(_weight(one[0]) for one in predicted if len(one) == 1 and one[0].span not in known)


def _weight(mention: PredictedMention) -> float:
    return 1.0 if mention.probability is None else mention.probability
