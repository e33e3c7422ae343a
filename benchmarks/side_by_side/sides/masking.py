"""Masking alone: neither reading pieces from a corpus nor making tensors.

Settings: `scheme` and `preset` as `spanbert pretrain` knows them, `blocks` of a call, their `length` in pieces, and the
`calls` of a round. Text is random; a piece continues a word with probability 0.25.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np

from side_by_side.worker import Job, serve
from spanbert.tasks.pretraining.blocks import FlatBlocks
from spanbert.tasks.pretraining.masking import MaskingConfig, MaskingVocabulary, mask_blocks

_VOCAB_SIZE = 16_000
_SPECIAL = (0, 1, 2, 3, 4)
_MASK = 4


def load(settings: dict[str, Any]) -> Job:
    """The blocks; every call masks them for another epoch."""
    blocks = _random_blocks(settings["blocks"], settings["length"])
    config = MaskingConfig(scheme=settings["scheme"], preset=settings["preset"])
    vocabulary = MaskingVocabulary(_MASK, _SPECIAL, np.arange(_VOCAB_SIZE)[::-1])
    epochs = count()

    def run() -> float:
        for _ in range(settings["calls"]):
            mask_blocks(blocks, config, seed=0, epoch=next(epochs), vocabulary=vocabulary)
        return float(settings["calls"] * len(blocks.pieces))

    return Job(run)


def _random_blocks(num_blocks: int, length: int) -> FlatBlocks:
    random = np.random.default_rng(0)
    num_pieces = num_blocks * length
    return FlatBlocks(
        pieces=random.integers(len(_SPECIAL), _VOCAB_SIZE, num_pieces),
        word_starts=random.random(num_pieces) >= 0.25,
        offsets=np.arange(num_blocks + 1) * length,
        indices=np.arange(num_blocks),
        units=np.empty((0, 2), dtype=np.int64),
    )


if __name__ == "__main__":
    serve(load)
