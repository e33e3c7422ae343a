"""Counts equal to the reference scorer's (recorded), figures of the papers' own examples, and what holds of all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from spanbert.evaluation.bootstrap import resample
from spanbert.spans import Span
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, PredictedMention
from spanbert.tasks.coreference.metrics import CoreferenceComparison
from spanbert.tasks.coreference.scores import METRICS, document_counts, scores

CASES = json.loads((Path(__file__).parent / "official_counts.json").read_text(encoding="utf-8"))["cases"]
Clusters = list[list[Span]]


def clusters_of(words: str) -> Clusters:
    """ "ab c" are a cluster of two mentions and a singleton."""
    return [[Span(ord(letter), ord(letter) + 1) for letter in word] for word in words.split()]


def spans_of(clusters: list[list[list[int]]]) -> Clusters:
    return [[Span(start, end) for start, end in cluster] for cluster in clusters]


def example(clusters: Clusters | None, id: str = "x") -> CoreferenceExample:
    return CoreferenceExample(id, "", None if clusters is None else tuple(map(tuple, clusters)))


def prediction(clusters: Clusters, id: str = "x") -> CoreferencePrediction:
    return CoreferencePrediction(id, tuple(tuple(PredictedMention(*span, "") for span in one) for one in clusters))


def compared(*documents: tuple[str, str]) -> CoreferenceComparison:
    gold, predicted = zip(*documents, strict=True)
    return CoreferenceComparison(
        [example(clusters_of(key)) for key in gold], [prediction(clusters_of(response)) for response in predicted]
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_counts_are_those_of_the_reference_scorer(case: dict[str, Any]) -> None:
    whole = np.zeros((len(METRICS), 2, 2))
    for document in case["documents"]:
        counts = document_counts(spans_of(document["key"]), spans_of(document["response"]))
        whole += counts
        for name, official in document["counts"].items():
            np.testing.assert_allclose(counts[METRICS.index(name)], official, rtol=1e-12, atol=1e-12)
    for name, official in case["counts"].items():
        np.testing.assert_allclose(whole[METRICS.index(name)], official, rtol=1e-12, atol=1e-12)


PUBLISHED = [
    # Pradhan et al. 2014, section 4; LEA: Moosavi and Strube 2016, section 4.
    ("abc defg", "ab cd fghi", {"muc_recall": 40, "muc_precision": 40, "b_cubed_recall": 42, "b_cubed_precision": 50}),
    ("abc defg", "ab cd fghi", {"ceaf_e_recall": 65, "ceaf_e_precision": 43, "lea_recall": 24, "lea_precision": 33}),
    # Luo 2005, table 1: responses a to d.
    ("abcde fg hijkl", "abcde fghijkl", {"muc_f1": 94.7, "b_cubed_f1": 86.5, "ceaf_e_f1": 73.3}),
    ("abcde fg hijkl", "abcdehijkl fg", {"muc_f1": 94.7, "b_cubed_f1": 73.7, "ceaf_e_f1": 66.7}),
    ("abcde fg hijkl", "abcdefghijkl", {"muc_f1": 90.0, "b_cubed_f1": 54.5, "ceaf_e_f1": 29.4}),
    ("abcde fg hijkl", "a b c d e f g h i j k l", {"b_cubed_f1": 40.0, "ceaf_e_f1": 17.8}),
]


@pytest.mark.parametrize(("key", "response", "published"), PUBLISHED)
def test_figures_are_those_of_the_papers_examples(key: str, response: str, published: dict[str, float]) -> None:
    figures = compared((key, response)).figures()
    for name, value in published.items():
        assert figures[name] == pytest.approx(value, abs=0.051 if isinstance(value, float) else 0.51)


def test_a_mention_in_two_clusters_stays_in_the_first() -> None:
    # The reference scorer, version 8.01, says so of this response: it reports the repeated mention and leaves it out.
    counts = document_counts(clusters_of("abc def"), clusters_of("abc ade f"))
    official = {"muc": [[3, 3], [3, 4]], "b_cubed": [[6, 6], [14 / 3, 6]], "ceaf_e": [[1.8, 3], [1.8, 2]]}
    for name, expected in official.items():
        np.testing.assert_allclose(counts[METRICS.index(name)], expected)
    # It gives a copy of a key with a repeated mention less than 100 % for MUC, or more for CEAF-e; here it is right.
    for key in ("abc ade", "abbc de", "ab a ac"):
        once = document_counts(clusters_of(key), clusters_of(key))
        np.testing.assert_array_equal(once[:, :, 0], once[:, :, 1])


SPANS = st.integers(0, 12).flatmap(lambda start: st.sampled_from([Span(start, start + 1), Span(start, start + 2)]))


@st.composite
def clusterings(draw: st.DrawFn) -> Clusters:
    mentions = draw(st.lists(SPANS, unique=True, max_size=14))
    numbers = draw(st.lists(st.integers(0, 5), min_size=len(mentions), max_size=len(mentions)))
    clusters: dict[int, list[Span]] = {}
    for mention, number in zip(mentions, numbers, strict=True):
        clusters.setdefault(number, []).append(mention)
    return list(clusters.values())


@given(key=clusterings(), response=clusterings())
@settings(max_examples=80, deadline=None)
def test_figures_are_shares_and_swapping_sides_swaps_precision_and_recall(key: Clusters, response: Clusters) -> None:
    counts = document_counts(key, response)
    assert all(-1e-9 <= value <= 100 + 1e-9 for value in scores(counts).values())
    np.testing.assert_allclose(document_counts(response, key), counts[:, ::-1], rtol=1e-12, atol=1e-12)


@given(key=clusterings(), response=clusterings(), random=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_the_order_of_clusters_and_mentions_does_not_matter(key: Clusters, response: Clusters, random: Any) -> None:
    expected = document_counts(key, response)
    for clusters in (key, response):
        random.shuffle(clusters)
        for cluster in clusters:
            random.shuffle(cluster)
    np.testing.assert_allclose(document_counts(key, response), expected, rtol=1e-12, atol=1e-12)


@given(key=clusterings())
@settings(max_examples=50, deadline=None)
def test_a_clustering_is_right_about_itself(key: Clusters) -> None:
    comparison = CoreferenceComparison([example(key)], [prediction(key)])
    figures = comparison.figures()
    assert comparison.badness().tolist() == [0]
    for name in ("b_cubed", "ceaf_e", "lea", "mention"):
        assert figures[f"{name}_f1"] == pytest.approx(100 if key else 0)
    assert figures["muc_f1"] == pytest.approx(100 if any(len(cluster) > 1 for cluster in key) else 0)


@given(key=clusterings(), response=clusterings())
@settings(max_examples=80, deadline=None)
def test_clusters_are_aligned_as_a_dense_assignment_does(key: Clusters, response: Clusters) -> None:
    similarity = np.zeros((len(key), len(response)))
    for row, one in enumerate(key):
        for column, other in enumerate(response):
            similarity[row, column] = 2 * len({*one} & {*other}) / (len(one) + len(other))
    best = similarity[linear_sum_assignment(similarity, maximize=True)].sum()
    assert document_counts(key, response)[METRICS.index("ceaf_e"), 0, 0] == pytest.approx(best)


@given(key=clusterings(), response=clusterings())
@settings(max_examples=50, deadline=None)
def test_nothing_but_the_right_clusters_is_not_bad(key: Clusters, response: Clusters) -> None:
    is_same = {frozenset(cluster) for cluster in key} == {frozenset(cluster) for cluster in response}
    assert (CoreferenceComparison([example(key)], [prediction(response)]).badness()[0] == 0) == is_same


def test_many_clusters_are_compared_without_a_table_of_all_pairs() -> None:
    # All of them hang together in one ring; a dense assignment of them takes minutes and gigabytes.
    key = [[Span(start, start + 1), Span(start, start + 2)] for start in range(10_000)]
    response = [[key[place][0], key[place - 1][1]] for place in range(len(key))]
    counts = document_counts(key, response)
    assert counts[METRICS.index("ceaf_e"), 0].tolist() == [5_000, 10_000]
    assert counts[METRICS.index("muc"), 0, 0] == 0


def test_counts_are_summed_over_the_documents_that_are_chosen() -> None:
    documents = [("abc de", "ab cde"), ("ab", ""), ("", "abc"), ("abcd", "abcd")]
    comparison = compared(*documents)
    assert list(comparison.figures())[:4] == ["conll_f1", "muc_precision", "muc_recall", "muc_f1"]
    assert comparison.figures(np.array([3])) == compared(documents[3]).figures()
    assert comparison.figures(np.array([0, 2, 2])) == compared(documents[0], documents[2], documents[2]).figures()
    drawn = resample(comparison, samples=50)
    assert drawn.drawn.shape == (50, 16)
    assert np.isfinite(drawn.drawn).all()


def test_no_prediction_is_no_cluster_and_unknown_clusters_are_passed_over() -> None:
    known = CoreferenceComparison([example(clusters_of("ab c"))], [None])
    assert known.figures() == compared(("ab c", "")).figures()
    assert known.badness().tolist() == [2]
    both = CoreferenceComparison(
        [example(None), example(clusters_of("abc d"))], [prediction(clusters_of("ab")), prediction(clusters_of("ab d"))]
    )
    assert both.figures() == compared(("abc d", "ab d")).figures()
    assert both.badness().tolist() == [0, 1]
    assert not any(CoreferenceComparison([], []).figures().values())


def linked(clusters: list[list[tuple[str, str, float | None]]]) -> CoreferencePrediction:
    """Clusters of mention, antecedent ("" for none) and probability."""

    def span(letter: str) -> Span:
        return Span(ord(letter), ord(letter) + 1)

    return CoreferencePrediction(
        "x",
        tuple(
            tuple(
                PredictedMention(*span(letter), letter, span(before) if before else None, probability)
                for letter, before, probability in cluster
            )
            for cluster in clusters
        ),
    )


def test_links_are_right_when_one_gold_cluster_holds_both_ends() -> None:
    gold = [example(clusters_of("abc de"))]
    found = linked([[("a", "", None), ("b", "a", 0.9), ("d", "b", 0.4), ("e", "d", 0.8)], [("x", "", 0.3)]])
    comparison = CoreferenceComparison(gold, [found])
    values = comparison.confidences()
    assert values is not None
    assert values[0].tolist() == [0.9, 0.4, 0.8]
    assert values[1].tolist() == [True, False, True]
    # A missed link (to c), a wrong one and a wrong singleton.
    assert comparison.badness()[0] == pytest.approx(1 + 0.4 + 0.3)
    assert comparison.confusions() is None


def test_links_without_probability_are_no_confidences() -> None:
    gold = [example(clusters_of("abc"))]
    assert CoreferenceComparison(gold, [linked([[("a", "", None), ("b", "a", None)]])]).confidences() is None
    assert CoreferenceComparison(gold, [prediction(clusters_of("abc"))]).confidences() is None
    assert CoreferenceComparison(gold, [None]).confidences() is None
