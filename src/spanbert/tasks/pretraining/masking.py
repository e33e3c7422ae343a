"""Which pieces of a block are masked, and what the encoder sees in their place (Joshi et al. 2019, section 3.1).

    placing spans (a preset and a scheme)  ->  mask, random or keep, once per span  ->  replaced pieces

Everything is drawn from the block's own stream, named by (seed, epoch, index): masking many blocks in one call, or the
same ones in many calls, gives the same masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from spanbert import randomness
from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.as_released import place_spans_as_released
from spanbert.tasks.pretraining.blocks import BoolArray, FlatBlocks, Int64Array, ranges
from spanbert.tasks.pretraining.span_lengths import SpanLengths
from spanbert.tasks.pretraining.whole_word_spans import Units, place_whole_word_spans
from spanbert.tasks.pretraining.words import WordTable

if TYPE_CHECKING:
    from spanbert.tokenization import PieceTokenizer

Scheme = Literal["spans", "whole-words", "pieces", "entities", "noun-phrases"]
Preset = Literal["paper", "as-released"]


class Action(IntEnum):
    """What becomes of all pieces of a span."""

    MASK = 0
    RANDOM = 1
    KEEP = 2


@dataclass(frozen=True, kw_only=True)
class MaskingConfig:
    """How much is masked, in what shapes, and what is put in its place.

    Raises ConfigurationError for values out of range, and for another scheme than `spans` with `as-released`.
    """

    scheme: Scheme = "spans"
    """What is masked: `spans` of several words, `whole-words`, single `pieces` (BERT), or annotated `entities` or
    `noun-phrases` for half of the spans and whole words for the other half."""
    preset: Preset = "paper"
    """`paper`: whole words only, spans never touch (single words may), and the budget is never exceeded. `as-released`:
    as the released SpanBERT models were trained; exactly the budget, cut inside a word if need be, and spans may
    merge."""
    budget: float = 0.15
    """Share of a block's pieces to mask. `paper` rounds down (but at least one word), `as-released` up."""
    p: float = 0.2
    """Parameter of the geometric distribution of span lengths, in words: larger means shorter spans."""
    max_span_words: int = 10
    """Longest span, in words."""
    mask_share: float = 0.8
    """Share of the spans whose pieces become [MASK]."""
    random_share: float = 0.1
    """Share of the spans whose pieces become random pieces. The rest stays as it is, and is predicted all the same."""

    def __post_init__(self) -> None:
        if self.preset == "as-released" and self.scheme != "spans":
            raise ConfigurationError(
                f"preset as-released has only the scheme spans, not {self.scheme}: use preset paper"
            )
        if not 0 < self.budget < 1:
            raise ConfigurationError(f"budget must lie between 0 and 1, got {self.budget}")
        if self.mask_share < 0 or self.random_share < 0 or self.mask_share + self.random_share > 1 + 1e-9:
            raise ConfigurationError(
                f"mask_share {self.mask_share} and random_share {self.random_share} must be shares of one whole"
            )
        self.span_lengths()

    @property
    def unit_kind(self) -> str | None:
        """Kind of the annotated spans that the scheme masks, None where it masks none."""
        return {"entities": "entity", "noun-phrases": "noun-phrase"}.get(self.scheme)

    def span_lengths(self) -> SpanLengths:
        """Return the distribution of lengths of the spans that are not annotated."""
        return SpanLengths(self.p, self.max_span_words if self.scheme == "spans" else 1)


