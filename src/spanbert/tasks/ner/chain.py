"""Linear chains without torch: the best tags of a text, and how probable an entity is.

Scores are those of a whole text: `emissions` [U, L] of its units, and `table` [L + 2, L], the transitions between tags,
then the scores of being first and of being last (`crf.LinearChainCrf.table`); zeros where there is no CRF.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spanbert.spans import LabelledSpan

FloatArray = npt.NDArray[np.float64]


def best_tags(emissions: npt.NDArray[np.floating], table: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """int64 [U], the tags with the highest score of all (Viterbi)."""
    num_units, num_tags = emissions.shape
    if not num_units:
        return np.zeros(0, np.int64)
    emissions, table = emissions.astype(np.float64), table.astype(np.float64)
    transitions = table[:-2].T  # [to, from]
    came_from = np.zeros((num_units, num_tags), np.int64)
    best = emissions[0] + table[-2]
    for place in range(1, num_units):
        scores = transitions + best
        came_from[place] = scores.argmax(1)
        best = scores.max(1) + emissions[place]
    tags = np.zeros(num_units, np.int64)
    tags[-1] = int((best + table[-1]).argmax())
    for place in range(num_units - 1, 0, -1):
        tags[place - 1] = came_from[place, tags[place]]
    return tags


class ChainProbabilities:
    """Probabilities of entities in one text under a linear chain (the forward-backward algorithm)."""

    def __init__(self, emissions: npt.NDArray[np.floating], table: npt.NDArray[np.floating]) -> None:
        """[U, L] and [L + 2, L], U at least 1."""
        self._emissions = emissions.astype(np.float64)
        self._table = table.astype(np.float64)
        num_units = len(emissions)
        self._forward = np.empty_like(self._emissions)
        self._forward[0] = self._emissions[0] + self._table[-2]
        into = self._table[:-2].T  # [to, from]
        for place in range(1, num_units):
            self._forward[place] = _log_sum(into + self._forward[place - 1]) + self._emissions[place]
        self._backward = np.empty_like(self._emissions)
        self._backward[-1] = self._table[-1]
        for place in range(num_units - 2, -1, -1):
            following = self._emissions[place + 1] + self._backward[place + 1]
            self._backward[place] = _log_sum(self._table[:-2] + following)
        self._log_sum = float(_log_sum(self._forward[-1] + self._table[-1]))

    def of_entity(self, start: int, tags: Sequence[int]) -> float:
        """The probability that the units from `start` have exactly these tags, and that no further unit continues them.

        `tags` are those of one entity, so the last one's label is continued by the tag I- of that label.
        """
        end = start + len(tags)
        total = self._forward[start, tags[0]]
        for place, (before, tag) in enumerate(pairwise(tags), start + 1):
            total += self._table[before, tag] + self._emissions[place, tag]
        if end == len(self._emissions):
            total += self._table[-1, tags[-1]]
        else:
            following = self._table[tags[-1]] + self._emissions[end] + self._backward[end]
            inside = tags[-1] + tags[-1] % 2
            total += _log_sum(np.delete(following, inside))
        return float(np.exp(min(0.0, total - self._log_sum)))


def entity_probabilities(
    entities: Sequence[LabelledSpan], tags: npt.NDArray[np.int64], emissions: FloatArray, table: FloatArray | None
) -> list[float]:
    """The probability of each entity, given as a span of units, exactly as it is; `table` None: words are independent.

    Independent words are a chain without transitions, whose sums have a short form.
    """
    if not entities:
        return []
    if table is not None:
        chain = ChainProbabilities(emissions, table)
        return [chain.of_entity(start, tags[start:end].tolist()) for start, end, _ in entities]
    logs = emissions - _log_sum(emissions)[:, None]
    probabilities = []
    for start, end, _ in entities:
        total = float(logs[np.arange(start, end), tags[start:end]].sum())
        if end < len(tags):
            inside = int(tags[end - 1] + tags[end - 1] % 2)
            total += float(np.log1p(-min(np.exp(logs[end, inside]), 1 - 1e-12)))
        probabilities.append(float(np.exp(total)))
    return probabilities


def _log_sum(values: FloatArray) -> FloatArray:
    """Log of the summed exponentials along the last axis."""
    highest = values.max(-1, keepdims=True)
    summed: FloatArray = highest[..., 0] + np.log(np.exp(values - highest).sum(-1))
    return summed
