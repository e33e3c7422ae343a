"""A text with marked stretches as HTML: escaped, cut to what matters, and safe with every script."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterator, Sequence

from spanbert.spans import Span
from spanbert.task import Mark
from spanbert.visible_text import escaped

CONTEXT = 160
"""Characters shown on either side of a mark."""
MOST_CHARACTERS = 3000
"""Of one text, where its marks are many or long."""

_SIGNS = {"right": "✓", "wrong": "✗", "missed": "missed", "shown": ""}
_ORDER = ("shown", "missed", "wrong", "right")  # from the outside to the inside where marks are equally long
_SEARCHED = 20  # characters in which a cut looks for white space


def marked_html(text: str, marks: Sequence[Mark], *, context: int = CONTEXT) -> str:
    """The text around its marks, each mark an element `<mark class="KIND">` with its label behind it.

    Marks may overlap; what lies outside the text is left out. Where marks are wrong or missed, only their
    surroundings are shown, together with whatever is marked there. What is cut stands as "…", which tells how many
    characters are missing.

    Args:
        text: any text; control characters become visible signs.
        marks: in code points of the text.
        context: characters shown on either side of a mark.
    """
    inside = [mark for mark in marks if 0 <= mark.start <= mark.end <= len(text)]
    parts: list[str] = []
    position = 0
    for stretch in _shown_stretches(text, inside, context):
        parts.append(_cut(stretch.start - position))
        parts.extend(_marked(text, stretch, inside))
        position = stretch.end
    parts.append(_cut(len(text) - position))
    return "".join(parts)


# What is shown


def _shown_stretches(text: str, marks: Sequence[Mark], context: int) -> list[Span]:
    """Stretches of the text, in order and apart from each other."""
    if len(text) <= 4 * context:
        return [Span(0, len(text))]
    errors = [mark for mark in marks if mark.kind in ("wrong", "missed")]
    edges = [Span(edge.start, edge.end) for mark in errors or marks for edge in _edges(mark, context)] or [Span(0, 0)]
    stretches: list[Span] = []
    num_shown = 0
    for edge in sorted(edges):
        start = _cut_near(text, max(0, edge.start - context), down=True)
        end = _cut_near(text, min(len(text), edge.end + context), down=False)
        if stretches and start <= stretches[-1].end:
            start = stretches.pop().start if end > stretches[-1].end else end
        if start < end:
            stretches.append(Span(start, end))
            num_shown = sum(stretch.end - stretch.start for stretch in stretches)
        if num_shown > MOST_CHARACTERS:
            break
    return stretches


def _edges(mark: Mark, context: int) -> list[Span]:
    """A mark as a whole, or the two ends of a long one."""
    if mark.end - mark.start <= 2 * context:
        return [Span(mark.start, mark.end)]
    return [Span(mark.start, mark.start), Span(mark.end, mark.end)]


def _cut_near(text: str, position: int, *, down: bool) -> int:
    """A place to cut that is near: beside white space, else at least not inside of what is seen as one character."""
    if position in (0, len(text)):
        return position
    step = -1 if down else 1
    for place in range(position, position + step * _SEARCHED, step):
        if not 0 < place < len(text):
            return max(0, min(len(text), place))
        if text[place - 1 if down else place].isspace():
            return place
    while 0 < position < len(text) and _joined(text, position):
        position += step
    return position


def _joined(text: str, position: int) -> bool:
    """Whether the characters before and at the position are seen as one."""
    joiner = "\u200d"
    return (
        unicodedata.category(text[position]).startswith("M")
        or joiner in (text[position - 1], text[position])
        or "\U0001f3fb" <= text[position] <= "\U0001f3ff"  # skin tones
    )


def _cut(num_characters: int) -> str:
    if num_characters <= 0:
        return ""
    return f'<span class="cut" title="{num_characters:,} characters left out">…</span>'


# Marking


def _marked(text: str, stretch: Span, marks: Sequence[Mark]) -> Iterator[str]:
    """A stretch as HTML. Marks that overlap are cut where another begins or ends, so that elements nest."""
    touching = [mark for mark in marks if mark.start <= stretch.end and mark.end >= stretch.start]
    places = {stretch.start, stretch.end}
    places |= {place for mark in touching for place in (mark.start, mark.end) if stretch.start < place < stretch.end}
    ordered = sorted(places)
    yield from _labels([mark for mark in touching if mark.start == mark.end == stretch.start])
    for start, end in itertools.pairwise(ordered):
        around = [mark for mark in touching if mark.start <= start and end <= mark.end]
        around.sort(key=lambda mark: (mark.start - mark.end, _ORDER.index(mark.kind)))
        before = "".join(f'<mark class="{mark.kind}">' for mark in around)
        yield before + escaped(text[start:end]) + "</mark>" * len(around)
        # An inner label stands before that of what is around it; a mark without a width is its label only.
        ending = [mark for mark in around if mark.end == end]
        yield from _labels(ending[::-1] + [mark for mark in touching if mark.start == mark.end == end])


def _labels(marks: Sequence[Mark]) -> Iterator[str]:
    for label, kind in dict.fromkeys((mark.label, mark.kind) for mark in marks):
        if said := " ".join(filter(None, (escaped(label), _SIGNS[kind]))):
            yield f'<small class="label {kind}">{said}</small>'
