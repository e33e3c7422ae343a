"""Text for terminals: nothing of it acts, and every character keeps its place."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.visible_text import for_terminal

TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[31mb", "a␛[31mb"), ("a\tb\nc", "a\tb\nc"), ("\x7f\x85", "␡�"), (TURNING, "�" * len(TURNING))],
)
def test_controls_and_changes_of_direction_become_signs(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@given(st.text())
def test_the_length_stays_and_no_control_does(text: str) -> None:
    shown = for_terminal(text)
    assert len(shown) == len(text)
    assert not any(unicodedata.category(character) == "Cc" for character in shown if character not in "\t\n")
