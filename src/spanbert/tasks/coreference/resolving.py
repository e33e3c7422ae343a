"""A text in which names stand for pronouns."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from spanbert.spans import Span
from spanbert.tasks.coreference.pronouns import PronounKind, is_pronoun, name_span, pronoun_kind

_MOST_NESTED = 3
"""Names in names: "his mother" becomes "Paul's mother", and so on this often; the pronoun of the innermost stays."""

_WHITE_SPACE = re.compile(r"\s+")
_NEXT_WORD = re.compile(r"[ \t]*\n?[ \t]*(\w+)")
# After "her" these begin something new, so that it is no possessive: "told her that", and not "told her sister".
_BEGINS_ANEW = """
    a an the this these those my your his its our their he she it we you they i and or but nor so yet if when while
    as that than because since until before after though although where why how what who which whether to of in on at
    by for from with without about into onto over under through across behind between during against up down out off
    away back home here there then now again today yesterday tomorrow too also not never always is was are were be
    been has had have will would can could may might must shall should did does do said says alone
""".split()  # noqa: SIM905  (so many literals read worse)
# A name that was taken from the beginning of a sentence loses the capital of these elsewhere.
_LOWERED = re.compile("The|An?|This|That|These|Those|His|Her|Its|Their|My|Our|Your|Some|One")
_SENTENCE_START = re.compile('(?:^|[.!?:\n"“”‘(])\\s*$')


def resolve(text: str, clusters: Sequence[Sequence[Span]]) -> str:
    """The text with the pronouns of the third person, English and Chinese, replaced by the names of their clusters.

    A cluster's name is its longest mention that is no pronoun; where there is none, its pronouns stay. So do pronouns
    inside a mention of their own cluster ("the man who lost his hat") and reflexives right behind one ("Ada herself").
    Nothing else is touched. Pronouns in a name are replaced in it too, where that leads not back to the name.

    Args:
        text: the document.
        clusters: spans of it, in any order; they may nest and cross.
    """
    return _Resolver(text, clusters).resolved()


class _Resolver:
    def __init__(self, text: str, clusters: Sequence[Sequence[Span]]) -> None:
        self._text = text
        self._names = [name_span(text, cluster) for cluster in clusters]
        self._begun_wide = {span.start: span.end for span in sorted(span for cluster in clusters for span in cluster)}
        self._apostrophe = "’" if "’s" in text and "'s" not in text else "'"
        # In order of the text; none overlaps another.
        self._pronouns: list[tuple[Span, int, PronounKind]] = []
        found = [item for number, cluster in enumerate(clusters) for item in self._replaceable(number, cluster)]
        for item in sorted(found):
            if not self._pronouns or item[0].start >= self._pronouns[-1][0].end:
                self._pronouns.append(item)

    def _replaceable(self, number: int, cluster: Sequence[Span]) -> Iterator[tuple[Span, int, PronounKind]]:
        """The pronouns of a cluster that give way to its name."""
        if self._names[number] is None:
            return
        names = sorted(span for span in cluster if not is_pronoun(self._text[slice(*span)]))
        ends = {end for _, end in names}
        furthest = 0
        place = 0
        for span in sorted(cluster):
            while place < len(names) and names[place].start <= span.start:
                furthest = max(furthest, names[place].end)
                place += 1
            kind = pronoun_kind(self._text[slice(*span)])
            if kind is None or furthest >= span.end:
                continue
            if kind == "reflexive" and span.start - 1 in ends and self._text[span.start - 1].isspace():
                continue
            yield span, number, kind

    def resolved(self) -> str:
        """The whole text."""
        parts: list[str] = []
        position = 0
        for span, number, kind in self._pronouns:
            parts += (self._text[position : span.start], self._replacement(span, number, kind, frozenset()))
            position = span.end
        return "".join(parts) + self._text[position:]

    def _replacement(self, span: Span, number: int, kind: PronounKind, inside: frozenset[int]) -> str:
        """The name of a cluster in the form of one of its pronouns."""
        pronoun = self._text[slice(*span)]
        name = self._name(number, inside | {number})
        first_word = name.split(maxsplit=1)[0]
        if pronoun[0].isupper() and first_word.islower():
            name = name[0].upper() + name[1:]
        elif pronoun[0].islower() and _LOWERED.fullmatch(first_word) and self._begins_sentence(number):
            name = name[0].lower() + name[1:]
        if kind == "的":
            return name + "的"
        if kind == "possessive" or (kind == "her" and self._is_possessive(span)):
            plural = pronoun.lower() in ("their", "theirs") and name.endswith("s")
            return name + self._apostrophe + ("" if plural else "s")
        return name

    def _name(self, number: int, inside: frozenset[int]) -> str:
        """A cluster's name on one line; its pronouns are replaced but for those of the clusters of `inside`."""
        name = self._names[number]
        assert name is not None
        parts: list[str] = []
        position = name.start
        first, last = (bisect_left(self._pronouns, place, key=lambda one: one[0].start) for place in name)
        for span, other, kind in self._pronouns[first:last] if len(inside) <= _MOST_NESTED else ():
            if span.end <= name.end and other not in inside:
                parts += (self._text[position : span.start], self._replacement(span, other, kind, inside))
                position = span.end
        parts.append(self._text[position : name.end])
        return _WHITE_SPACE.sub(" ", "".join(parts)).strip()

    def _begins_sentence(self, number: int) -> bool:
        """Whether the mention that is a cluster's name begins a sentence."""
        name = self._names[number]
        assert name is not None
        return _SENTENCE_START.search(self._text[max(0, name.start - 20) : name.start]) is not None

    def _is_possessive(self, her: Span) -> bool:
        """Whether "her" is that of "her hat", and not that of "saw her": as the mentions say, or the next word."""
        if self._begun_wide[her.start] > her.end:
            return True
        word = _NEXT_WORD.match(self._text, her.end)
        return word is not None and word[1].lower() not in _BEGINS_ANEW
