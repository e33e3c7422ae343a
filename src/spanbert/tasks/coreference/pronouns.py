"""The pronouns of English and Chinese, and which mention of a chain is its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from spanbert.spans import Span

PronounKind = Literal["plain", "possessive", "her", "reflexive", "的"]
"""What stands for a pronoun: a name, a name with 's, one or the other (her), a name with 的."""

_ENGLISH: dict[str, PronounKind] = {
    **dict.fromkeys(("he", "him", "she", "it", "they", "them"), "plain"),
    **dict.fromkeys(("his", "hers", "its", "their", "theirs"), "possessive"),
    **dict.fromkeys(("himself", "herself", "itself", "themselves", "themself"), "reflexive"),
    "her": "her",
}
# Of these no chain can take its name; they are never replaced, since a name in their place would not be English.
_OTHER_ENGLISH = """
    i me my mine myself we us our ours ourselves you your yours yourself yourselves one ones oneself
    this that these those who whom whose which what whoever each other another both all some any none
    someone somebody something anyone anybody anything everyone everybody everything nobody nothing
""".split()  # noqa: SIM905  (so many literals read worse)
_ABBREVIATIONS = frozenset(("US", "IT"))
_CHINESE = "[他她它牠祂](?:们|們)?"
_OTHER_CHINESE = "(?:[我你妳您咱俺](?:们|們)?|自己|[这這那](?:个|個|些|里|裡|儿|兒)?|此|其|之|[谁誰]|彼此|人家|大家)"
_REPLACEABLE_CHINESE = re.compile(f"{_CHINESE}(的?)")
_ANY_CHINESE = re.compile(f"(?:{_CHINESE}|{_OTHER_CHINESE})+的?")
_CLITIC = re.compile("(?:['’][sS]|(?<=s)['’]|的)$")


def pronoun_kind(mention: str) -> PronounKind | None:
    """How to put a name in the place of a mention; None for all but pronouns of the third person."""
    if match := _REPLACEABLE_CHINESE.fullmatch(mention):
        return "的" if match[1] else "plain"
    return None if mention in _ABBREVIATIONS else _ENGLISH.get(mention.lower())


def is_pronoun(mention: str) -> bool:
    """Whether a mention has nothing but pronouns, of whatever kind: "she", "he himself", "others" not, "他自己"."""
    words = mention.split()
    return bool(words) and all(
        word not in _ABBREVIATIONS
        and (word.lower() in _ENGLISH or word.lower() in _OTHER_ENGLISH or _ANY_CHINESE.fullmatch(word))
        for word in words
    )


def name_span(text: str, cluster: Sequence[Span]) -> Span | None:
    """The longest mention that is no pronoun, without a final 's or 的, the first of equals; None if there is none.

    One that holds a pronoun of its own cluster ("their mother" of "their") is only taken where there is no other.
    """
    names, pronouns = [], []
    for start, end in cluster:
        mention = text[start:end]
        if is_pronoun(mention):
            pronouns.append(Span(start, end))
        elif mention.strip():
            names.append(Span(start, start + (len(_CLITIC.sub("", mention).rstrip()) or len(mention))))
    free = [name for name in names if not any(name.start <= one.start and one.end <= name.end for one in pronouns)]
    return max(free or names, key=lambda name: name.end - name.start, default=None)
