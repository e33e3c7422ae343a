"""The CRF's loss, the best tags and the probabilities of entities, against trying every way to tag."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from spanbert.spans import LabelledSpan, spans_from_tags
from spanbert.tasks.ner.chain import best_tags, entity_probabilities
from spanbert.tasks.ner.crf import LinearChainCrf

TAGS = ["O", "B-X", "I-X", "B-Y", "I-Y"]


def random_crf(seed: int) -> LinearChainCrf:
    crf = LinearChainCrf(len(TAGS))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 20)
    return crf


def score_of(tags: tuple[int, ...], emissions: np.ndarray, table: np.ndarray, edges: tuple[bool, bool]) -> float:
    total = sum(emissions[place, tag] for place, tag in enumerate(tags))
    total += sum(table[one, other] for one, other in itertools.pairwise(tags))
    return float(total + edges[0] * table[-2, tags[0]] + edges[1] * table[-1, tags[-1]])


def all_scores(emissions: np.ndarray, table: np.ndarray, edges: tuple[bool, bool]) -> dict[tuple[int, ...], float]:
    ways = itertools.product(range(len(TAGS)), repeat=len(emissions))
    return {tags: score_of(tags, emissions, table, edges) for tags in ways}


def test_the_loss_is_that_of_trying_every_way_to_tag() -> None:
    crf = random_crf(0)
    table = crf.table().detach().double().numpy()
    generator = np.random.default_rng(0)
    chains = [([1, 2, 0], (True, True)), ([], (True, True)), ([3], (True, False)), ([2, 2, 1, 3], (False, True))]
    emissions = [generator.normal(size=(len(tags), len(TAGS))) for tags, _ in chains]
    expected = 0.0
    for (tags, edges), scores in zip(chains, emissions, strict=True):
        if tags:
            ways = all_scores(scores, table, edges)
            expected += math.log(sum(map(math.exp, ways.values()))) - ways[tuple(tags)]
    loss = crf.loss(
        torch.tensor(np.concatenate(emissions), dtype=torch.float32),
        torch.tensor([tag for tags, _ in chains for tag in tags]),
        torch.tensor([len(tags) for tags, _ in chains]),
        torch.tensor([edges for _, edges in chains]),
    )
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in crf.parameters())


def test_a_batch_of_empty_texts_has_no_loss() -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    loss = random_crf(0).loss(torch.zeros(0, len(TAGS)), nothing, torch.zeros(2).long(), torch.ones(2, 2).bool())
    assert loss.item() == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_best_tags_and_the_probabilities_are_those_of_trying_every_way(seed: int) -> None:
    table = random_crf(seed).table().detach().double().numpy()
    emissions = np.random.default_rng(seed).normal(size=(5, len(TAGS))) * 2
    ways = all_scores(emissions, table, (True, True))
    best = max(ways, key=lambda tags: ways[tags])
    assert tuple(best_tags(emissions, table)) == best
    entities = spans_from_tags([TAGS[tag] for tag in best])
    weights = {tags: math.exp(score) for tags, score in ways.items()}
    expected = [
        sum(weight for tags, weight in weights.items() if entity in spans_from_tags([TAGS[tag] for tag in tags]))
        / sum(weights.values())
        for entity in entities
    ]
    assert entity_probabilities(entities, np.array(best), emissions, table) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_independent_words_are_a_chain_without_transitions(seed: int) -> None:
    emissions = np.random.default_rng(seed).normal(size=(6, len(TAGS)))
    tags = emissions.argmax(1)
    entities = spans_from_tags([TAGS[tag] for tag in tags])
    table = np.zeros((len(TAGS) + 2, len(TAGS)))
    chain = entity_probabilities(entities, tags, emissions, table)
    assert entity_probabilities(entities, tags, emissions, None) == pytest.approx(chain)
    assert all(0 < probability < 1 for probability in chain)


def test_no_word_has_no_tags() -> None:
    table = np.zeros((len(TAGS) + 2, len(TAGS)))
    assert best_tags(np.zeros((0, len(TAGS))), table).tolist() == []
    certain = np.full((1, 3), -1000.0)
    certain[0, 1] = 1000
    assert entity_probabilities([LabelledSpan(0, 1, "X")], np.array([1]), certain, None) == [1.0]
