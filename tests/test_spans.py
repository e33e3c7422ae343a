"""Tags and spans: every scheme there and back, and conlleval's and seqeval's readings of malformed tags."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.spans import (
    LabelledSpan,
    TagScheme,
    find_overlaps,
    guess_scheme,
    misplaced_tags,
    parse_tag,
    spans_from_tags,
    tags_from_spans,
    well_formed_spans,
)

SCHEMES: tuple[TagScheme, ...] = get_args(TagScheme)


@st.composite
def flat_spans(draw: st.DrawFn) -> tuple[list[LabelledSpan], int]:
    """Spans of a sentence that do not overlap, and its number of words."""
    spans, position = [], 0
    for gap, width, label in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["A", "B-C", "日"])), max_size=6)
    ):
        spans.append(LabelledSpan(position + gap, position + gap + width, label))
        position += gap + width
    return spans, position + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", SCHEMES)
@given(case=flat_spans())
@settings(max_examples=60, deadline=None)
def test_tags_and_spans_are_inverse_in_every_scheme(scheme: TagScheme, case: tuple[list[LabelledSpan], int]) -> None:
    spans, num_words = case
    tags = tags_from_spans(reversed(spans), num_words, scheme)
    assert len(tags) == num_words
    assert spans_from_tags(tags) == spans
    assert well_formed_spans(tags, scheme) == spans
    assert misplaced_tags(tags, scheme) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_of_a_file_is_found(scheme: TagScheme) -> None:
    spans = [LabelledSpan(0, 3, "A"), LabelledSpan(3, 4, "A"), LabelledSpan(5, 6, "B")]
    assert guess_scheme([tags_from_spans(spans, 7, scheme), ["O"]]) == scheme


def test_schemes_without_evidence_are_bio() -> None:
    assert guess_scheme([]) == guess_scheme([["O"]]) == guess_scheme([["B-A", "O"]]) == "BIO"
    # B- where IOB1 has none, and a stray I-: malformed BIO, not IOB1
    assert guess_scheme([["B-A", "I-A", "O", "I-A"]]) == "BIO"


def test_tags_are_taken_apart() -> None:
    assert parse_tag("B-creative-work") == ("B", "creative-work")
    assert parse_tag("M-X") == ("I", "X")
    assert parse_tag("L-X") == ("E", "X")
    assert parse_tag("U-X") == ("S", "X")
    assert parse_tag("I") == ("I", "_")
    for wrong in ("", "PER", "B_PER", "o", "O-X", "B-", "-X-", "0"):
        assert parse_tag(wrong) is None
    with pytest.raises(InputError, match="'PER' is not a tag"):
        spans_from_tags(["O", "PER"])


def test_overlapping_spans_have_no_tags() -> None:
    for spans in ([LabelledSpan(0, 2, "A"), LabelledSpan(1, 3, "B")], [LabelledSpan(2, 4, "A")]):
        with pytest.raises(ValueError, match="cannot be written"):
            tags_from_spans(spans, 3)


def test_misplaced_tags_are_told() -> None:
    assert misplaced_tags(["I-A", "O", "I-A", "I-A", "I-B", "B-A", "I-A"], "BIO") == [0, 2, 4]
    assert misplaced_tags(["B-A", "I-A", "B-A", "O", "B-B"], "IOB1") == [0, 4]
    assert misplaced_tags(["B-A", "O", "E-A", "S-A", "B-A", "E-B", "B-A"], "BIOES") == [1, 2, 5, 6]
    assert misplaced_tags(["B-A", "M-A"], "BMES") == [1]
    assert misplaced_tags(["B-A", "E-A", "S-A"], "BIO") == [1, 2]


def test_overlaps_are_found() -> None:
    assert find_overlaps([]) == find_overlaps([(0, 2), (2, 3)]) == []
    assert find_overlaps([(4, 5), (0, 6), (1, 2), (5, 8)]) == [(1, 2), (1, 0), (1, 3)]


TAGS = st.lists(st.sampled_from(["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]), max_size=8)


@given(tags=TAGS)
@settings(max_examples=150, deadline=None)
def test_malformed_tags_are_read_as_seqeval_reads_them(tags: list[str]) -> None:
    labeling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    theirs = [(start, end + 1, label) for label, start, end in labeling.get_entities(tags)]
    assert spans_from_tags(tags) == theirs


@pytest.mark.parametrize(("scheme", "name"), [("BIO", "IOB2"), ("BIOES", "IOBES"), ("BILOU", "BILOU")])
@given(tags=TAGS)
@settings(max_examples=150, deadline=None)
def test_strict_reading_is_that_of_seqeval(scheme: TagScheme, name: str, tags: list[str]) -> None:
    theirs_module = pytest.importorskip("seqeval.scheme")
    if scheme == "BIO":
        tags = [tag.replace("E-", "I-").replace("S-", "B-") for tag in tags]
    if scheme == "BILOU":
        tags = [tag.replace("E-", "L-").replace("S-", "U-") for tag in tags]
    entities = theirs_module.Entities([tags], scheme=getattr(theirs_module, name)).entities[0] if tags else []
    assert well_formed_spans(tags, scheme) == [(entity.start, entity.end, entity.tag) for entity in entities]
