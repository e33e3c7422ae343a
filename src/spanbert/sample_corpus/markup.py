r"""The inline markup of the sample corpus: one line of text with its mentions in brackets.

    [Marta Oyelaran|PERSON #marta @1] has run [[Skerry Ferries|ORGANIZATION #company @2]' only boat|#boat] since ...

`[text|attributes]` marks a mention. The attributes are separated by spaces: an entity type, the name of a coreference
cluster after `#`, and a number after `@` by which relations name the mention. Mentions may nest. A literal `[`, `]`,
`|` or `\` is written with a backslash before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from spanbert.errors import InputError

ENTITY_TYPES = ("PERSON", "ORGANIZATION", "LOCATION", "DATE", "MONEY", "PRODUCT", "EVENT", "DISEASE", "SUBSTANCE")

_SPECIAL = re.compile(r"[\[\]|\\]")
_CLUSTER = re.compile(r"#([\w-]+)")
_NUMBER = re.compile(r"@([1-9][0-9]*)", re.ASCII)
_FIRST_CJK = "\u2e80"  # from here on Unicode has the scripts that are written without spaces between words


class SourceLine(NamedTuple):
    """One line of a file, and where it is: everything an error message needs."""

    source: str | None
    number: int
    text: str

    def error(self, message: str) -> InputError:
        """The error to raise for this line."""
        return InputError(message, source=self.source, line=self.number)


@dataclass(frozen=True, kw_only=True)
class Mention:
    """A marked span of one line: half-open, in code points of the line's plain text."""

    start: int
    end: int
    type: str | None = None
    cluster: str | None = None
    number: int | None = None


def splits_word(text: str, position: int) -> bool:
    """Whether a boundary before `text[position]` would lie inside a word (of a script that separates words)."""
    around = text[max(position - 1, 0) : position + 1]
    return 0 < position < len(text) and all(character.isalnum() and character < _FIRST_CJK for character in around)


def parse_markup(line: SourceLine) -> tuple[str, tuple[Mention, ...]]:
    """Take a line apart into its plain text and its mentions, ordered by start, the outer before the inner.

    Raises `InputError` with file and line for everything that does not follow the format.
    """
    pieces: list[str] = []  # of the plain text
    length = 0
    open_brackets: list[tuple[int, int]] = []  # (start in the plain text, start in the line)
    mentions: list[Mention] = []
    position = 0
    while match := _SPECIAL.search(line.text, position):
        pieces.append(line.text[position : match.start()])
        length += len(pieces[-1])
        position = match.end()
        column = match.start() + 1
        if match[0] == "\\":
            escaped = line.text[position : position + 1]
            if not escaped or escaped not in "[]|\\":
                raise line.error(rf"column {column}: a backslash stands only before '[', ']', '|' or '\'")
            pieces.append(escaped)
            length += 1
            position += 1
        elif match[0] == "[":
            open_brackets.append((length, match.start()))
        elif not open_brackets:
            raise line.error(
                rf"column {column}: {match[0]!r} outside of brackets; a literal one is written \{match[0]}"
            )
        elif match[0] == "]":
            shown = line.text[open_brackets[-1][1] : position]
            raise line.error(f"the bracket {shown!r} has no attributes: write [text|TYPE #cluster @number]")
        else:
            end = line.text.find("]", position)
            if end < 0:
                raise line.error(f"column {open_brackets[-1][1] + 1}: the bracket is never closed")
            attributes = line.text[position:end]
            if _SPECIAL.search(attributes):
                raise line.error(f"the attributes {attributes!r} hold a special character: brackets nest, never cross")
            start, _ = open_brackets.pop()
            mentions.append(_mention(line, start, length, attributes))
            position = end + 1
    if open_brackets:
        raise line.error(f"column {open_brackets[-1][1] + 1}: the bracket is never closed")
    plain = "".join(pieces) + line.text[position:]
    mentions.sort(key=lambda mention: (mention.start, -mention.end))
    _check_boundaries(line, plain, mentions)
    return plain, tuple(mentions)


def _mention(line: SourceLine, start: int, end: int, attributes: str) -> Mention:
    """The mention with these attributes (the text between `|` and `]`)."""
    if not attributes.split():
        raise line.error("a mention has no attributes after '|': write [text|TYPE #cluster @number]")
    kind: str | None = None
    cluster: str | None = None
    number: int | None = None
    for attribute in attributes.split():
        if attribute.startswith("#"):
            match = _CLUSTER.fullmatch(attribute)
            if match is None:
                raise line.error(f"the cluster name {attribute!r} is not '#' with letters, digits, '_' or '-' after it")
            if cluster is not None:
                raise line.error(f"a mention is in one cluster, not in both #{cluster} and {attribute}")
            cluster = match[1]
        elif attribute.startswith("@"):
            match = _NUMBER.fullmatch(attribute)
            if match is None:
                raise line.error(f"the mention number {attribute!r} is not '@' with a number from 1 after it")
            if number is not None:
                raise line.error(f"a mention has one number, not both @{number} and {attribute}")
            number = int(match[1])
        elif attribute not in ENTITY_TYPES:
            raise line.error(f"unknown entity type {attribute!r}; the types are {', '.join(ENTITY_TYPES)}")
        elif kind is not None:
            raise line.error(f"a mention has one entity type, not both {kind} and {attribute}")
        else:
            kind = attribute
    if number is not None and kind is None:
        raise line.error(f"the mention @{number} takes part in relations, so it needs an entity type")
    return Mention(start=start, end=end, type=kind, cluster=cluster, number=number)


def _check_boundaries(line: SourceLine, plain: str, mentions: list[Mention]) -> None:
    """Mentions must be distinct, and begin and end with whole words."""
    seen: set[tuple[int, int]] = set()
    for mention in mentions:
        text = plain[mention.start : mention.end]
        if not text:
            raise line.error("a mention has no text before '|'")
        if text != text.strip():
            raise line.error(f"the mention {text!r} begins or ends with a space: move it out of the bracket")
        if splits_word(plain, mention.start) or splits_word(plain, mention.end):
            raise line.error(f"the mention {text!r} begins or ends inside a word")
        if (mention.start, mention.end) in seen:
            raise line.error(f"{text!r} is marked twice: put all attributes into one bracket")
        seen.add((mention.start, mention.end))
