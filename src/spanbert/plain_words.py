"""The words of raw text where no tokenizer is at hand: about those that BERT's finds."""

from __future__ import annotations

import re

from spanbert.spans import Span

# Ideographs one by one, letters and digits together, other marks alone.
_IDEOGRAPHS = r"\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\W_{_IDEOGRAPHS}]+|_|[^\w\s]")


def plain_words(text: str) -> tuple[Span, ...]:
    """The words of a text in order; all that is not white space is in one."""
    return tuple(Span(*match.span()) for match in _WORD.finditer(text))


def splits_word(text: str, position: int) -> bool:
    """Whether one word stands on both sides of a position."""
    if not 0 < position < len(text):
        return False
    return any(word.start < 1 < word.end for word in plain_words(text[position - 1 : position + 1]))
