"""Spans placed as the released SpanBERT models were trained, where this differs from the paper.

Exactly the budget is masked, the last span being cut even inside a word; spans may overlap or touch, and then count as
one; and words of many pieces are met more often, since a span is anchored at a piece.
"""

from __future__ import annotations

import numpy as np

from spanbert import randomness
from spanbert.tasks.pretraining.blocks import BoolArray, FlatBlocks, Int64Array, ranges
from spanbert.tasks.pretraining.span_lengths import SpanLengths
from spanbert.tasks.pretraining.words import WordTable

MAX_SBO_TARGETS = 15
"""The released SBO head predicts at most this many pieces of a span; the rest of a longer one has no SBO loss."""


def place_spans_as_released(
    blocks: FlatBlocks, words: WordTable, lengths: SpanLengths, budgets: Int64Array, *, seed: int, epoch: int
) -> BoolArray:
    """Mask exactly `budgets` (int64 [B]) pieces of each block; return which, bool [N].

    Again and again, a length in words is drawn, and an anchor uniformly among the block's pieces. If the anchor is
    masked already, both are drawn again. Otherwise the span begins with the anchor's word and has so many words, or all
    up to the block's end. Its pieces are masked in turn until the budget is used; those masked before do not count.
    """
    keys = randomness.block_keys(seed, epoch, blocks.indices, "spans as released")
    piece_counts = blocks.lengths
    masked = np.zeros(len(blocks.pieces), dtype=np.bool_)
    remaining = budgets.copy()
    active = np.flatnonzero(remaining > 0)
    draws = 0
    while len(active):
        length = lengths.draw(randomness.uniform(keys[active], 2 * draws))
        anchor = blocks.offsets[active] + randomness.integers(keys[active], 2 * draws + 1, piece_counts[active])
        draws += 1
        free = ~masked[anchor]
        rows, anchor, length = active[free], anchor[free], length[free]
        first_word = words.of_piece[anchor]
        last_word = np.minimum(first_word + length, words.offsets[rows + 1])
        start = words.starts[first_word]
        remaining[rows] -= _mask_within_budget(masked, start, words.starts[last_word] - start, remaining[rows])
        active = active[remaining[active] > 0]
    return masked


def _mask_within_budget(masked: BoolArray, starts: Int64Array, lengths: Int64Array, limits: Int64Array) -> Int64Array:
    """Mask up to `limits` more pieces from each start on; return how many were not masked before, int64 [S]."""
    positions = ranges(starts, lengths)
    num_new = np.concatenate((np.zeros(1, np.int64), np.cumsum(~masked[positions])))
    ends = np.cumsum(lengths)
    before = num_new[ends - lengths]
    masked[positions[num_new[1:] <= np.repeat(before + limits, lengths)]] = True
    newly_masked: Int64Array = np.minimum(num_new[ends] - before, limits)
    return newly_masked
