"""The special pieces that show the encoder which two spans are meant.

With markers, head and tail stand between [SUBJ-PERSON] and [/SUBJ-PERSON], [OBJ-CITY] and [/OBJ-CITY]; with type
tokens, [SUBJ-PERSON] and [OBJ-CITY] stand in their places (Joshi et al. 2019, section 4.1, relation extraction).
Entities without a type, or with one that the training data lack, are [SUBJ] and [OBJ].
"""

from __future__ import annotations

import re

from spanbert.tasks.relations.config import RelationSettings

_WORDS = re.compile(r"[^\W_]+")
_ROLES = {"SUBJ": "subject", "OBJ": "object"}


def marker(role: str, type: str | None, settings: RelationSettings, *, closing: bool = False) -> str:
    """The special piece of an entity in the role SUBJ or OBJ."""
    known = type is not None and type in settings.entity_types
    return f"[{'/' if closing else ''}{role}{f'-{type}' if known else ''}]"


def special_pieces(settings: RelationSettings) -> dict[str, str]:
    """Every special piece that a model needs, with the words whose meaning its embedding begins with."""
    if settings.entities == "plain":
        return {}
    pieces: dict[str, str] = {}
    for role, name in _ROLES.items():
        for type in (None, *settings.entity_types):
            words = " ".join([name, *_WORDS.findall(type or "")]).lower()
            pieces[marker(role, type, settings)] = words
            if settings.entities == "typed-markers":
                pieces[marker(role, type, settings, closing=True)] = f"end of {words}"
    return pieces
