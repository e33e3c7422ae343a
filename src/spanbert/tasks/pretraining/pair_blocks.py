"""BERT's two-segment blocks with next-sentence prediction (Devlin et al. 2019, section 3.1, task 2).

The paper's comparisons need them (Joshi et al. 2019, section 4.3); SpanBERT itself does without. Differently
from BERT, no piece is lost or repeated in an epoch: the pairs that are to have a random second segment exchange theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spanbert import randomness
from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.blocks import BoolArray, Int64Array, PieceArrays, single_sequence_blocks


@dataclass(frozen=True)
class PairBlocks:
    """B pairs of neighbouring segments A and B, as they stand in the corpus.

    Segment A is the pieces from `starts` to `middles`, segment B those from `middles` to `ends`; `document` is the
    number of their document; all int64 [B]. A document of one word has an empty segment B.
    """

    starts: Int64Array
    middles: Int64Array
    ends: Int64Array
    document: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def num_alone(self) -> int:
        """Blocks with nothing to split off as a segment B: they have no next-sentence target."""
        return int((self.middles == self.ends).sum())


@dataclass(frozen=True)
class EpochPairs:
    """The pairs as they are seen in one epoch.

    `a_starts`, `a_ends`, `b_starts`, `b_ends`: piece offsets, int64 [B]; `is_next`: int8 [B], 1 where B follows A in
    the corpus, 0 where it is from another document, -1 where segment B is empty and there is nothing to predict.
    `num_kept`: blocks that should have got a random B, but there was none left from another document.
    """

    a_starts: Int64Array
    a_ends: Int64Array
    b_starts: Int64Array
    b_ends: Int64Array
    is_next: npt.NDArray[np.int8]
    num_kept: int

    def __len__(self) -> int:
        return len(self.a_starts)


def pair_blocks(corpus: PieceArrays, max_pieces: int, documents: BoolArray | None = None) -> PairBlocks:
    """Cut each document into pairs of segments; a pair has at most `max_pieces` (sequence length less 3) pieces.

    Segments are filled with whole lines as blocks of half the size are. Where a document has an odd number of them, the
    last is split in two, at the line end nearest to its middle, else at the word start nearest to it.

    Raises ConfigurationError for `max_pieces` < 2.
    """
    if max_pieces < 2:
        raise ConfigurationError(f"a pair needs room for at least 2 pieces, got {max_pieces}: use longer sequences")
    segments = single_sequence_blocks(corpus, max_pieces // 2, documents)
    numbers = np.arange(len(segments))
    is_first_of_document = np.diff(segments.document, prepend=-1) != 0
    in_document = numbers - np.maximum.accumulate(np.where(is_first_of_document, numbers, 0))
    is_a = in_document % 2 == 0
    # The segment after the last is the first one here, whose number is even: nothing follows.
    followed = np.roll(in_document, -1)[is_a] % 2 == 1

    starts, middles = segments.starts[is_a], segments.ends[is_a]
    ends = np.where(followed, np.roll(segments.ends, -1)[is_a], middles)
    odd = np.flatnonzero(~followed)
    middles[odd] = _split_points(corpus, starts[odd], ends[odd])
    return PairBlocks(starts, middles, ends, segments.document[is_a])


def draw_next_sentences(pairs: PairBlocks, *, seed: int, epoch: int) -> EpochPairs:
    """Let about half of the pairs exchange their segments B, each getting one from another document."""
    keys = randomness.block_keys(seed, epoch, np.arange(len(pairs)), "next sentence")
    has_b = pairs.middles < pairs.ends
    drawn = np.flatnonzero(has_b & (randomness.uniform(keys, 0) < 0.5))
    # In random order, but each document's pairs side by side and the document with most pairs first.
    order = randomness.bits(keys[drawn], 1)
    documents, of_pair, sizes = np.unique(pairs.document[drawn], return_inverse=True, return_counts=True)
    document_keys = randomness.bits(randomness.block_keys(seed, epoch, documents, "documents of next sentences"), 0)
    largest = int(sizes.argmax()) if len(sizes) else 0
    rank = np.empty(len(documents), dtype=np.int64)
    rank[np.lexsort((document_keys, np.arange(len(documents)) != largest))] = np.arange(len(documents))
    drawn = drawn[np.lexsort((order, rank[of_pair]))]

    # Where one document has more than half of all, the excess has no partner. With the rest, a shift by the size of the
    # largest document takes every pair to one of another document.
    size = int(sizes[largest]) if len(sizes) else 0
    num_kept = max(2 * size - len(drawn), 0)
    exchanging = drawn[num_kept:]
    sources = np.roll(exchanging, -(size - num_kept))

    b_starts, b_ends = pairs.middles.copy(), pairs.ends.copy()
    b_starts[exchanging], b_ends[exchanging] = pairs.middles[sources], pairs.ends[sources]
    is_next = np.where(has_b, 1, -1).astype(np.int8)
    is_next[exchanging] = 0
    return EpochPairs(pairs.starts, pairs.middles, b_starts, b_ends, is_next, num_kept)


def _split_points(corpus: PieceArrays, starts: Int64Array, ends: Int64Array) -> Int64Array:
    """Return where to split each range, int64; its end where it is one word."""
    middles = (starts + ends) // 2
    points = ends.copy()
    lines = np.concatenate(([0], np.asarray(corpus.line_ends, dtype=np.int64), [np.iinfo(np.int64).max]))
    above = np.searchsorted(lines, middles, side="left")
    for candidates in (lines[above], lines[above - 1]):
        inside = (starts < candidates) & (candidates < ends)
        nearer = (points == ends) | (np.abs(candidates - middles) < np.abs(points - middles))
        points = np.where(inside & nearer, candidates, points)
    for i in np.flatnonzero(points == ends).tolist():
        words = np.flatnonzero(corpus.word_starts[starts[i] + 1 : ends[i]])
        if len(words):
            candidates = starts[i] + 1 + words
            points[i] = candidates[np.abs(candidates - middles[i]).argmin()]
    return points
