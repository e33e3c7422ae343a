"""The words of raw text: which of the tokenizer's belong together, and all of them where no tokenizer is at hand."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from spanbert.spans import Span

# Ideographs one by one, letters and digits together, other marks alone.
_IDEOGRAPHS = r"\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTERS = re.compile(rf"[^\W_{_IDEOGRAPHS}]+")
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|{_LETTERS.pattern}|_|[^\w\s]")
_MARKS = frozenset({"Mn", "Mc", "Me", "Cf"})
_APOSTROPHES = frozenset("'’")
_CLITICS = frozenset({"s", "d", "m", "t", "ll", "re", "ve"})
_IN_NUMBERS = frozenset(".,")
_REACH = 40
"""Characters to each side in which `splits_word` looks for the word: few are longer."""


def parts_of_words(text: str, words: Sequence[Sequence[int]]) -> list[int]:
    """Which of BERT's words belong to the word before them.

    BERT's tokenizers part the apostrophe of Ann's from its s, and 2,150 in three. Annotated text, from which models
    learn, has 's and 2,150 as one word each; and no mention or entity ends inside them.

    Args:
        text: the text.
        words: start and end of each, in order.

    Returns:
        Their numbers, from 0.
    """
    parts: list[int] = []
    for number in range(1, len(words) - 1):
        start, end = words[number]
        if words[number - 1][1] != start or words[number + 1][0] != end:
            continue
        mark, before, behind = text[start:end], text[start - 1], text[slice(*words[number + 1])]
        if mark in _APOSTROPHES and before.isalnum() and behind.lower() in _CLITICS:
            parts.append(number + 1)
        elif mark in _IN_NUMBERS and before.isdecimal() and behind[0].isdecimal():
            parts += [number, number + 1]
    return parts


def plain_words(text: str) -> tuple[Span, ...]:
    """The words of a text in order, about those that BERT's tokenizers find; all that is not white space is in one.

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
    parts = set(parts_of_words(text, words))
    joined: list[Span] = []
    for number, word in enumerate(words):
        if number in parts:
            joined[-1] = Span(joined[-1].start, word.end)
        else:
            joined.append(word)
    return tuple(joined)


def splits_word(text: str, position: int) -> bool:
    """Whether one word stands on both sides of a position."""
    if not 0 < position < len(text):
        return False
    start = max(0, position - _REACH)
    around = plain_words(text[start : position + _REACH])
    return any(word.start < position - start < word.end for word in around)
