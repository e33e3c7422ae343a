"""Spans of whole words that do not overlap, as the paper describes them (Joshi et al. 2019, section 3.1).

What the paper leaves open is settled here so that no kind of span is favoured:

- The start is drawn uniformly among all words where a span of the drawn length lies within the block, with at least one
  unmasked word between it and every other span, unless they may touch. A length is never given up because a place for
  it is hard to find (that would favour short spans): only where there is none at all, the block is done.
- The block is done, too, when the span just drawn would exceed the budget.
- The first span of a block must not exceed it: length and start are drawn again until it fits. So every block has a
  target, and in short blocks spans are short. Where no single word fits, the budget is the block's shortest word.

What remains is the price of whole words within a budget: the span that would exceed it is a long one more often than
not, so those that stay have 3.71 words on average in blocks of 510 one-piece words (14.5 % masked) and 3.44 in blocks
of 128 (13.1 % masked), not 3.797. And the outermost words of a block are masked about a third as often as inner ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spanbert import randomness
from spanbert.tasks.pretraining.blocks import BoolArray, FlatBlocks, Int64Array, ranges
from spanbert.tasks.pretraining.span_lengths import SpanLengths
from spanbert.tasks.pretraining.words import WordTable

_NUM_TRIES = 6  # then all free places of a block are listed: slower, and the same distribution


@dataclass(frozen=True)
class Units:
    """Annotated spans that may be masked as wholes: in words, ordered by block.

    `first_words` and `lengths` int64 [A]; `offsets` int64 [B+1]: block b has the units from `offsets[b]` to
    `offsets[b+1] - 1`.
    """

    first_words: Int64Array
    lengths: Int64Array
    offsets: Int64Array

    @classmethod
    def of(cls, blocks: FlatBlocks, words: WordTable) -> Units:
        """Take the units of `blocks`, made longer where they begin or end inside a word."""
        ordered = blocks.units[np.argsort(blocks.units[:, 0], kind="stable")]
        first = words.of_piece[ordered[:, 0]].astype(np.int64)
        last = words.of_piece[ordered[:, 1] - 1].astype(np.int64)
        return cls(first, last + 1 - first, np.searchsorted(ordered[:, 0], blocks.offsets))


def place_whole_word_spans(
    blocks: FlatBlocks,
    words: WordTable,
    lengths: SpanLengths,
    budgets: Int64Array,
    *,
    seed: int,
    epoch: int,
    units: Units | None = None,
    may_touch: bool = False,
) -> tuple[Int64Array, Int64Array]:
    """Place spans in every block until the next would exceed its budget (`budgets` int64 [B], in pieces).

    Unless they `may_touch`, an unmasked word stays between any two. With `units`, each span is one of the block's units
    with probability 1/2 as long as there is a free one, uniformly drawn, and is drawn by length otherwise.

    Returns the spans' starts and ends, positions in `blocks.pieces`, int64 [S], ascending.
    """
    placement = _Placement(blocks, words, lengths, budgets, units, may_touch=may_touch, seed=seed, epoch=epoch)
    # A block's n-th try takes its n-th numbers, whatever the other blocks do.
    active, num_tries = np.flatnonzero(placement.remaining > 0), 0
    while len(active):
        placement.try_one_span(active, num_tries)
        active = active[placement.remaining[active] > 0]
        num_tries += 1
    return placement.spans()


class _Placement:
    """What has been placed so far in B blocks, and what each block is trying to place."""

    def __init__(
        self,
        blocks: FlatBlocks,
        words: WordTable,
        lengths: SpanLengths,
        budgets: Int64Array,
        units: Units | None,
        *,
        may_touch: bool,
        seed: int,
        epoch: int,
    ) -> None:
        self._words, self._lengths, self._units = words, lengths, units
        self._distance = 0 if may_touch else 1  # words between two spans, at least
        self._length_keys, self._unit_keys, self._start_keys = (
            randomness.block_keys(seed, epoch, blocks.indices, f"whole-word spans: {what}")
            for what in ("lengths", "units", "starts")
        )
        self._num_words = np.diff(words.offsets)
        # Units that may still be free; 0 when none is. [B]
        self._num_units = np.zeros_like(self._num_words) if units is None else np.diff(units.offsets)
        # Pieces left of the budget; 0 when the block is done. [B]
        self.remaining = np.maximum(budgets, _shortest_words(words))
        self._has_span = np.zeros(len(blocks), dtype=np.bool_)
        # A first span of more words than the budget has pieces cannot fit, so it is not drawn to begin with. [B]
        self._longest = np.minimum(self.remaining, self._num_words)
        # The span to be placed next: its length in words, 0 if it is still to be drawn; is it one of the units; and how
        # many places have been tried for it. [B]
        self._pending = np.zeros(len(blocks), dtype=np.int64)
        self._is_unit = np.zeros(len(blocks), dtype=np.bool_)
        self._num_tries = np.zeros(len(blocks), dtype=np.int64)
        # Word w of block b is number w + b + 1 here: a gap before and after each block saves all tests for its ends.
        widest = max(lengths.longest, 0 if units is None else int(units.lengths.max(initial=0)))
        self._masked = np.zeros(len(words.starts) + len(blocks) + widest + 1, dtype=np.bool_)
        self._placed: list[tuple[Int64Array, Int64Array]] = []

    def spans(self) -> tuple[Int64Array, Int64Array]:
        """Starts and ends of all spans placed so far, positions in ascending order, int64 [S]."""
        starts = np.concatenate([np.empty(0, np.int64), *(starts for starts, _ in self._placed)])
        ends = np.concatenate([np.empty(0, np.int64), *(ends for _, ends in self._placed)])
        order = np.argsort(starts)
        return starts[order], ends[order]

    def try_one_span(self, rows: Int64Array, number: int) -> None:
        """Try one place for one span in each of the blocks `rows`, with the `number`-th numbers of their streams."""
        self._draw_spans(rows[self._pending[rows] == 0], number)
        starts, lengths = self._draw_places(rows, number)
        free = self._are_free(rows, starts, lengths)
        num_tries = self._num_tries[rows]
        self._num_tries[rows] = np.where(free, 0, num_tries + 1)
        for i in np.flatnonzero(num_tries == _NUM_TRIES).tolist():
            starts[i], lengths[i], free[i] = self._draw_free_place(int(rows[i]), number)

        first_piece, end_piece = self._words.starts[starts], self._words.starts[starts + lengths]
        num_pieces = end_piece - first_piece
        fits = num_pieces <= self.remaining[rows]
        self._pending[rows[free]] = 0
        self.remaining[rows[free & ~fits & self._has_span[rows]]] = 0

        placed = free & fits
        rows, starts, lengths = rows[placed], starts[placed], lengths[placed]
        self._masked[ranges(starts + rows + 1, lengths)] = True
        self._placed.append((first_piece[placed], end_piece[placed]))
        self.remaining[rows] -= num_pieces[placed]
        self._has_span[rows] = True
        self._longest[rows] = self._num_words[rows]

    def _draw_spans(self, rows: Int64Array, number: int) -> None:
        """Draw what is to be placed next in `rows`."""
        uniform = randomness.uniform(self._length_keys[rows], number)
        self._pending[rows] = self._lengths.draw(uniform, self._longest[rows])
        if self._units is not None:
            heads = randomness.uniform(self._unit_keys[rows], number) < 0.5
            self._is_unit[rows] = heads & (self._num_units[rows] > 0)

    def _draw_places(self, rows: Int64Array, number: int) -> tuple[Int64Array, Int64Array]:
        """Draw a place, free or not, for what is pending in `rows`; return first words and lengths in words."""
        is_unit, lengths = self._is_unit[rows], self._pending[rows]
        choices = np.where(is_unit, self._num_units[rows], self._num_words[rows] - lengths + 1)
        choice = randomness.integers(self._start_keys[rows], number, choices)
        starts = self._words.offsets[rows] + choice
        if self._units is not None:
            units = self._units.offsets[rows[is_unit]] + choice[is_unit]
            starts[is_unit], lengths[is_unit] = self._units.first_words[units], self._units.lengths[units]
        return starts, lengths

    def _are_free(self, rows: Int64Array, starts: Int64Array, lengths: Int64Array) -> BoolArray:
        """Say of each span of words whether it keeps clear of all spans of its block."""
        # From the first to the last word that must not be masked: those beside the span, too, where none may touch it.
        num_words = lengths + 2 * self._distance
        window = np.arange(int(num_words.max(initial=0)))
        near = self._masked[(starts + rows + 1 - self._distance)[:, None] + window]
        near &= window < num_words[:, None]
        free: BoolArray = ~near.any(axis=1)
        return free

    def _draw_free_place(self, row: int, number: int) -> tuple[int, int, bool]:
        """Draw among all free places for what is pending in `row`; return first word, length, and if there is one."""
        self._num_tries[row] = 0
        if self._is_unit[row] and self._units is not None:
            of_row = slice(int(self._units.offsets[row]), int(self._units.offsets[row + 1]))
            starts, lengths = self._units.first_words[of_row], self._units.lengths[of_row]
        else:
            num_places = int(self._num_words[row] - self._pending[row]) + 1
            starts = self._words.offsets[row] + np.arange(num_places)
            lengths = np.full(num_places, self._pending[row])
        free = np.flatnonzero(self._are_free(np.full(len(starts), row), starts, lengths))
        if len(free):
            chosen = free[randomness.integers(self._start_keys[row : row + 1], number, len(free))[0]]
            return int(starts[chosen]), int(lengths[chosen]), True
        # No room: words take the place of units from now on, and a block without room for words is done.
        if self._is_unit[row]:
            self._num_units[row] = self._pending[row] = 0
        else:
            self.remaining[row] = 0
        return int(starts[0]), int(lengths[0]), False


def _shortest_words(words: WordTable) -> Int64Array:
    """Pieces in the shortest word of each block, int64 [B]; 0 for a block without words."""
    shortest = np.zeros(len(words.offsets) - 1, dtype=np.int64)
    has_words = words.offsets[:-1] < words.offsets[1:]
    if has_words.any():
        shortest[has_words] = np.minimum.reduceat(np.diff(words.starts), words.offsets[:-1][has_words])
    return shortest
