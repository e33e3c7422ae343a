"""The words of a text that tasks score, each with its pieces.

They are the words of a file that has such; in raw text the tokenizer's, but a clitic ('s) and a number (2,150) are one
each; or single characters, where a model was trained on such. A word that the tokenizer drops (zero-width or control
characters only) is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from spanbert.plain_words import parts_of_words
from spanbert.spans import Span
from spanbert.tokenization import PieceTokenizer, cover_marks

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TextWords:
    """The T pieces of a text and its U words.

    pieces: int32 [T]. spans: int64 [U, 2], each word in code points of the text. firsts: int64 [U], its first piece;
    all pieces from there to the next word's first are its own.
    """

    pieces: npt.NDArray[np.int32]
    spans: Int64Array
    firsts: Int64Array

    @property
    def lasts(self) -> Int64Array:
        """int64 [U], the last piece of each word."""
        return np.append(self.firsts[1:], len(self.pieces))[: len(self.firsts)] - 1

    def widen(self, start: int, end: int) -> Span:
        """The words that share a character with a span of the text; empty where none does."""
        return Span(*words_of_spans(self.spans, [(start, end)])[0].tolist())


def words_of_spans(words: Int64Array, spans: Sequence[tuple[int, int]]) -> Int64Array:
    """For each of n spans of a text the words that share a character with it.

    Args:
        words: int64 [U, 2], in code points of the text, in order.
        spans: in code points, too.

    Returns:
        int64 [n, 2], the first word and the one behind the last; the same where a span has no word.
    """
    starts, ends = np.array(spans, np.int64).reshape(-1, 2).T
    first = np.searchsorted(words[:, 1], starts, side="right")
    return np.stack((first, np.maximum(first, np.searchsorted(words[:, 0], ends, side="left"))), 1)


def find_words(text: str, words: Sequence[Span] | None, tokenizer: PieceTokenizer, *, by_character: bool) -> TextWords:
    """The pieces and words of a text; `words` None means raw text, whose characters are words with `by_character`.

    Raises:
        InputError: the text holds half a character (a lone surrogate).
    """
    if words is not None:
        return _given_words(text, np.array(words, np.int64).reshape(-1, 2), tokenizer)
    if by_character:
        starts = np.array([place for place, character in enumerate(text) if not character.isspace()], np.int64)
        found = _given_words(text, np.stack((starts, starts + 1), 1), tokenizer)
        return replace(found, spans=cover_marks(text, found.spans))
    encoding = tokenizer.encode(text)
    firsts = np.flatnonzero(encoding.word_starts)
    lasts = np.append(firsts[1:], len(encoding))[: len(firsts)] - 1
    spans = np.stack((encoding.offsets[firsts, 0], encoding.offsets[lasts, 1]), 1)
    return _join_parts(text, TextWords(encoding.ids, spans, firsts))


def _join_parts(text: str, words: TextWords) -> TextWords:
    goes_on = np.zeros(len(words.spans), bool)
    goes_on[parts_of_words(text, words.spans.tolist())] = True
    first = np.flatnonzero(~goes_on)
    last = np.append(first[1:], len(goes_on))[: len(first)] - 1
    joined = np.stack((words.spans[first, 0], words.spans[last, 1]), 1)
    return TextWords(words.pieces, joined, words.firsts[first])


def _given_words(text: str, words: Int64Array, tokenizer: PieceTokenizer) -> TextWords:
    # Each word is cut into pieces by itself, as `transformers` does with words that are given: white space between
    # them has this effect, since the tokenizer always splits there.
    encoding = tokenizer.encode(" ".join(text[start:end] for start, end in words.tolist()))
    lengths = words[:, 1] - words[:, 0] + 1
    starts = np.cumsum(lengths) - lengths  # of each word among the words joined by a space
    word_of_piece = np.searchsorted(starts, encoding.offsets[:, 0], side="right") - 1
    firsts = np.flatnonzero(np.diff(word_of_piece, prepend=-1))
    return TextWords(encoding.ids, words[word_of_piece[firsts]], firsts)
