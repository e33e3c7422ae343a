"""The words of raw text where no tokenizer is at hand: about those that BERT's finds."""

from __future__ import annotations

import re
import unicodedata

from spanbert.spans import Span

# Ideographs one by one, letters and digits together, other marks alone.
_IDEOGRAPHS = r"\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTERS = re.compile(rf"[^\W_{_IDEOGRAPHS}]+")
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|{_LETTERS.pattern}|_|[^\w\s]")
_MARKS = frozenset({"Mn", "Mc", "Me", "Cf"})


def plain_words(text: str) -> tuple[Span, ...]:
    """The words of a text in order; all that is not white space is in one.

    Combining marks and invisible format characters belong to the word before them, which goes on behind them.
    """
    words: list[Span] = []
    goes_on = False  # the last word ends with a mark
    for match in _WORD.finditer(text):
        start, end = match.span()
        touches = bool(words) and words[-1].end == start and not text.isascii()
        is_mark = touches and unicodedata.category(text[start]) in _MARKS
        if is_mark or (touches and goes_on and _LETTERS.match(text, start)):
            words[-1] = Span(words[-1].start, end)
        else:
            words.append(Span(start, end))
        goes_on = is_mark and _LETTERS.match(text, words[-1].start) is not None
    return tuple(words)


def splits_word(text: str, position: int) -> bool:
    """Whether one word stands on both sides of a position."""
    if not 0 < position < len(text):
        return False
    return any(word.start < 1 < word.end for word in plain_words(text[position - 1 : position + 1]))
