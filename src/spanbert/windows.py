"""Long text as overlapping windows, and for every piece the one window that decides about it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spanbert.errors import ConfigurationError
from spanbert.spans import Span


def cut_windows(num_pieces: int, room: int, overlap: int, *, starts: npt.NDArray[np.bool_] | None = None) -> list[Span]:
    """Overlapping windows that cover the pieces of a text (Devlin et al. 2019's doc stride, given as the overlap).

    Args:
        num_pieces: T, the pieces of the text.
        room: most pieces of a window, special pieces not counted.
        overlap: pieces that neighbouring windows share.
        starts: bool [T], true where a window may begin or end, such as the beginnings of words; a word longer than
            `room` is cut all the same. The overlap then varies by less than a word.

    Returns:
        Half-open spans of pieces, one (perhaps empty) at least; both ends grow from each to the next.

    Raises:
        ConfigurationError: there is no room, or the overlap fills it.
    """
    if room < 1 or not 0 <= overlap < room:
        raise ConfigurationError(
            f"windows of {room} pieces of text that overlap by {overlap} are not possible: raise --max-length or lower "
            "--stride"
        )
    if num_pieces <= room:
        return [Span(0, num_pieces)]
    allowed = np.arange(num_pieces) if starts is None else np.flatnonzero(starts)
    windows: list[Span] = []
    start = 0
    while True:
        end = start + room
        if end >= num_pieces:
            windows.append(Span(start, num_pieces))
            return windows
        end = _nearest(allowed, end, above=windows[-1].end if windows else start, most=end)
        windows.append(Span(start, end))
        start = _nearest(allowed, end - overlap, above=start, most=end)


def _nearest(allowed: npt.NDArray[np.int64], position: int, *, above: int, most: int) -> int:
    """The last allowed position up to `position`, else the first after it; all in (above, most], else any there."""
    inside = allowed[np.searchsorted(allowed, above, side="right") : np.searchsorted(allowed, most, side="right")]
    if not len(inside):
        return max(position, above + 1)
    return int(inside[max(0, int(np.searchsorted(inside, position, side="right")) - 1)])


def deciding_windows(windows: Sequence[Span], num_pieces: int) -> npt.NDArray[np.int64]:
    """Which window decides about each piece: the one with most context around it, the earlier one in a tie.

    A window's context of a piece is the smaller of the numbers of pieces to its left and right (Devlin et al. 2019,
    "maximum context"); the two ends of the text do not count as missing context.

    Returns:
        int64 [T], the index of a window; never falling.
    """
    # In an overlap the earlier window has `end - 1 - position` pieces to the right, the later `position - begin` to the
    # left: the later one has more context behind the middle.
    begins = [(later.start + earlier.end - 1) // 2 + 1 for earlier, later in pairwise(windows)]
    return np.repeat(np.arange(len(windows)), np.diff([0, *begins, num_pieces]))
