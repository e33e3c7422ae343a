"""The words of flat blocks: where each begins, and which word a piece is in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spanbert.tasks.pretraining.blocks import FlatBlocks, Int64Array


@dataclass(frozen=True)
class WordTable:
    """The W words of B blocks with N pieces.

    `starts` int64 [W+1]: position of each word's first piece, and N at the end, so that words i..j-1 have
    `starts[j] - starts[i]` pieces as long as they are in one block. `offsets` int64 [B+1]: block b has the words from
    `offsets[b]` to `offsets[b+1] - 1`. A word cut by a block's start counts as a word from there on.
    """

    starts: Int64Array
    offsets: Int64Array
    _is_start: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, blocks: FlatBlocks) -> WordTable:
        """Find the words of `blocks`."""
        is_start = blocks.word_starts.copy()
        is_start[blocks.offsets[:-1][blocks.lengths > 0]] = True
        starts = np.append(np.flatnonzero(is_start), len(blocks.pieces))
        return cls(starts, np.searchsorted(starts, blocks.offsets), is_start)

    @cached_property
    def of_piece(self) -> npt.NDArray[np.int32]:
        """Number of the word that each piece is in, int32 [N]."""
        words = np.cumsum(self._is_start, dtype=np.int32)
        words -= 1
        return words
