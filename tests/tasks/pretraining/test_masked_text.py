"""Masked spans: where they stand in the user's text, what is read around them, how candidates are written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_filling_model import tiny_tokenizer

from spanbert.errors import InputError
from spanbert.spans import Span
from spanbert.tasks.pretraining.masked_text import (
    Replacement,
    joins_left,
    read_masked_text,
    replace_spans,
    window_around,
    write_pieces,
)

TOKENIZER = tiny_tokenizer()

RUNS = (
    st.lists(st.sampled_from(["[MASK]", "[MASK] ", "[MASK]\n\t"]), min_size=1, max_size=4).map("".join).map(str.rstrip)
)
CONTEXT = st.lists(
    st.sampled_from(["capital", "Wellington", "北京", "😀", "👩‍🔬", "é", "e\u0301", "  ", " ", "\n", ".", "[SEP]"]),
    min_size=1,
).map("".join)


def pieces_of(text: str) -> list[str]:
    return [TOKENIZER.piece(number) for number in read_masked_text(text, TOKENIZER).ids]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CONTEXT, RUNS), min_size=1, max_size=4), CONTEXT)
def test_spans_are_the_runs_of_masks(parts: list[tuple[str, str]], end: str) -> None:
    text, expected = "", []
    for context, run in parts:
        # Contexts of nothing but white space would make two runs one.
        text += f"{context}."
        expected.append((len(text), len(text) + len(run), run.count("[MASK]")))
        text += run
    masked = read_masked_text(text + end, TOKENIZER)
    found = [(span.start, span.end, span.pieces.end - span.pieces.start) for span in masked.spans]
    assert found == expected
    in_spans = {position for span in masked.spans for position in range(*span.pieces)}
    assert in_spans == {i for i, number in enumerate(masked.ids) if number == TOKENIZER.mask_id}


def test_a_text_is_read_as_it_would_be_without_us() -> None:
    text = "The capital of [MASK] [MASK] is, (北[MASK]) [SEP] [MASK]."
    plain = TOKENIZER.encode(text, recognise_special=True)
    assert list(read_masked_text(text, TOKENIZER).ids) == plain.ids.tolist()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("un[MASK]able.", ["un", "[MASK]", "##able", "."]),
        ("un [MASK] able.", ["un", "[MASK]", "able", "."]),
        ("Two [MASK]s and", ["Two", "[MASK]", "##s", "and"]),
        ("[MASK]doable", ["[MASK]", "##do", "##able"]),
        ("[MASK]ington, s[MASK] s", ["[MASK]", "##ing", "##ton", ",", "s", "[MASK]", "s"]),
        ("[MASK]京是", ["[MASK]", "京", "是"]),  # no spaces in Chinese: touching means nothing
        ("[MASK]Paris", ["[MASK]", "Paris"]),  # no pieces for it
        ("[MASK]xyz", ["[MASK]", "[UNK]"]),
        ("[MASK]-s", ["[MASK]", "[UNK]", "s"]),
    ],
)
def test_a_word_that_touches_a_mask_goes_on_after_it(text: str, pieces: list[str]) -> None:
    assert pieces_of(text) == pieces


@pytest.mark.parametrize(
    ("text", "continues_word"),
    [("un[MASK]", True), ("un [MASK]", False), ("[MASK]", False), (".[MASK]", False), ("北[MASK]", False)],
)
def test_a_mask_that_touches_the_word_before_continues_it(text: str, continues_word: bool) -> None:
    (span,) = read_masked_text(text, TOKENIZER).spans
    assert span.continues_word == continues_word


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the text is empty"),
        (" \n", "the text is empty"),
        ("The capital of France", r"no \[MASK\]: write one \[MASK\] for each word piece"),
        ("of [mask] is", r"'\[mask\]' at character 3 has to be written \[MASK\]"),
        ("of <mask> is", "'<mask>' at character 3"),
        ("[MASK] \ud83d", "character 7 .* surrogate"),
    ],
)
def test_texts_that_cannot_be_filled(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_masked_text(text, TOKENIZER)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 40), st.integers(1, 10), st.integers(0, 40), st.integers(10, 30))
def test_a_window_holds_the_span_and_is_as_large_as_can_be(before: int, length: int, after: int, size: int) -> None:
    span, num_pieces = Span(before, before + length), before + length + after
    window = window_around(span, num_pieces, size)
    assert 0 <= window.start <= span.start
    assert span.end <= window.end <= num_pieces
    assert window.end - window.start == min(size, num_pieces)
    left, right = span.start - window.start, window.end - span.end
    if window.start > 0 and window.end < num_pieces:
        assert abs(left - right) <= 1


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ("New Zealand", "New Zealand"),
        ("Well ##ing ##ton", "Wellington"),
        ("##ing ##ton Paris", "ington Paris"),
        ("北 京", "北京"),
        ("1990 年", "1990年"),
        ("である こと", "であること"),
        ("서울 ##은 좋다", "서울은 좋다"),
        ("Paris , France .", "Paris, France."),
        ("( well - known )", "(well-known)"),
        ("John ' s", "John's"),
    ],
)
def test_pieces_are_written_as_text(pieces: str, text: str) -> None:
    assert write_pieces(pieces.split()) == text


def test_replacements_leave_the_rest_as_it_is() -> None:
    text = "  Two plum  [MASK]  and [MASK],  "
    first, second = text.index("[MASK]"), text.rindex("[MASK]")
    replacements = [
        Replacement(first, first + 6, "s", joins_left("##s")),
        Replacement(second, second + 6, "one", joins_left("one")),
    ]
    assert replace_spans(text, replacements) == "  Two plums  and one,  "
    assert joins_left(",")
