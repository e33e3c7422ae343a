"""The genre of a document, from its name."""

from __future__ import annotations

import re

_CONLL = re.compile(r"([^/\s]+)/")
_GUM = re.compile(r"GUM_([^_]+)_")


def find_genre(name: str, rule: str) -> str | None:
    """The genre that a document's name tells.

    Args:
        name: such as bc/cctv/00/cctv_0000 or GUM_academic_art.
        rule: `CoreferenceDataOptions.genre`; "auto" finds bc and academic.
    """
    if rule == "none":
        return None
    match = (_CONLL.match(name) or _GUM.match(name)) if rule == "auto" else re.search(rule, name)
    return (match[1] or None) if match else None
