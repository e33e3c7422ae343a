"""Which part of a text a window shows for one pair of spans, and how it is written there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spanbert.spans import Span

Pieces = npt.NDArray[np.int64]


class PairView(NamedTuple):
    """The pieces of a text that a window shows for a pair."""

    parts: tuple[Span, ...]
    """One stretch of pieces, or two where the spans are too far apart: a [SEP] stands between them."""
    head: Span
    """The head as it is marked: a very long one, only its beginning."""
    tail: Span


def pair_view(
    num_pieces: int, head: Span, tail: Span, *, room: int, extra: int, longest: int | None = None
) -> PairView:
    """Show a pair with as much text around it as there is room for, as evenly to both sides as the text allows.

    Args:
        num_pieces: T, pieces of the text.
        head, tail: spans of its pieces, perhaps empty.
        room: most pieces of the window, [CLS] and [SEP] not counted.
        extra: pieces that marking the pair adds; negative where type tokens take the spans' place.
        longest: pieces after which a span counts as ended; None where spans take no room.

    Returns:
        The view; parts + extra (+ 1 for the [SEP] between two parts) are never more than `room`.
    """
    if longest is not None:
        head, tail = (Span(span.start, min(span.end, span.start + longest)) for span in (head, tail))
    first, second = sorted((head, tail))
    core = Span(first.start, max(first.end, second.end))
    spare = room - extra - (core.end - core.start)
    if spare >= 0:
        before, behind = core.start, num_pieces - core.end
        left = min(before, max(spare // 2, spare - behind))
        return PairView((Span(core.start - left, core.end + min(behind, spare - left)),), head, tail)
    spare = room - extra - 1 - (first.end - first.start) - (second.end - second.start)
    left, right = min(first.start, spare // 4), min(num_pieces - second.end, spare // 4)
    inner = spare - left - right  # less than there is between the spans, or one part would have been enough
    parts = (
        Span(first.start - left, first.end + inner // 2),
        Span(second.start - (inner - inner // 2), second.end + right),
    )
    return PairView(parts, head, tail)


def covered(head: Span, tail: Span) -> int:
    """How many pieces lie in one of two spans, or in both."""
    shared = max(0, min(head.end, tail.end) - max(head.start, tail.start))
    return head.end - head.start + tail.end - tail.start - shared


@dataclass(frozen=True, slots=True)
class Marks:
    """What is written for one span of a pair.

    opening: the piece before the span, or in its place.
    closing: the piece after it; None: `opening` stands in the span's place.
    """

    opening: int
    closing: int | None


class Written(NamedTuple):
    """A view as pieces."""

    pieces: Pieces
    """[T], [CLS] first and [SEP] last."""
    boundaries: tuple[int, int, int, int]
    """Places of what stands for the pair: first and last piece of the head, then of the tail; the markers, if any."""


def write_view(ids: Pieces, view: PairView, marks: Sequence[Marks] | None, cls_id: int, sep_id: int) -> Written:
    """Write a view as a window's pieces.

    Args:
        ids: [T] pieces of the text.
        view: what is shown of them.
        marks: of head and tail; None: nothing is marked.
        cls_id, sep_id: ids of [CLS] and [SEP].
    """
    written: list[Pieces] = [np.array([cls_id])]
    length = 1
    boundaries = [0, 0, 0, 0]
    marking = _marking(view, marks)
    for number, part in enumerate(view.parts):
        if number:
            written.append(np.array([sep_id]))
            length += 1
        read = part.start
        for at, piece, goes_on, places in marking:
            if not part.start <= at <= part.end:
                continue
            if at > read:
                written.append(ids[read:at])
                length += at - read
            read = max(read, at, goes_on)
            for place in places:
                boundaries[place] = length
            if piece is not None:
                written.append(np.array([piece]))
                length += 1
        if part.end > read:
            written.append(ids[read : part.end])
            length += part.end - read
    written.append(np.array([sep_id]))
    first, last, other_first, other_last = boundaries
    if marks is None:  # what was noted is the place behind each span
        last, other_last = max(first, last - 1), max(other_first, other_last - 1)
    return Written(np.concatenate(written), (first, last, other_first, other_last))


class _Marking(NamedTuple):
    at: int
    piece: int | None
    """What is written; None: only the place is noted."""
    goes_on: int
    """Where reading goes on: behind a span that is replaced."""
    places: tuple[int, ...]
    """The boundaries that stand here."""


def _marking(view: PairView, marks: Sequence[Marks] | None) -> list[_Marking]:
    """What is written where, in order: at one place ends come before beginnings, and inner spans inside outer ones."""
    ordered: list[tuple[tuple[int, ...], _Marking]] = []
    for role, span in enumerate((view.head, view.tail)):
        opening, closing = (None, None) if marks is None else (marks[role].opening, marks[role].closing)
        first, last = 2 * role, 2 * role + 1
        if marks is not None and closing is None:
            ordered.append(((span.start, 2, -span.end, role), _Marking(span.start, opening, span.end, (first, last))))
            continue
        empty = span.start == span.end
        begin, end = ((1, role, 0), (1, role, 1)) if empty else ((2, -span.end, role), (0, -span.start, -role))
        ordered.append(((span.start, *begin), _Marking(span.start, opening, 0, (first,))))
        ordered.append(((span.end, *end), _Marking(span.end, closing, 0, (last,))))
    return [marking for _, marking in sorted(ordered, key=lambda pair: pair[0])]
