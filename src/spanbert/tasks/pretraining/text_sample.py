"""A sample of documents to learn a vocabulary from, of a bounded size whatever the size of the text."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spanbert import randomness
from spanbert.documents import Document

# More text hardly changes the 16,000 or 30,000 most useful pieces, and this much is held in memory.
MAX_CHARACTERS = 50_000_000

_KEYS_AT_A_TIME = 4096


@dataclass(frozen=True)
class TextSample:
    """texts: the chosen documents in their order. num_documents, num_characters: of all that there were."""

    texts: list[str]
    num_documents: int
    num_characters: int

    @property
    def is_whole(self) -> bool:
        """Whether every document was chosen."""
        return len(self.texts) == self.num_documents


def sample_text(documents: Iterable[Document], *, seed: int, max_characters: int = MAX_CHARACTERS) -> TextSample:
    """Choose documents at random, as many as fit into `max_characters` (one at least); the seed decides which.

    Each document draws a number, and those with the smallest stay: so one pass over a stream of unknown length, in
    bounded memory, is enough, and every document has the same chance.
    """
    heap: list[tuple[int, int, str]] = []  # the largest number drawn is on top, hence the sign
    num_documents = num_characters = num_kept = 0
    for document in documents:
        if num_documents % _KEYS_AT_A_TIME == 0:
            indices = np.arange(num_documents, num_documents + _KEYS_AT_A_TIME)
            keys = randomness.block_keys(seed, 0, indices, "vocabulary sample").tolist()
        heapq.heappush(heap, (-keys[num_documents % _KEYS_AT_A_TIME], num_documents, document.text))
        num_documents += 1
        num_characters += len(document.text)
        num_kept += len(document.text)
        while num_kept > max_characters and len(heap) > 1:
            num_kept -= len(heapq.heappop(heap)[2])
    texts = [text for _, _, text in sorted(heap, key=lambda entry: entry[1])]
    return TextSample(texts, num_documents, num_characters)
