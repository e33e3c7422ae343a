"""The one idea of this package: a span of something that is counted from 0, half-open."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from spanbert.errors import InputError


class Span(NamedTuple):
    """A half-open range: `start` is its first position, `end` the first one after it."""

    start: int
    end: int


class LabelledSpan(NamedTuple):
    """A half-open span with the label of what it is."""

    start: int
    end: int
    label: str


TagScheme = Literal["BIO", "IOB1", "BIOES", "BMES", "BILOU"]
"""How spans are written as one tag a word.

BIO (IOB2) begins every span with B-; IOB1 only where a span follows another of its label; BIOES also marks the last
word (E-) and spans of one word (S-). BMES and BILOU are BIOES with other letters (M for I; L, U for E, S).
"""

NO_LABEL = "_"
"""The label of tags that have none, such as a bare "B" (the name that seqeval gives it)."""

_COMMON_LETTER = {"O": "O", "B": "B", "I": "I", "E": "E", "S": "S", "M": "I", "L": "E", "U": "S"}
_LETTERS: Mapping[str, str] = {"BIO": "BI", "IOB1": "BI", "BIOES": "BIES", "BMES": "BMES", "BILOU": "BILU"}


class Tag(NamedTuple):
    """A tag taken apart: one of O, B, I, E, S, and the label ("" for O)."""

    letter: str
    label: str


@functools.lru_cache(maxsize=1 << 14)
def parse_tag(tag: str) -> Tag | None:
    """Take a tag of any scheme apart; None for what is no tag.

    A label may hold hyphens. The letters of BMES and BILOU become those of BIOES; a bare letter has `NO_LABEL`.
    """
    letter = _COMMON_LETTER.get(tag[:1])
    if letter is None or (len(tag) > 1 and (tag[1] != "-" or len(tag) == 2 or letter == "O")):
        return None
    return Tag(letter, "" if letter == "O" else tag[2:] or NO_LABEL)


def guess_scheme(sequences: Iterable[Sequence[str]]) -> TagScheme:
    """The scheme of tags that `parse_tag` knows, from all sequences of a file.

    B and I alone are IOB1 where some span begins with I- and no B- begins a span that could have begun so; else BIO.
    """
    letters: set[str] = set()
    begins_with_i = needless_b = False
    for tags in sequences:
        before = Tag("O", "")
        for tag in tags:
            letters.add(tag[:1])
            current = _parsed(tag)
            if current.letter == "B":
                needless_b |= before.label != current.label
            elif current.letter == "I":
                begins_with_i |= before.label != current.label
            before = current
    if "M" in letters:
        return "BMES"
    if letters & {"L", "U"}:
        return "BILOU"
    if letters & {"E", "S"}:
        return "BIOES"
    return "IOB1" if begins_with_i and not needless_b else "BIO"


def spans_from_tags(tags: Sequence[str]) -> list[LabelledSpan]:
    """The spans of a sentence's tags as conlleval (Tjong Kim Sang and De Meulder 2003) and seqeval read them.

    The rules are lenient and the same for all schemes: a span begins at B- and S-, after O, E- or S-, and where the
    label changes. So every word that is not O is in a span.

    Raises:
        InputError: a tag is not of any scheme.
    """
    spans: list[LabelledSpan] = []
    start = 0
    before = Tag("O", "")
    for position, current in enumerate((*map(_parsed, tags), Tag("O", ""))):
        changes = current.label != before.label or current.letter in "BS" or before.letter in "ES"
        if before.letter != "O" and changes:
            spans.append(LabelledSpan(start, position, before.label))
        if changes or before.letter == "O":
            start = position
        before = current
    return spans


def well_formed_spans(tags: Sequence[str], scheme: TagScheme) -> list[LabelledSpan]:
    """The spans that are written exactly as the scheme says; the others are left out, as seqeval's strict mode does.

    Raises:
        InputError: a tag is not of any scheme.
    """
    spans: list[LabelledSpan] = []
    parsed = [_parsed(tag) for tag in tags]
    position = 0
    while position < len(parsed):
        first = parsed[position]
        end = position + 1
        if _begins(parsed, position, scheme):
            if first.letter != "S":
                while end < len(parsed) and _continues(parsed[end - 1], parsed[end], scheme):
                    end += 1
            if scheme in ("BIO", "IOB1") or parsed[end - 1].letter in "ES":
                spans.append(LabelledSpan(position, end, first.label))
        position = end
    return spans


def _begins(parsed: Sequence[Tag], position: int, scheme: TagScheme) -> bool:
    first = parsed[position]
    if scheme != "IOB1":
        return first.letter == "B" or (first.letter == "S" and scheme != "BIO")
    same_before = position > 0 and parsed[position - 1].label == first.label
    return (first.letter == "B" and same_before) or (first.letter == "I" and not same_before)


def _continues(before: Tag, current: Tag, scheme: TagScheme) -> bool:
    inside = "I" if scheme in ("BIO", "IOB1") else "IE"
    return current.label == before.label and current.letter in inside and before.letter in "BI"


def misplaced_tags(tags: Sequence[str], scheme: TagScheme) -> list[int]:
    """The positions of tags that cannot stand there in this scheme, such as I- after O in BIO.

    An unfinished span of BIOES is told at the tag after it, or at the last one.

    Raises:
        InputError: a tag is not of any scheme.
    """
    letters = "O" + _LETTERS[scheme]
    misplaced = []
    before = Tag("O", "")
    for position, tag in enumerate(tags):
        current = _parsed(tag)
        if tag[:1] not in letters or not _can_follow(before, current, scheme):
            misplaced.append(position)
        before = current
    if scheme not in ("BIO", "IOB1") and before.letter in "BI" and len(tags) - 1 not in misplaced:
        misplaced.append(len(tags) - 1)
    return misplaced


def _can_follow(before: Tag, current: Tag, scheme: TagScheme) -> bool:
    same = before.label == current.label
    if scheme == "BIO":
        return current.letter != "I" or same
    if scheme == "IOB1":
        return current.letter != "B" or same
    return (current.letter in "IE") == (before.letter in "BI") and (same or before.letter not in "BI")


def tags_from_spans(spans: Iterable[LabelledSpan], num_words: int, scheme: TagScheme = "BIO") -> list[str]:
    """Write spans of words as tags; the inverse of `spans_from_tags`.

    Args:
        spans: in any order, none overlapping.
        num_words: how many tags there are.
        scheme: the scheme.

    Raises:
        ValueError: spans overlap, are empty or end outside: there are no such tags.
    """
    tags = ["O"] * num_words
    begin, inside, last, single = tuple(_LETTERS[scheme]) if len(_LETTERS[scheme]) == 4 else tuple("BIIB")
    end_before, label_before = 0, ""
    for start, end, label in sorted(spans):
        if not end_before <= start < end <= num_words:
            raise ValueError(f"span {start}..{end} cannot be written as tags of {num_words} words")
        letters = single if end - start == 1 else begin + inside * (end - start - 2) + last
        if scheme == "IOB1" and not (start == end_before and label == label_before):
            letters = inside + letters[1:]
        tags[start:end] = [f"{letter}-{label}" for letter in letters]
        end_before, label_before = end, label
    return tags


def _parsed(tag: str) -> Tag:
    parsed = parse_tag(tag)
    if parsed is None:
        raise InputError(f"{tag!r} is not a tag: O, or a letter (B, I, E, S, M, L, U), a hyphen and a label")
    return parsed


def find_overlaps(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of indices of spans that share a position: each span that begins before the end of one before it, with the
    one that reaches furthest of those; in order of starts, the wider first."""
    pairs: list[tuple[int, int]] = []
    furthest: int | None = None
    for index in sorted(range(len(spans)), key=lambda index: (spans[index][0], -spans[index][1])):
        if furthest is not None and spans[index][0] < spans[furthest][1]:
            pairs.append((furthest, index))
        if furthest is None or spans[index][1] > spans[furthest][1]:
            furthest = index
    return pairs
