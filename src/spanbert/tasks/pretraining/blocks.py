"""Cutting a corpus into blocks of at most so many pieces, and bringing blocks together for masking.

Nothing is lost: every piece of the chosen documents is in exactly one block. This way of filling blocks is called
DOC-SENTENCES by Liu et al. 2019, "RoBERTa", section 4.2; Joshi et al. 2019, "SpanBERT", section 3.3, train on one such
sequence at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spanbert.errors import ConfigurationError

BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]


class PieceArrays(Protocol):
    """What is needed of a corpus: P pieces in L lines in documents, one after the other."""

    @property
    def pieces(self) -> npt.NDArray[Any]:
        """Vocabulary ids, [P]."""

    @property
    def word_starts(self) -> npt.NDArray[Any]:
        """Not 0 where a piece is the first of its word, [P]."""

    @property
    def line_ends(self) -> npt.NDArray[Any]:
        """Offset after each line's last piece, ascending, [L]."""

    @property
    def document_ends(self) -> npt.NDArray[Any]:
        """Offset after each document's last piece, ascending; each is a line's end too, [number of documents]."""


@dataclass(frozen=True)
class Blocks:
    """B half-open ranges of a corpus's pieces, in the order of the corpus.

    `starts` and `ends` are piece offsets, `document` the number of the document that each block is from; all int64 [B].
    """

    starts: Int64Array
    ends: Int64Array
    document: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Int64Array:
        """Pieces in each block, int64 [B]."""
        return self.ends - self.starts


@dataclass(frozen=True)
class FlatBlocks:
    """B blocks whose N pieces stand one after the other, without [CLS], [SEP] or padding.

    `pieces` int64 [N]; `word_starts` bool [N] (the first piece of a block counts as a word start in any case);
    `offsets` int64 [B+1], block b being `pieces[offsets[b]:offsets[b+1]]`; `indices` int64 [B], each block's number in
    the random stream; `units` int64 [A, 2], the annotated spans (entities or noun phrases) as half-open positions in
    `pieces`, each within one block.
    """

    pieces: Int64Array
    word_starts: BoolArray
    offsets: Int64Array
    indices: Int64Array
    units: Int64Array

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def lengths(self) -> Int64Array:
        """Pieces in each block, int64 [B]."""
        return np.diff(self.offsets)


def single_sequence_blocks(corpus: PieceArrays, max_pieces: int, documents: BoolArray | None = None) -> Blocks:
    """Cut each document into blocks of at most `max_pieces` pieces (the sequence length less [CLS] and [SEP]).

    A block takes as many whole lines as fit. A line longer than a block is cut at word starts, and a word longer than a
    block after `max_pieces` pieces. `documents`, bool [number of documents], chooses documents; None takes all.

    Raises ConfigurationError for `max_pieces` < 1.
    """
    if max_pieces < 1:
        raise ConfigurationError(f"a block needs room for at least 1 piece, got {max_pieces}: use longer sequences")
    document_ends = np.asarray(corpus.document_ends, dtype=np.int64)
    lines = np.union1d(np.asarray(corpus.line_ends, dtype=np.int64), document_ends)
    ends = _with_long_lines_cut(lines[lines > 0], corpus.word_starts, max_pieces)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1])) if len(ends) else ends

    document = np.searchsorted(document_ends, starts, side="right")
    # After a block that begins with line i comes the one that begins with line following[i]. Blocks stop at the end of
    # their document, so the chain meets the first line of every document.
    following = np.searchsorted(ends, starts + max_pieces, side="right")
    following = np.minimum(following, np.searchsorted(ends, document_ends, side="right")[document])
    jumps, first_lines, line = following.tolist(), [], 0
    while line < len(jumps):
        first_lines.append(line)
        line = jumps[line]

    first = np.array(first_lines, dtype=np.int64)
    blocks = Blocks(starts[first], ends[following[first] - 1], document[first])
    if documents is None:
        return blocks
    chosen = documents[blocks.document]
    return Blocks(blocks.starts[chosen], blocks.ends[chosen], blocks.document[chosen])


def gather_blocks(
    corpus: PieceArrays, starts: Int64Array, ends: Int64Array, indices: Int64Array, units: Int64Array | None = None
) -> FlatBlocks:
    """Bring the pieces of B ranges of a corpus together.

    `starts`, `ends` and `indices`: int64 [B], piece offsets and the numbers of the random streams. `units`: all
    annotated spans of the corpus as half-open piece offsets, int64 [A, 2], ascending and not overlapping; those that
    lie within a block come along, those cut by a block's end do not.
    """
    lengths = ends - starts
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    positions = ranges(starts, lengths)
    return FlatBlocks(
        pieces=np.asarray(corpus.pieces[positions], dtype=np.int64),
        word_starts=np.asarray(corpus.word_starts[positions], dtype=np.bool_),
        offsets=offsets,
        indices=np.asarray(indices, dtype=np.int64),
        units=np.empty((0, 2), np.int64) if units is None else _units_within(units, starts, ends, offsets),
    )


def ranges(starts: Int64Array, lengths: Int64Array) -> Int64Array:
    """Return start, start+1, ..., start+length-1 of each range, one range after the other, int64 [sum of lengths]."""
    before = np.cumsum(lengths) - lengths
    positions: Int64Array = np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)
    return positions


def _with_long_lines_cut(line_ends: Int64Array, word_starts: npt.NDArray[Any], limit: int) -> Int64Array:
    lengths = np.diff(line_ends, prepend=0)
    cuts = []
    for line in np.flatnonzero(lengths > limit).tolist():
        end = int(line_ends[line])
        start = end - int(lengths[line])
        while end - start > limit:
            inside = np.flatnonzero(word_starts[start + 1 : start + limit + 1])
            start += int(inside[-1]) + 1 if len(inside) else limit
            cuts.append(start)
    return np.sort(np.concatenate((line_ends, np.array(cuts, dtype=np.int64))))


def _units_within(units: Int64Array, starts: Int64Array, ends: Int64Array, offsets: Int64Array) -> Int64Array:
    first = np.searchsorted(units[:, 0], starts)
    last = np.searchsorted(units[:, 1], ends, side="right")
    counts = np.maximum(last - first, 0)
    shifts = np.repeat(offsets[:-1] - starts, counts)
    return np.asarray(units[ranges(first, counts)] + shifts[:, None], dtype=np.int64)
