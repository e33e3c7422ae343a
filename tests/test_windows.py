from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import ConfigurationError
from spanbert.spans import Span
from spanbert.windows import cut_windows, deciding_windows


@st.composite
def texts(draw: st.DrawFn) -> tuple[int, int, int, np.ndarray | None]:
    num_pieces = draw(st.integers(0, 80))
    room = draw(st.integers(1, 15))
    overlap = draw(st.integers(0, room - 1))
    starts = draw(st.none() | st.lists(st.booleans(), min_size=num_pieces, max_size=num_pieces))
    if starts is None:
        return num_pieces, room, overlap, None
    array = np.array([True, *starts[1:]], bool) if starts else np.zeros(0, bool)
    return num_pieces, room, overlap, array


@given(texts())
@settings(max_examples=300, deadline=None)
def test_windows_cover_the_text_and_every_piece_is_decided_once(text: tuple[int, int, int, np.ndarray | None]) -> None:
    num_pieces, room, overlap, starts = text
    windows = cut_windows(num_pieces, room, overlap, starts=starts)
    assert windows[0].start == 0
    assert windows[-1].end == num_pieces
    for before, after in itertools.pairwise(windows):
        assert before.start < after.start <= before.end < after.end
    assert all(window.end - window.start <= room for window in windows)
    owner = deciding_windows(windows, num_pieces)
    assert len(owner) == num_pieces
    assert (np.diff(owner) >= 0).all()
    assert all(windows[number].start <= piece < windows[number].end for piece, number in enumerate(owner))


@given(texts())
@settings(max_examples=200, deadline=None)
def test_the_deciding_window_has_the_most_context(text: tuple[int, int, int, np.ndarray | None]) -> None:
    num_pieces, room, overlap, starts = text
    windows = cut_windows(num_pieces, room, overlap, starts=starts)
    neighbours_only = all(windows[n + 2].start >= windows[n].end for n in range(len(windows) - 2))
    if not neighbours_only:
        return

    def context(piece: int, window: Span) -> float:
        left = np.inf if window.start == 0 else piece - window.start
        right = np.inf if window.end == num_pieces else window.end - 1 - piece
        return min(left, right)

    for piece, number in enumerate(deciding_windows(windows, num_pieces)):
        holding = [window for window in windows if window.start <= piece < window.end]
        assert context(piece, windows[number]) == max(context(piece, window) for window in holding)


def test_windows_begin_and_end_at_words_where_words_are_short_enough() -> None:
    starts = np.array([1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1], bool)
    windows = cut_windows(12, 5, 2, starts=starts)
    assert [window.start for window in windows] == [0, 3, 4, 7]
    assert all(starts[window.start] for window in windows)
    assert all(window.end == 12 or starts[window.end] for window in windows)


def test_a_text_of_one_window_is_not_cut() -> None:
    assert cut_windows(5, 5, 4) == [Span(0, 5)]
    assert cut_windows(0, 5, 4) == [Span(0, 0)]


@pytest.mark.parametrize(("room", "overlap"), [(0, 0), (-3, 0), (5, 5), (5, -1)])
def test_impossible_windows_are_refused(room: int, overlap: int) -> None:
    with pytest.raises(ConfigurationError, match=r"--max-length .* --stride"):
        cut_windows(10, room, overlap)
