"""Marked text as HTML: nothing of the text is lost, nothing of it is taken for HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.evaluation.text_marking import MOST_CHARACTERS, marked_html
from spanbert.task import Mark
from spanbert.visible_text import escaped


class Reader(HTMLParser):
    """Text and marks as a browser sees them; fails where elements do not nest."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.pieces: list[tuple[str, tuple[str, ...]]] = []
        self.labels: list[str] = []
        self.feed(markup)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"mark", "small", "span"}
        self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] == "small":
            self.labels.append(data)
        elif not self.open or self.open[-1] != ("span", "cut"):
            is_control = bool(self.open) and self.open[-1][0] == "span"
            text = chr(int(data.removeprefix("U+"), 16)) if is_control else data
            self.pieces.append((text, tuple(name for tag, name in self.open if tag == "mark")))

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.pieces)


TEXTS = st.text(
    st.one_of(st.characters(), st.sampled_from("<>&\"'\x00\r\n\t\u202e\u2066 \ud800\ufffe👩\u200d")), max_size=60
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(-2, 65), st.integers(-2, 65), st.sampled_from("rwms")), max_size=6))
def test_text_and_marks_survive(text: str, places: list[tuple[int, int, str]]) -> None:
    kinds = {"r": "right", "w": "wrong", "m": "missed", "s": "shown"}
    marks = [Mark(start, end, "<label>", kinds[kind]) for start, end, kind in places]  # type: ignore[arg-type]
    read = Reader(marked_html(text, marks))
    assert read.text == text
    known = [mark for mark in marks if 0 <= mark.start <= mark.end <= len(text)]
    position = 0
    for part, classes in read.pieces:
        around = [mark.kind for mark in known if mark.start <= position and position + len(part) <= mark.end]
        assert sorted(classes) == sorted(around)
        position += len(part)
    assert len(read.labels) == len({(mark.end, mark.kind, mark.start == mark.end == 0) for mark in known})


def test_overlapping_marks_nest() -> None:
    marked = marked_html("abcdef", [Mark(0, 4, "A", "wrong"), Mark(2, 6, "B", "missed")])
    read = Reader(marked)
    assert read.pieces == [("ab", ("wrong",)), ("cd", ("missed", "wrong")), ("ef", ("missed",))]
    assert read.labels == ["A ✗", "B missed"]


def test_a_long_text_is_shown_around_its_errors() -> None:
    text = "first " + "word " * 1000 + "WRONG " + "word " * 1000 + "RIGHT " + "word " * 1000
    wrong, right = text.index("WRONG"), text.index("RIGHT")
    marks = [Mark(wrong, wrong + 5, "A", "wrong"), Mark(right, right + 5, "B", "right")]
    marked = marked_html(text, marks, context=50)
    assert "WRONG" in marked
    assert "RIGHT" not in marked
    assert marked.count("…") == 2
    shown = Reader(marked).text
    left_out = [int(number.replace(",", "")) for number in re.findall(r'title="([\d,]+) characters', marked)]
    assert len(shown) + sum(left_out) == len(text)
    assert 100 < len(shown) < 150
    assert shown.startswith("word"), "words are not cut"
    assert "RIGHT" in marked_html(text, marks[1:], context=50)
    assert Reader(marked_html(text, [], context=50)).text.startswith("first")


def test_many_and_long_marks_stay_within_bounds() -> None:
    text = "字" * 200_000
    marks = [Mark(start, start + 900, "x", "wrong") for start in range(0, 200_000, 1000)]
    assert len(Reader(marked_html(text, marks)).text) < 2 * MOST_CHARACTERS


@pytest.mark.parametrize("character", ["👩\u200d👩\u200d👧", "e\u0301\u0323", "👍🏽"])
def test_what_is_one_character_to_the_eye_is_not_cut(character: str) -> None:
    text = character * 500
    marks = [Mark(len(character) * 250, len(character) * 251, "x", "wrong")]
    for context in range(60, 70):
        shown = Reader(marked_html(text, marks, context=context)).text
        assert len(shown) < len(text)
        assert shown == character * (len(shown) // len(character))


def test_what_turns_the_direction_is_shown_and_not_obeyed() -> None:
    assert "\u202e" not in escaped("a\u202eb\u2067c")
    assert "U+202E" in escaped("a\u202eb")
    assert escaped("שלום 👩\u200d👩") == "שלום 👩\u200d👩"