@dataclass(frozen=True)
class MaskingVocabulary:
    """The pieces that can take the place of others: [MASK], and random ones.

    `piece_counts` int64 [V]: how often each piece occurs in the corpus.
    """

    mask_id: int
    special_ids: tuple[int, ...]
    piece_counts: Int64Array

    @classmethod
    def of(cls, tokenizer: PieceTokenizer, piece_counts: Int64Array) -> MaskingVocabulary:
        """Take [MASK] and the special pieces from a tokenizer, and the counts from a corpus made with it."""
        return cls(tokenizer.mask_id, tokenizer.special_ids, piece_counts)

    def draw(self, uniform: npt.NDArray[np.float64], preset: Preset) -> Int64Array:
        """Turn numbers in [0, 1) into ids, int64 of the same shape.

        With `paper` all pieces but the special ones are equally likely, with `as-released` each is as likely as in the
        corpus.
        """
        drawn: Int64Array
        if preset == "as-released":
            number = (uniform * self._cumulative[-1]).astype(np.int64)
            drawn = np.searchsorted(self._cumulative, number, side="right")
        else:
            drawn = self._candidates[(uniform * len(self._candidates)).astype(np.int64)]
        return drawn

    @cached_property
    def _candidates(self) -> Int64Array:
        return np.setdiff1d(np.arange(len(self.piece_counts)), self.special_ids)

    @cached_property
    def _cumulative(self) -> Int64Array:
        return np.cumsum(self.piece_counts, dtype=np.int64)


@dataclass(frozen=True)
class MaskedBlocks:
    """B blocks with M pieces masked, in S spans. Positions are those in `blocks.pieces`; spans are half-open."""

    blocks: FlatBlocks
    """The blocks as they were: `blocks.pieces` has the original pieces."""
    pieces: Int64Array
    """The pieces after replacement, int64 [N]."""
    positions: Int64Array
    """Positions in spans, ascending, int64 [M]: also those of pieces that are kept or replaced by random ones."""
    span_starts: Int64Array
    """First position of each span, ascending, int64 [S]."""
    span_ends: Int64Array
    """First position after each span, int64 [S]; the spans cover `positions` exactly."""
    span_blocks: Int64Array
    """The block of each span, int64 [S]."""
    actions: npt.NDArray[np.uint8]
    """An `Action` for each span, uint8 [S]."""
    has_sbo: BoolArray
    """Whether the span boundary objective applies to each span, bool [S]; not where a boundary is masked itself."""
    budgets: Int64Array
    """Pieces to be masked in each block, int64 [B]: exactly (`as-released`) or at most (`paper`, which exceeds it only
    in a block where no single word fits)."""

    @property
    def targets(self) -> Int64Array:
        """The original pieces at `positions`, int64 [M]."""
        return self.blocks.pieces[self.positions]

    @property
    def num_masked(self) -> Int64Array:
        """Masked pieces of each block, int64 [B]."""
        return _num_per_block(self.positions, self.blocks.offsets)


def mask_blocks(
    blocks: FlatBlocks, config: MaskingConfig, *, seed: int, epoch: int, vocabulary: MaskingVocabulary
) -> MaskedBlocks:
    """Mask every block, as drawn from (seed, epoch, `blocks.indices`)."""
    budgets = _budgets(blocks.lengths, config)
    starts, ends = _place(blocks, config, budgets, seed=seed, epoch=epoch)
    span_blocks = np.searchsorted(blocks.offsets, starts, side="right") - 1
    has_sbo = np.full(len(starts), config.scheme != "pieces") & ~_touching(starts, ends, span_blocks)
    if config.preset == "as-released":
        has_sbo = (starts > blocks.offsets[span_blocks]) & (ends < blocks.offsets[span_blocks + 1])
    actions = _draw_actions(blocks, span_blocks, config, seed=seed, epoch=epoch)

    positions, lengths = ranges(starts, ends - starts), ends - starts
    action_there = np.repeat(actions, lengths)
    pieces = blocks.pieces.copy()
    pieces[positions[action_there == Action.MASK]] = vocabulary.mask_id
    is_random = action_there == Action.RANDOM
    there, rows = positions[is_random], np.repeat(span_blocks, lengths)[is_random]
    keys = randomness.block_keys(seed, epoch, blocks.indices, "random pieces")
    drawn = randomness.uniform(keys[rows], there - blocks.offsets[rows])
    pieces[there] = vocabulary.draw(drawn, config.preset)
    return MaskedBlocks(blocks, pieces, positions, starts, ends, span_blocks, actions, has_sbo, budgets)


