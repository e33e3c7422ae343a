"""What the metrics of coreference count in a document: MUC, B-cubed, CEAF-e, LEA and mentions.

Every metric is two fractions, precision and recall, whose numerators and denominators are summed over the documents of
a corpus before they are divided, as the reference scorer does (Pradhan et al. 2014, version 8.01). The key K holds the
gold clusters, the response R the predicted ones; mentions are equal when their spans are. Singletons count as any other
cluster, in the key and in the response.

    MUC      Vilain et al. 1995: links that partition a cluster's mentions; singletons have none.
    B-cubed  Bagga and Baldwin 1998: for each mention, the share of its cluster that the other side's shares. Mentions
             without a twin on the other side have 0; nothing is added to either side (Pradhan et al. 2014, 3.2).
    CEAF-e   Luo 2005: the best one-to-one alignment of clusters under phi4 = 2 |K and R| / (|K| + |R|).
    LEA      Moosavi and Strube 2016: links of a cluster that are resolved, weighted by its size. A singleton has one
             link, to itself, which only a singleton resolves.
    mention  spans that both sides have.

A mention is in one cluster only. Where one is in two, the cluster that begins first in the text keeps it; within a
cluster it counts once. The reference scorer does so with response mentions that the key has, and refuses more than ten
of them; its counts of other repeated mentions depend on the order of its input.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span
from spanbert.tasks.coreference.examples import sorted_clusters

METRICS = ("muc", "b_cubed", "ceaf_e", "lea", "mention")
"""The order of metrics in an array of counts."""

CONLL_METRICS = ("muc", "b_cubed", "ceaf_e")
"""Those whose F1 the CoNLL average is the mean of (Pradhan et al. 2012)."""

Floats = npt.NDArray[np.float64]


def cluster_of_mentions(clusters: Sequence[Sequence[Span]]) -> dict[Span, int]:
    """The number of each mention's cluster; of several, the first in order of the text."""
    number: dict[Span, int] = {}
    for index, cluster in enumerate(sorted_clusters(clusters)):
        for mention in cluster:
            number.setdefault(mention, index)
    return number


def document_counts(key: Sequence[Sequence[Span]], response: Sequence[Sequence[Span]]) -> Floats:
    """Compare the clusters of a document.

    Args:
        key: the gold clusters, in any order.
        response: the predicted ones.

    Returns:
        float64 [metrics, 2, 2]: by metric, of precision and of recall, numerator and denominator.
    """
    key_of, response_of = cluster_of_mentions(key), cluster_of_mentions(response)
    key_sizes, response_sizes = _sizes(key_of), _sizes(response_of)
    cells = Counter((number, response_of[mention]) for mention, number in key_of.items() if mention in response_of)
    # Of every pair of clusters that share a mention: their numbers, [2, pairs], and how many they share.
    pairs = np.array(sorted(cells), np.int64).reshape(-1, 2).T
    shared = np.array([cells[pair] for pair in sorted(cells)], np.float64)
    in_key, in_response = key_sizes[pairs[0]], response_sizes[pairs[1]]
    aligned = _best_alignment(pairs, 2 * shared / (in_key + in_response))
    resolved = _resolved(shared, in_response, in_key), _resolved(shared, in_key, in_response)
    found, links = shared.sum(), (shared - 1).sum()
    return np.array(
        [
            _fractions(links, (response_sizes - 1)[response_sizes > 0], links, (key_sizes - 1)[key_sizes > 0]),
            _fractions((shared**2 / in_response).sum(), response_sizes, (shared**2 / in_key).sum(), key_sizes),
            _fractions(aligned, response_sizes > 0, aligned, key_sizes > 0),
            _fractions(resolved[0], response_sizes, resolved[1], key_sizes),
            _fractions(found, response_sizes, found, key_sizes),
        ]
    )


def scores(counts: Floats) -> dict[str, float]:
    """Precision, recall and F1 of every metric in per cent, the CoNLL average before them; a share of nothing is 0.

    Args:
        counts: [metrics, 2, 2] of a document, or the sum of those of several.
    """
    figures: dict[str, float] = {}
    for name, ((right, num_predicted), (found, num_gold)) in zip(METRICS, counts.tolist(), strict=True):
        figures |= three_figures(name, right, num_predicted, found, num_gold)
    return {"conll_f1": sum(figures[f"{name}_f1"] for name in CONLL_METRICS) / len(CONLL_METRICS)} | figures


def three_figures(name: str, right: float, num_predicted: float, found: float, num_gold: float) -> dict[str, float]:
    """Precision (`right` of `num_predicted`), recall (`found` of `num_gold`) and their harmonic mean, in per cent."""
    precision = 100 * right / num_predicted if num_predicted else 0.0
    recall = 100 * found / num_gold if num_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {f"{name}_precision": precision, f"{name}_recall": recall, f"{name}_f1": f1}


def _sizes(cluster_of: Mapping[Span, int]) -> Floats:
    """[clusters] how many mentions each has; 0 for one whose mentions all stand in others before it."""
    return np.bincount(np.fromiter(cluster_of.values(), np.int64, len(cluster_of))).astype(np.float64)


def _fractions(
    right: float, predicted: npt.NDArray[np.generic], found: float, gold: npt.NDArray[np.generic]
) -> list[list[float]]:
    return [[float(right), float(predicted.sum())], [float(found), float(gold.sum())]]


def _resolved(shared: Floats, size: Floats, other_size: Floats) -> float:
    """LEA's numerator: of each cluster its resolved links, as a share of all its links, times its size."""
    several = size > 1
    links = (shared * (shared - 1))[several] / (size - 1)[several]  # times its size, and both halves cancel
    return float(links.sum()) + float((other_size[~several] == 1).sum())


def _best_alignment(pairs: npt.NDArray[np.int64], similarity: Floats) -> float:
    """The greatest sum of similarities of pairs, no cluster in two of them.

    Most clusters share mentions with a few others only, so the assignment is sparse: a key cluster may take one of
    these or a place of its own, which is worth nothing.

    Args:
        pairs: [2, pairs] numbers of key and response cluster.
        similarity: [pairs] above 0 and at most 1.
    """
    if not len(similarity):
        return 0.0
    from scipy.sparse import coo_array, csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    num_key, num_response = pairs.max(1) + 1
    own = np.arange(num_key)
    rows, columns = np.concatenate([pairs[0], own]), np.concatenate([pairs[1], num_response + own])
    # Every row takes exactly one column, so a constant changes nothing; without it a place of its own would cost 0,
    # and a sparse array leaves that out.
    costs = np.concatenate([2 - similarity, np.full(num_key, 2.0)])
    costs_of = csr_array(coo_array((costs, (rows, columns)), shape=(num_key, num_response + num_key)))
    taken = costs_of[min_weight_full_bipartite_matching(costs_of)]
    return float((2 - np.asarray(taken)).sum())
