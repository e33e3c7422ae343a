"""Corpora of a few words, for the tests of blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TinyCorpus:
    pieces: np.ndarray
    word_starts: np.ndarray
    line_ends: np.ndarray
    document_ends: np.ndarray


def corpus_of(documents: list[list[list[int]]]) -> TinyCorpus:
    """Documents are lists of lines, and lines lists of the number of pieces in each word."""
    words = [word for document in documents for line in document for word in line]
    word_starts = [i == 0 for word in words for i in range(word)]
    return TinyCorpus(
        pieces=np.arange(len(word_starts), dtype=np.uint16),
        word_starts=np.array(word_starts, dtype=np.uint8),
        line_ends=np.cumsum([sum(line) for document in documents for line in document], dtype=np.int64),
        document_ends=np.cumsum([sum(map(sum, document)) for document in documents], dtype=np.int64),
    )
