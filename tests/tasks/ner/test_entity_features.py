"""Units and windows: every word is decided once, and nothing is shifted by odd characters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import example as with_example
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_entities import learned, sample_examples, tiny_tokenizer

from spanbert.spans import LabelledSpan, Span
from spanbert.tasks.ner.examples import EntityExample
from spanbert.tasks.ner.features import UnitPlace, make_windows
from spanbert.tasks.ner.task import NamedEntityRecognition
from spanbert.text_columns import join_words
from spanbert.text_words import find_words
from spanbert.tokenization import PieceTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> PieceTokenizer:
    return tiny_tokenizer()


def long_text(number: int = 20) -> EntityExample:
    """One example made of many, some hundred pieces long."""
    text, entities = "", []
    for one in sample_examples(number):
        entities += [
            LabelledSpan(start + len(text), end + len(text), label) for start, end, label in one.entities or ()
        ]
        text += one.text + " "
    return EntityExample("long", text, tuple(entities))


TEXTS = st.text(st.sampled_from("a1.'s京都é\u0301\u200b\u200d👩🏽 \t\n\x00\u3000İ\ufeff"), max_size=20)


@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
@with_example(text="e\u0301 \u200b a\u200bb \x00 İ京")
def test_units_of_raw_text_are_ordered_spans_of_it(tokenizer: PieceTokenizer, text: str) -> None:
    for by_character in (False, True):
        units = find_words(text, None, tokenizer, by_character=by_character)
        assert (units.spans[:, 0] < units.spans[:, 1]).all()
        assert (units.spans[1:, 0] >= units.spans[:-1, 1]).all()
        assert (units.spans <= len(text)).all()
        assert len(units.firsts) == len(units.spans) <= len(units.pieces)
        for number, (start, end) in enumerate(units.spans.tolist()):
            assert not text[start:end].isspace()
            assert units.widen(start, end) == (number, number + 1)


def test_units_end_behind_the_marks_of_their_last_letter() -> None:
    uncased = PieceTokenizer.train(["malmo won は"] * 3, vocab_size=60, lowercase=True)
    text = "Malmo\u0308 won"
    assert find_words(text, None, uncased, by_character=False).spans.tolist() == [[0, 6], [7, 10]]
    spans = find_words("は\u3099は", None, uncased, by_character=True).spans
    assert spans.tolist() == [[0, 2], [2, 3]]


def test_clitics_and_numbers_are_one_word_each() -> None:
    tokenizer = PieceTokenizer.train(["Ann's they'll don't l'homme 's it’s 1,2.3"] * 3, vocab_size=80)
    text = "Ann's they'LL don't it’s l'homme 's a' s x''s 3,123.31 1,s 2, 3 .1 l.2 1."
    words = find_words(text, None, tokenizer, by_character=False)
    found = [text[start:end] for start, end in words.spans.tolist()]
    assert found == [
        *("Ann", "'s", "they", "'LL", "don", "'t", "it", "’s"),
        *("l", "'", "homme", "'", "s", "a", "'", "s", "x", "'", "'", "s"),
        *("3,123.31", "1", ",", "s", "2", ",", "3", ".", "1", "l", ".", "2", "1", "."),
    ]
    assert words.pieces.tolist() == tokenizer.encode(text).ids.tolist()
    pieces = tokenizer.encode(text)
    assert pieces.offsets[words.firsts, 0].tolist() == words.spans[:, 0].tolist()
    assert pieces.offsets[words.lasts, 1].tolist() == words.spans[:, 1].tolist()


@given(words=st.lists(st.text(st.sampled_from("ab.京é\u0301\u200b👩\x00\u3000 "), min_size=1, max_size=4), max_size=8))
@settings(max_examples=150, deadline=None)
def test_words_of_a_file_keep_their_pieces_and_places(tokenizer: PieceTokenizer, words: list[str]) -> None:
    text, spans = join_words(words, chinese=True)
    units = find_words(text, spans, tokenizer, by_character=False)
    alone = [tokenizer.encode(word) for word in words]
    assert units.pieces.tolist() == [piece for encoding in alone for piece in encoding.ids]
    assert units.spans.tolist() == [list(s) for s, encoding in zip(spans, alone, strict=True) if len(encoding)]


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_every_word_is_decided_in_one_window(tokenizer: PieceTokenizer, head: str) -> None:
    example = long_text()
    task = learned([example], head=head)
    windows = task.features(example, tokenizer, training=True)
    assert len(windows) > 8
    places = [window.place for window in windows]
    rows = np.concatenate([place.rows for place in places])
    assert rows.tolist() == list(range(len(places[0].units)))
    whole = make_windows(example, replace(task.settings, max_length=10_000), tokenizer, training=True)
    assert len(whole) == 1
    assert (
        np.concatenate([window.values["targets"] for window in windows]).tolist() == whole[0].values["targets"].tolist()
    )
    for window in windows:
        assert len(window.pieces) <= 64
        first = whole[0].positions["words"][window.place.rows]
        assert (window.pieces[window.positions["words"]] == whole[0].pieces[first]).all()
        assert window.counts["tags"] == len(window.place.rows)
    if head == "crf":
        edges = np.concatenate([window.values["edges"] for window in windows])
        assert edges[0].tolist() == [True, False]
        assert edges[-1].tolist() == [False, True]
        assert not edges[1:-1].any()


def test_every_span_belongs_to_its_most_central_window(tokenizer: PieceTokenizer) -> None:
    example = long_text()
    task = learned([example], head="span", max_length=48, stride=30, max_entity_width=5)
    windows = task.features(example, tokenizer, training=True)
    places: list[UnitPlace] = [window.place for window in windows]
    num_units = len(places[0].units)
    rows = [tuple(row) for place in places for row in place.rows.tolist()]
    assert len(set(rows)) == len(rows)
    possible = {(i, j) for i in range(num_units) for j in range(i + 1, min(num_units, i + 5) + 1)}
    assert set(rows) <= possible
    units = find_words(example.text, None, tokenizer, by_character=False)
    lost = possible - set(rows)
    assert all(units.lasts[j - 1] - units.firsts[i] + 1 > 30 - 3 for i, j in lost)  # wider than the overlap
    gold = {(*units.widen(entity.start, entity.end), entity.label) for entity in example.entities or ()}
    targets = {
        (*place.rows[row].tolist(), task.settings.labels[label])
        for place, window in zip(places, windows, strict=True)
        for row, label in zip(*np.nonzero(window.values["targets"]), strict=True)
    }
    assert targets == {one for one in gold if one[:2] in set(rows)}
    for window, place in zip(windows, places, strict=True):
        left, right = window.positions["spans"].T
        assert (window.pieces[left] == units.pieces[units.firsts[place.rows[:, 0]]]).all()
        assert (window.pieces[right] == units.pieces[units.lasts[place.rows[:, 1] - 1]]).all()


@pytest.mark.parametrize("head", ["linear", "crf", "bilstm-crf", "span"])
@pytest.mark.parametrize("text", ["", " \n", "\u200b", "a"])
def test_texts_of_nothing_have_a_window(tokenizer: PieceTokenizer, head: str, text: str) -> None:
    task = learned(sample_examples(), head=head)
    [window] = task.features(EntityExample("x", text, ()), tokenizer, training=True)
    assert len(window.pieces) >= 2
    assert len(window.place.units) == len(text.replace("\u200b", "").strip())


def targets_of(task: NamedEntityRecognition, example: EntityExample, tokenizer: PieceTokenizer) -> list[str]:
    [window] = task.features(example, tokenizer, training=True)
    return [task.settings.tags[tag] for tag in window.values["targets"]]


def test_targets_of_entities_that_cut_words_overlap_or_end_in_dropped_words(tokenizer: PieceTokenizer) -> None:
    def one(text: str, *entities: tuple[int, int, str], words: tuple[Span, ...] | None = None) -> EntityExample:
        return EntityExample("x", text, tuple(LabelledSpan(*entity) for entity in entities), words)

    task = learned([one("a b", (0, 1, "X"), (2, 3, "Y"))])
    assert targets_of(task, one("ab cd ef", (1, 4, "X")), tokenizer) == ["B-X", "I-X", "O"]
    assert targets_of(task, one("a b c", (2, 5, "Y"), (0, 3, "X")), tokenizer) == ["B-X", "I-X", "O"]
    assert targets_of(task, one("a b c", (0, 1, "Z"), (2, 3, "Y")), tokenizer) == ["O", "B-Y", "O"]
    words = ["a", "\u200b", "b", "\u200b", "c"]
    text, spans = join_words(words)
    example = one(text, (spans[1].start, spans[3].end, "X"), words=spans)
    assert targets_of(task, example, tokenizer) == ["O", "B-X", "O"]


def test_entities_that_a_head_cannot_learn_are_counted(tokenizer: PieceTokenizer) -> None:
    entities = [LabelledSpan(0, 20, "X"), LabelledSpan(16, 20, "Y"), LabelledSpan(21, 23, "Y")]
    example = EntityExample("x", "the bank of the town is old", tuple(entities))

    def left_out(**settings: Any) -> int:
        windows = learned([example], **settings).features(example, tokenizer, training=True)
        return sum(number for one in windows for name, number in one.counts.items() if name.startswith("left_out_"))

    assert left_out() == left_out(max_length=6, stride=2) == 1  # Y inside X
    assert left_out(head="span") == left_out(head="span", max_entity_width=5) == 0
    assert left_out(head="span", max_entity_width=4) == 1
    assert left_out(head="span", max_length=6, stride=2) == 1  # of five words, and a window shows four


def test_prediction_sees_no_answer(tokenizer: PieceTokenizer) -> None:
    for head in ("linear", "crf", "span"):
        example = long_text(2)
        task = learned([example], head=head)
        for window in task.features(example, tokenizer, training=False):
            assert not window.counts
            assert "targets" not in window.values


def test_neighbouring_sentences_fill_what_room_there_is(tokenizer: PieceTokenizer) -> None:
    example = EntityExample("x", "a b", (LabelledSpan(0, 1, "X"),), None, ("n " * 40, "c d"), ("e f", "g"))
    alone = replace(example, before=(), after=())

    def windows(example: EntityExample, **settings: Any) -> list[Any]:
        task = learned([alone], **settings)
        return task.features(example, tokenizer, training=True)

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text).ids.tolist()

    assert windows(example)[0].pieces.tolist() == windows(alone, context_sentences=2)[0].pieces.tolist()
    [one] = windows(example, context_sentences=1)
    assert one.pieces[1:-1].tolist() == ids("c d a b e f")
    assert one.pieces[one.positions["words"]].tolist() == ids("a b")
    [full] = windows(example, context_sentences=2, max_length=16, stride=4)
    assert full.pieces[1:-1].tolist() == ids("n " * 7 + "c d a b e f g")
    [small] = windows(example, context_sentences=2, max_length=8, stride=4)
    assert small.pieces[1:-1].tolist() == ids("c d a b e f")
    long = replace(example, text="a " * 30)
    for window in windows(long, context_sentences=2, max_length=16, stride=4):
        assert set(window.pieces[1:-1].tolist()) == set(ids("a"))


def test_models_of_characters_read_raw_text_by_character(tokenizer: PieceTokenizer) -> None:
    text, spans = join_words(list("在2014年"), chinese=True)
    task = learned([EntityExample("x", text, (LabelledSpan(1, 5, "D"),), spans)])
    assert task.settings.by_character
    with_words = task.features(EntityExample("x", text, None, spans), tokenizer, training=False)
    raw = task.features(EntityExample("x", " " + text), tokenizer, training=False)
    assert raw[0].pieces.tolist() == with_words[0].pieces.tolist()
    assert raw[0].place.units.tolist() == (with_words[0].place.units + 1).tolist()