def _place(
    blocks: FlatBlocks, config: MaskingConfig, budgets: Int64Array, *, seed: int, epoch: int
) -> tuple[Int64Array, Int64Array]:
    """Return the starts and ends of the masked spans, positions, int64 [S]."""
    if config.scheme == "pieces":
        starts = _single_pieces(blocks, budgets, seed=seed, epoch=epoch)
        return starts, starts + 1
    words, lengths = WordTable.of(blocks), config.span_lengths()
    if config.preset == "as-released":
        return _runs(place_spans_as_released(blocks, words, lengths, budgets, seed=seed, epoch=epoch), blocks)
    units = Units.of(blocks, words) if config.unit_kind else None
    # Words kept apart would all be predicted from two neighbours that are seen, and often be every other word: another
    # and easier task than the one the paper compares spans with.
    may_touch = config.scheme == "whole-words"
    return place_whole_word_spans(
        blocks, words, lengths, budgets, seed=seed, epoch=epoch, units=units, may_touch=may_touch
    )


def _budgets(lengths: Int64Array, config: MaskingConfig) -> Int64Array:
    """Pieces to mask in each block, int64 [B]. Products like 0.15 * 20 are whole numbers, rounding errors aside."""
    if config.preset == "as-released":
        return np.asarray(np.ceil(lengths * config.budget - 1e-9), dtype=np.int64)
    rounded_down = np.asarray(np.floor(lengths * config.budget + 1e-9), dtype=np.int64)
    return np.where(lengths > 0, np.maximum(rounded_down, 1), 0)


def _single_pieces(blocks: FlatBlocks, budgets: Int64Array, *, seed: int, epoch: int) -> Int64Array:
    """Draw `budgets` different pieces of each block, uniformly (Devlin et al. 2019, section 3.1); return positions."""
    keys = randomness.block_keys(seed, epoch, blocks.indices, "single pieces")
    masked = np.zeros(len(blocks.pieces), dtype=np.bool_)
    missing, num_drawn = budgets.copy(), np.zeros_like(budgets)
    while missing.any():
        # As many as are missing, with repetitions; then again for those that were met twice.
        rows = np.repeat(np.arange(len(blocks)), missing)
        counters = ranges(num_drawn, missing)
        masked[blocks.offsets[rows] + randomness.integers(keys[rows], counters, blocks.lengths[rows])] = True
        num_drawn += missing
        missing = budgets - _num_per_block(np.flatnonzero(masked), blocks.offsets)
    return np.flatnonzero(masked)


def _runs(masked: BoolArray, blocks: FlatBlocks) -> tuple[Int64Array, Int64Array]:
    """Return starts and ends of the unbroken runs of masked pieces within blocks, positions, int64 [S]."""
    has_pieces = blocks.lengths > 0
    before, after = np.roll(masked, 1), np.roll(masked, -1)
    before[blocks.offsets[:-1][has_pieces]] = False
    after[blocks.offsets[1:][has_pieces] - 1] = False
    return np.flatnonzero(masked & ~before), np.flatnonzero(masked & ~after) + 1


def _touching(starts: Int64Array, ends: Int64Array, span_blocks: Int64Array) -> BoolArray:
    """Whether a span's boundary on either side lies in another span of its block, bool [S]."""
    touching = np.zeros(len(starts), dtype=np.bool_)
    pairs = np.flatnonzero((starts[1:] == ends[:-1]) & (span_blocks[1:] == span_blocks[:-1]))
    touching[pairs] = touching[pairs + 1] = True
    return touching


def _num_per_block(positions: Int64Array, offsets: Int64Array) -> Int64Array:
    return np.diff(np.searchsorted(positions, offsets))


def _draw_actions(
    blocks: FlatBlocks, span_blocks: Int64Array, config: MaskingConfig, *, seed: int, epoch: int
) -> npt.NDArray[np.uint8]:
    """Draw an `Action` for each span, uint8 [S]."""
    keys = randomness.block_keys(seed, epoch, blocks.indices, "actions")
    first_spans = np.searchsorted(span_blocks, np.arange(len(blocks)))
    in_block = np.arange(len(span_blocks)) - first_spans[span_blocks]
    drawn = randomness.uniform(keys[span_blocks], in_block)
    bounds = np.array([config.mask_share, config.mask_share + config.random_share])
    return np.searchsorted(bounds, drawn, side="right").astype(np.uint8)
