"""A user's text with [MASK]s in it: finding the spans to fill, and writing candidates in their place.

A run of neighbouring [MASK]s is one span of that many pieces; white space between them means nothing. Around a span it
means nothing either to a BERT tokenizer, for which a word ends at a [MASK]. Where a letter or digit touches a [MASK],
though ("un[MASK]able", "[MASK]s"), the user means one word: then the word on the right is read as the rest of a word
("##able"), and only pieces that continue a word can come first in the span. Scripts that put no spaces between words
(Chinese, Japanese, Thai, ...) touch everywhere, so that touching says nothing there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from spanbert.errors import InputError
from spanbert.spans import Span
from spanbert.tokenization import Encoding, PieceTokenizer
from spanbert.tokenizer_files import MASK, PREFIX

# Thai, Lao, Tibetan, Burmese; Khmer; Han, Kana, Bopomofo and their punctuation. Korean has spaces.
_UNSPACED = re.compile(
    r"[\u0e00-\u109f\u1780-\u17ff\u2e80-\u312f\u31a0-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff9f\uffe0-\uffe6"
    r"\U00020000-\U0003ffff]"
)
_CLOSING = frozenset(",.;:!?)]}%…’”")
_OPENING = frozenset("([{‘“$£€#@")
_JOINING = frozenset("-–/'’")
_NEARLY_MASK = re.compile(r"\[\s*mask\s*\]|<\s*mask\s*>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MaskedSpan:
    """A run of [MASK]s.

    Attributes:
        start, end: the code points of the user's text that it covers, half-open.
        pieces: the positions of its pieces in `MaskedText.ids`.
        continues_word: whether the word before touches it, so that its first piece continues this word.
    """

    start: int
    end: int
    pieces: Span
    continues_word: bool


@dataclass(frozen=True, slots=True)
class MaskedText:
    """A text with spans to fill: `ids` are its pieces without [CLS] and [SEP]; `spans` are in the text's order."""

    text: str
    ids: tuple[int, ...]
    spans: tuple[MaskedSpan, ...]


def read_masked_text(text: str, tokenizer: PieceTokenizer) -> MaskedText:
    """Find the masked spans of a text. Other special pieces written out in it, such as [SEP], are read as these.

    Raises:
        InputError: the text is empty or has no [MASK], or has a lone surrogate.
    """
    encoding = tokenizer.encode(text, recognise_special=True)
    is_mask = encoding.ids == tokenizer.mask_id
    if not is_mask.any():
        raise InputError(_no_mask(text))
    edges = np.flatnonzero(np.diff(is_mask, prepend=False, append=False)).tolist()
    ids: list[int] = []
    spans = []
    done = 0  # pieces of `encoding` that are in `ids` already
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        start, end = int(encoding.offsets[first, 0]), int(encoding.offsets[last - 1, 1])
        ids += encoding.ids[done:last].tolist()
        pieces = Span(len(ids) - (last - first), len(ids))
        spans.append(MaskedSpan(start, end, pieces, continues_word=_is_of_word(text[start - 1 : start])))
        done = last
        if _is_of_word(text[end : end + 1]) and (rest := _rest_of_word(text, encoding, last, tokenizer)):
            rest_ids, done = rest
            ids += rest_ids
    ids += encoding.ids[done:].tolist()
    return MaskedText(text, tuple(ids), tuple(spans))


def window_around(span: Span, num_pieces: int, size: int) -> Span:
    """At most `size` of a text's pieces, with `span`, which must fit, as near to the middle as the text allows."""
    if num_pieces <= size:
        return Span(0, num_pieces)
    start = span.start - (size - (span.end - span.start)) // 2
    start = min(max(start, 0), num_pieces - size)
    return Span(start, start + size)


class Replacement(NamedTuple):
    """What to write in place of the characters `start` to `end` of a text; see `joins_left`."""

    start: int
    end: int
    text: str
    joins_left: bool


def joins_left(first_piece: str) -> bool:
    """Whether no white space belongs between a candidate that begins with this piece and the text before it."""
    return first_piece.startswith(PREFIX) or first_piece in _CLOSING


def write_pieces(pieces: Sequence[str]) -> str:
    """Write pieces as text: continuing ones joined, no spaces in unspaced scripts and around punctuation marks."""
    text = ""
    for piece in pieces:
        if piece.startswith(PREFIX):
            text += piece.removeprefix(PREFIX)
        elif text and _needs_space(text[-1], piece[0]):
            text += f" {piece}"
        else:
            text += piece
    return text


def replace_spans(text: str, replacements: Iterable[Replacement]) -> str:
    """Write each replacement into the text, which otherwise stays as it is; they are given in the text's order."""
    written, done = "", 0
    for replacement in replacements:
        written += text[done : replacement.start]
        if replacement.joins_left:
            written = written.rstrip()
        written += replacement.text
        done = replacement.end
    return written + text[done:]


def _is_of_word(character: str) -> bool:
    """Whether a character (or "", at an end of the text) is a letter, mark or digit of a script with spaces."""
    return bool(character) and unicodedata.category(character)[0] in "LMN" and not _UNSPACED.match(character)


def _rest_of_word(text: str, encoding: Encoding, first: int, tokenizer: PieceTokenizer) -> tuple[list[int], int] | None:
    """The word that begins at piece `first`, cut into pieces that continue a word, and the first piece after it.

    None when the vocabulary has no such pieces.
    """
    end = first + int(np.searchsorted(encoding.words[first:], encoding.words[first], side="right"))
    word_ids = encoding.ids[first:end].tolist()
    if tokenizer.unk_id in word_ids:
        word = text[encoding.offsets[first, 0] : encoding.offsets[end - 1, 1]]
    else:  # joined from its pieces, the word is as the tokenizer's normaliser left it
        word = "".join(tokenizer.piece(number).removeprefix(PREFIX) for number in word_ids)
    ids: list[int] = []
    while word:  # WordPiece: the longest piece first
        for length in range(len(word), 0, -1):
            number = _find(PREFIX + word[:length], tokenizer)
            if number is not None:
                ids.append(number)
                word = word[length:]
                break
        else:
            return None
    return ids, end


def _find(piece: str, tokenizer: PieceTokenizer) -> int | None:
    try:
        return tokenizer.id(piece)
    except InputError:
        return None


def _needs_space(before: str, after: str) -> bool:
    return not (
        _UNSPACED.match(before)
        or _UNSPACED.match(after)
        or before in _OPENING | _JOINING
        or after in _CLOSING | _JOINING
    )


def _no_mask(text: str) -> str:
    advice = f"write one {MASK} for each word piece that is to be filled in"
    if not text or text.isspace():
        return f"the text is empty: {advice}"
    if nearly := _NEARLY_MASK.search(text):
        return f"the text has no {MASK}; {nearly[0]!r} at character {nearly.start()} has to be written {MASK}"
    return f"the text has no {MASK}: {advice}"
