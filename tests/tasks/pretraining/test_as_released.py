"""The preset `as-released`: the released behaviour's figures, and the exact distribution on a small block."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest
from flat_text import VOCABULARY, flat_blocks, random_text
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.tasks.pretraining.masking import MaskedBlocks, MaskingConfig, mask_blocks
from spanbert.tasks.pretraining.span_lengths import SpanLengths

CONFIG = MaskingConfig(preset="as-released")


def words_cut(masked: MaskedBlocks) -> np.ndarray:
    """Whether each span begins or ends inside a word, bool [S]."""
    starts = np.append(masked.blocks.word_starts, True)
    starts[masked.blocks.offsets] = True
    return ~starts[masked.span_starts] | ~starts[masked.span_ends]


@pytest.mark.parametrize(
    ("length", "mean_span", "spans_a_block", "cut_share", "touching_share"),
    [
        (16, 2.27, 1.32, 28.0, 21.1),
        (64, 4.06, 2.46, 28.6, 8.2),
        (128, 4.76, 4.20, 28.8, 4.6),
        (510, 5.45, 14.14, 29.2, 1.3),
    ],
)
def test_figures_of_the_released_masking(
    length: int, mean_span: float, spans_a_block: float, cut_share: float, touching_share: float
) -> None:
    blocks = random_text(6_000_000 // length, length)
    masked = mask_blocks(blocks, CONFIG, seed=0, epoch=0, vocabulary=VOCABULARY)
    num_spans, num_blocks = len(masked.span_starts), len(blocks)
    assert len(masked.positions) / num_spans == pytest.approx(mean_span, abs=0.015)
    assert num_spans / num_blocks == pytest.approx(spans_a_block, rel=0.005)
    # A block's last span alone can be cut, so this counts blocks. The standard error is 0.4 for blocks of 510 pieces.
    num_cut = len(np.unique(masked.span_blocks[words_cut(masked)]))
    assert 100 * num_cut / num_blocks == pytest.approx(cut_share, abs=0.3 if length < 510 else 1.2)
    assert 100 * (~masked.has_sbo).mean() == pytest.approx(touching_share, abs=0.15)


def outcomes(words: list[int], budget: int, lengths: SpanLengths) -> Counter[frozenset[int]]:
    """Probability of every set of masked pieces, by following all that can happen."""
    starts = [i == 0 for word in words for i in range(word)]
    num = len(starts)

    def span(anchor: int, length: int) -> range:
        while not starts[anchor]:
            anchor -= 1
        following = [i for i in range(anchor + 1, num) if starts[i]]
        return range(anchor, following[length - 1] if length <= len(following) else num)

    @functools.cache
    def after(masked: frozenset[int]) -> Counter[frozenset[int]]:
        if len(masked) == budget:
            return Counter({masked: 1.0})  # type: ignore[dict-item]
        result: Counter[frozenset[int]] = Counter()
        unmasked = [i for i in range(num) if i not in masked]
        for anchor in unmasked:
            for length, probability in enumerate(lengths.probabilities.tolist(), start=1):
                new = [i for i in span(anchor, length) if i not in masked][: budget - len(masked)]
                for outcome, share in after(masked.union(new)).items():
                    result[outcome] += probability / len(unmasked) * share  # type: ignore[assignment]
        return result

    return after(frozenset())


def test_distribution_on_a_small_block() -> None:
    words, num_blocks = [1, 2, 1, 3, 1, 1], 40_000
    config = MaskingConfig(preset="as-released", budget=0.5, max_span_words=3)
    masked = mask_blocks(flat_blocks([words] * num_blocks), config, seed=0, epoch=0, vocabulary=VOCABULARY)
    observed = Counter(map(frozenset, masked.positions.reshape(num_blocks, 5) % 9))
    expected = outcomes(words, 5, config.span_lengths())
    assert set(observed) <= set(expected)
    frequent = {outcome: share * num_blocks for outcome, share in expected.items() if share * num_blocks >= 5}
    assert len(frequent) > 20
    chi_square = sum((observed[outcome] - mean) ** 2 / mean for outcome, mean in frequent.items())
    assert chi_square < len(frequent) + 4 * np.sqrt(2 * len(frequent))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(1, 12), max_size=30), min_size=1, max_size=6), st.sampled_from([0.15, 0.5, 0.9]))
def test_exactly_the_budget_and_at_most_one_word_cut(words: list[list[int]], budget: float) -> None:
    blocks = flat_blocks(words)
    config = MaskingConfig(preset="as-released", budget=budget)
    masked = mask_blocks(blocks, config, seed=3, epoch=0, vocabulary=VOCABULARY)
    hundredths = round(100 * budget)
    assert masked.num_masked.tolist() == [-(-hundredths * sum(block) // 100) for block in words]
    assert masked.budgets.tolist() == masked.num_masked.tolist()
    assert (np.bincount(masked.span_blocks[words_cut(masked)], minlength=1) <= 1).all()
    # Spans that touch have become one.
    ends = masked.blocks.offsets[1:][masked.span_blocks]
    assert ((masked.span_ends[:-1] < masked.span_starts[1:]) | (masked.span_ends[:-1] == ends[:-1])).all()


def test_spans_at_the_ends_of_a_block_have_no_boundary_objective() -> None:
    masked = mask_blocks(random_text(200, 16), CONFIG, seed=0, epoch=0, vocabulary=VOCABULARY)
    at_start, at_end = masked.span_starts % 16 == 0, masked.span_ends % 16 == 0
    assert at_start.any()
    assert at_end.any()
    assert masked.has_sbo.tolist() == (~at_start & ~at_end).tolist()


def test_random_pieces_are_as_frequent_as_in_the_corpus() -> None:
    config = MaskingConfig(preset="as-released", mask_share=0, random_share=1)
    masked = mask_blocks(random_text(2000, 128), config, seed=0, epoch=0, vocabulary=VOCABULARY)
    drawn = masked.pieces[masked.positions]
    # Piece i occurs i times in the "corpus" of this vocabulary.
    observed = np.histogram(drawn, bins=10, range=(0, 1000))[0]
    expected = len(drawn) * np.add.reduceat(VOCABULARY.piece_counts, np.arange(0, 1000, 100)) / (999 * 500)
    assert ((observed - expected) ** 2 / expected).sum() < 27.9  # 9 degrees of freedom, p = 0.001
