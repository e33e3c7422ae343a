"""The words of column files as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from spanbert.spans import Span

# Han, Kana, Bopomofo and their punctuation; not Hangul, since Korean puts spaces between words.
_CJK = re.compile(
    r"[\u2e80-\u312f\u31a0-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f\uffe0-\uffe6\U00020000-\U0003ffff]"
)


def is_by_character(words: Iterable[str]) -> bool:
    """Whether words are the characters of Chinese or Japanese text: half of those with letters are one such letter."""
    num_words = num_single = 0
    for word in words:
        if word[:1].isalpha():
            num_words += 1
            num_single += len(word) == 1 and _CJK.match(word) is not None
    return num_words > 0 and 2 * num_single >= num_words


def join_words(words: Sequence[str], *, chinese: bool = False) -> tuple[str, tuple[Span, ...]]:
    """The text of words and where each stands in it.

    One space comes between two words. In `chinese` (a file for which `is_by_character`) none does where either of the
    two characters that meet is Chinese or Japanese, or where both words are single characters ("2", "0" of "20").
    """
    parts: list[str] = []
    spans: list[Span] = []
    start = 0
    before = ""
    for word in words:
        if before:
            joined = chinese and (
                len(before) == len(word) == 1 or _CJK.match(before[-1]) is not None or _CJK.match(word[0]) is not None
            )
            parts.append("" if joined else " ")
            start += not joined
        parts.append(word)
        spans.append(Span(start, start + len(word)))
        start += len(word)
        before = word
    return "".join(parts), tuple(spans)
