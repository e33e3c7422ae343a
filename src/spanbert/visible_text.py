"""The user's text where people see it: nothing in it acts, and what would not be seen is shown."""

from __future__ import annotations

import html
import unicodedata

# What turns the direction of the text around, and would do so beyond the end of a mark.
_DIRECTIONS = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
# All controls but tab and line feed, as the signs that Unicode has for them, where it has some.
_SIGNS = {code: 0x2400 + code for code in range(32) if code not in (9, 10)} | {127: 0x2421}
_SIGNS |= dict.fromkeys((*range(0x80, 0xA0), *map(ord, _DIRECTIONS)), 0xFFFD)


def for_terminal(text: str) -> str:
    """Text of the same length without what acts on the terminal: controls other than tab and line feed, directions."""
    return text.translate(_SIGNS)


def escaped(text: str) -> str:
    """Text as HTML: what has a meaning in HTML escaped, what cannot be seen or is not allowed made visible."""
    plain = html.escape(text)
    return plain if plain.isprintable() else "".join(map(_visible, plain))


def escaped_attribute(text: str) -> str:
    """Text for an attribute or a title, where no element can stand."""
    return escaped("".join(character if character.isprintable() else "\ufffd" for character in text))


def _visible(character: str) -> str:
    hidden = character in _DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"
    if hidden and character not in "\n\t":
        return f'<span class="control">U+{ord(character):04X}</span>'
    return character
