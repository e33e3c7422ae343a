"""The rules of the coreference baseline: which spans are mentions, and which antecedent each is linked to.

They know words alone: no parser, no model, no training. Spans are half-open spans of the document's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from spanbert.spans import Span

_WORD = re.compile(r"['’]s\b|\w+|[^\w\s]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PERSONS = {  # pronouns that mean the same person whatever their case
    "I": "i me my mine myself",
    "we": "we us our ours ourselves",
    "you": "you your yours yourself yourselves",
}
_THIRD = {
    "male": "he him his himself",
    "female": "she her hers herself",
    "thing": "it its itself",
    "many": "they them their theirs themselves",
}
_PERSON_OF = {word: group for group, words in _PERSONS.items() for word in _words(words)}
_THIRD_OF = {word: group for group, words in _THIRD.items() for word in _words(words)}
PRONOUNS = frozenset(_PERSON_OF) | frozenset(_THIRD_OF)

_DETERMINERS = _words("a an the this that these those my your his her its our their each every some any no")
_POSSESSIVES = _words("my your his her its our their")
_STOP_WORDS = _words(
    """
    about above after again against also although am an and any are as at be became because become been before
    being below between both but by can come comes could did do does down during even ever few for from get gets go
    goes got had has have having here how however if in into is just know like made make makes many may might more
    most much must never nor not now of off often on once only or other out over own per said same say says see
    shall should since so some still such take than that then there these this those though through thus to too
    took under until up upon used very was went were what when where whether which while who whom whose why will
    with within without would yes yet n't 's 're 've 'll 'd 'm
    """
) | {"’s", "n’t"}
_MALE = _words(
    """
    mr sir lord king prince duke father dad son brother uncle nephew grandfather husband boyfriend man men boy boys
    guy gentleman actor john james robert michael william david richard joseph thomas charles christopher daniel
    matthew anthony mark donald steven paul andrew george kenneth kevin brian edward peter henry simon jack frank
    martin philip alexander louis adam ben tom jim bob bill joe mike fred harry arthur albert ernest walter
    """
)
_FEMALE = _words(
    """
    mrs ms miss madam lady queen princess duchess mother mom mum daughter sister aunt niece grandmother wife
    girlfriend woman women girl girls actress mary patricia jennifer linda elizabeth barbara susan jessica sarah
    karen nancy lisa margaret betty sandra emily kimberly donna michelle carol amanda dorothy melissa deborah
    rebecca laura sharon cynthia kathleen amy anna anne ann helen jane alice julia maria kate lucy emma rose ruth
    marie
    """
)
_PERSON_NOUNS = _words(
    """
    person child baby adult student teacher doctor professor president minister author writer artist player friend
    neighbour neighbor boss leader director officer judge king captain singer scientist researcher someone somebody
    everyone everybody user reader speaker patient customer
    """
)
_MANY = _words("people children men women police families folks both members others everyone")
_NO_PLURAL = ("ss", "us", "is", "'s", "’s")

Kind = Literal["pronoun", "name", "noun"]


@dataclass(frozen=True, slots=True)
class RuleMention:
    """A mention and what its words tell: `key` is compared by string match, `fits` are the groups of `_THIRD` that a
    pronoun for it can be of."""

    span: Span
    kind: Kind
    key: str
    fits: frozenset[str]


def cut_words(text: str) -> list[Span]:
    """The words of raw text: letters and digits, "'s", and single other characters."""
    return [Span(*match.span()) for match in _WORD.finditer(text)]


def find_mentions(words: Sequence[str], most: int) -> list[Span]:
    """Pronouns; maximal runs of capitalised words; a determiner with up to `most` words before a stop word.

    A capitalised word that begins a sentence counts if the document does not also have it in lower case.
    """
    found = {Span(place, place + 1) for place, word in enumerate(words) if word.lower() in PRONOUNS}
    found.update(_capitalised(words))
    found.update(_after_determiners(words, most))
    return sorted(found, key=lambda span: (span.start, -span.end))


def _capitalised(words: Sequence[str]) -> Iterator[Span]:
    in_lower = {word for word in words if word.islower()}
    start: int | None = None
    for place, word in enumerate([*words, ""]):
        is_name = word[:1].isupper() and word.lower() not in PRONOUNS | _DETERMINERS | _STOP_WORDS
        if is_name and _begins_sentence(words, place) and word.lower() in in_lower:
            is_name = False
        if is_name and start is None:
            start = place
        elif not is_name and start is not None:
            has_article = start > 0 and words[start - 1].lower() == "the"
            yield Span(start - has_article, place)
            start = None


def _begins_sentence(words: Sequence[str], place: int) -> bool:
    return place == 0 or words[place - 1] in {".", "!", "?", ":", '"', "“", "”", "(", "-"}


def _after_determiners(words: Sequence[str], most: int) -> Iterator[Span]:
    for place, word in enumerate(words):
        if word.lower() not in _DETERMINERS:
            continue
        end = place + 1
        while end < len(words) and end - place <= most and _continues(words[end]):
            end += 1
        if end > place + 1:
            yield Span(place, end)


def _continues(word: str) -> bool:
    lower = word.lower()
    return word[0].isalnum() and lower not in _STOP_WORDS and lower not in _DETERMINERS and lower not in PRONOUNS


def describe(words: Sequence[str], span: Span) -> RuleMention:
    """What the words of a mention tell."""
    own = words[span.start : span.end]
    lower = [word.lower() for word in own]
    if len(own) == 1 and lower[0] in PRONOUNS:
        group = _PERSON_OF.get(lower[0])
        fits = frozenset() if group else frozenset({_THIRD_OF[lower[0]]})
        return RuleMention(span, "pronoun", group or "", fits)
    bare = lower[1:] if len(lower) > 1 and lower[0] in _DETERMINERS - _POSSESSIVES else lower
    if len(bare) > 1 and bare[-1] in {"'s", "’s", "'", "’"}:
        bare = bare[:-1]
    rest = own[len(own) - len(bare) :]
    kind: Kind = "name" if all(word[:1].isupper() for word in rest if word[:1].isalpha()) else "noun"
    return RuleMention(span, kind, " ".join(bare), _fits(bare, kind))


def _fits(lower: Sequence[str], kind: Kind) -> frozenset[str]:
    head = lower[-1]
    if kind == "noun":  # the head of "the man of the house" stands before the first preposition
        head = next((before for before, word in pairwise(lower) if word in _STOP_WORDS), head)
    is_many = (
        "and" in lower or head in _MANY or (kind == "noun" and head.endswith("s") and not head.endswith(_NO_PLURAL))
    )
    if is_many:
        return frozenset({"many"})
    first_and_head = {lower[0], head}
    if first_and_head & _MALE:
        return frozenset({"male"})
    if first_and_head & _FEMALE:
        return frozenset({"female"})
    if head in _PERSON_NOUNS:
        return frozenset({"male", "female", "many"})
    return frozenset({"male", "female", "thing", "many"}) if kind == "name" else frozenset({"thing"})


def link_mentions(mentions: Sequence[RuleMention]) -> list[list[Span]]:
    """Clusters of mentions, those of one mention left out.

    Args:
        mentions: in order of the text.

    A name or noun is linked to the nearest mention before it that is the same string without its determiner; "I", "we"
    and "you" to the nearest of their own kind; any other pronoun to the nearest mention before it that it can be a
    pronoun for, and that does not hold it.
    """
    cluster_of: list[int] = []
    clusters: list[list[Span]] = []
    fits: list[frozenset[str]] = []  # of every mention, pronouns having what they took from their antecedents
    last: dict[tuple[bool, str], int] = {}
    for number, mention in enumerate(mentions):
        if mention.key:
            antecedent = last.get((mention.kind == "pronoun", mention.key))
            last[mention.kind == "pronoun", mention.key] = number
        else:
            antecedent = _nearest(mentions, fits, number)
        fits.append(mention.fits)
        if antecedent is None:
            cluster_of.append(len(clusters))
            clusters.append([])
        else:
            cluster_of.append(cluster_of[antecedent])
        clusters[cluster_of[-1]].append(mention.span)
    return [cluster for cluster in clusters if len(cluster) > 1]


def _nearest(mentions: Sequence[RuleMention], fits: Sequence[frozenset[str]], number: int) -> int | None:
    pronoun = mentions[number]
    for candidate in range(number - 1, -1, -1):
        if pronoun.fits <= fits[candidate] and mentions[candidate].span.end <= pronoun.span.start:
            return candidate
    return None
