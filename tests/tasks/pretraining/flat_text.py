"""Blocks of random pieces, for the tests of masking."""

from __future__ import annotations

import numpy as np

from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.masking import MaskingVocabulary

VOCAB_SIZE = 1000
MASK_ID = 4
VOCABULARY = MaskingVocabulary(MASK_ID, (0, 1, 2, 3, MASK_ID), np.arange(VOCAB_SIZE))


def flat_blocks(
    words: list[list[int]], *, units: list[tuple[int, int]] | None = None, indices: list[int] | None = None
) -> FlatBlocks:
    """Blocks are lists of the number of pieces in each word."""
    lengths = [sum(block) for block in words]
    num_pieces = sum(lengths)
    return FlatBlocks(
        pieces=5 + np.arange(num_pieces) % (VOCAB_SIZE - 5),
        word_starts=np.array([i == 0 for block in words for word in block for i in range(word)], dtype=np.bool_),
        offsets=np.cumsum([0, *lengths]),
        indices=np.arange(len(words)) if indices is None else np.array(indices, dtype=np.int64),
        units=np.array(units or [], dtype=np.int64).reshape(-1, 2),
    )


def random_text(num_blocks: int, length: int, *, continues: float = 0.25) -> FlatBlocks:
    """Blocks of one length in which a piece continues a word with probability `continues`."""
    rng = np.random.default_rng(0)
    return FlatBlocks(
        pieces=rng.integers(5, VOCAB_SIZE, num_blocks * length),
        word_starts=rng.random(num_blocks * length) >= continues,
        offsets=np.arange(num_blocks + 1) * length,
        indices=np.arange(num_blocks),
        units=np.empty((0, 2), dtype=np.int64),
    )
