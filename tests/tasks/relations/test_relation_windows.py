"""Which pairs are judged, what a window shows of them, and that no offset moves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_relations import WAYS, documents, train_tokenizer

from spanbert.errors import ConfigurationError, InputError
from spanbert.spans import Span
from spanbert.task import Window
from spanbert.tasks.relations.config import RelationOptions, RelationSettings
from spanbert.tasks.relations.examples import Entity, Relation, RelationExample
from spanbert.tasks.relations.features import UNKNOWN
from spanbert.tasks.relations.markers import special_pieces
from spanbert.tasks.relations.pairs import judged_pairs
from spanbert.tasks.relations.task import RelationExtraction
from spanbert.tasks.relations.views import Marks, covered, pair_view, write_view
from spanbert.tokenization import PieceTokenizer

CLS, SEP = 1, 2
SUBJ, OBJ, END_SUBJ, END_OBJ = 3, 4, 5, 6
FIRST = 10  # ids of the text's pieces count from here


@pytest.fixture(scope="module")
def tokenizer() -> PieceTokenizer:
    tokenizer = train_tokenizer()
    settings = RelationSettings(entity_types=("PERSON", "ORGANIZATION"))
    tokenizer.add_special(special_pieces(settings))
    return tokenizer


@st.composite
def spans_in_text(draw: st.DrawFn) -> tuple[int, Span, Span]:
    num_pieces = draw(st.integers(0, 120))
    ends = [sorted(draw(st.tuples(st.integers(0, num_pieces), st.integers(0, num_pieces)))) for _ in range(2)]
    return num_pieces, Span(*ends[0]), Span(*ends[1])


@settings(max_examples=300, deadline=None)
@given(spans_in_text(), st.integers(14, 60), st.sampled_from(["typed-markers", "type-tokens", "plain"]))
def test_view_shows_the_pair_and_fills_the_window(text: tuple[int, Span, Span], room: int, entities: str) -> None:
    num_pieces, head, tail = text
    ids = np.arange(FIRST, FIRST + num_pieces)
    in_place = entities == "type-tokens"
    extra = {"typed-markers": 4, "type-tokens": 2 - covered(head, tail), "plain": 0}[entities]
    longest = {"typed-markers": (room - 5) // 2, "type-tokens": None, "plain": (room - 1) // 2}[entities]
    view = pair_view(num_pieces, head, tail, room=room, extra=extra, longest=longest)
    marks = None if entities == "plain" else [Marks(SUBJ, None if in_place else END_SUBJ)]
    if marks is not None:
        marks.append(Marks(OBJ, None if in_place else END_OBJ))
    written = write_view(ids, view, marks, CLS, SEP)
    pieces = written.pieces.tolist()
    assert pieces[0] == CLS
    assert pieces[-1] == SEP
    shown = [piece - FIRST for piece in pieces if piece >= FIRST]
    hidden = {p for span in (head, tail) for p in range(*span)} if in_place else set()
    assert shown == sorted(set(shown))  # in order, none twice
    assert hidden.isdisjoint(shown)
    # As much as fits is shown: the window is full, or the text is whole.
    assert len(pieces) <= room + 2
    assert len(pieces) == room + 2 or len(shown) == num_pieces - len(hidden)
    assert pieces.count(SEP) == len(view.parts)
    head_first, head_last, tail_first, tail_last = written.boundaries
    for given_span, (first, last) in ((head, (head_first, head_last)), (tail, (tail_first, tail_last))):
        marked = [piece - FIRST for piece in pieces[first : last + 1] if piece >= FIRST]
        if in_place:
            assert first == last
            assert pieces[first] in (SUBJ, OBJ)
        elif given_span.start < given_span.end:
            assert marked[0] == given_span.start
            assert marked == list(range(given_span.start, min(given_span.end, given_span.start + (longest or 0))))
        if marks is not None and not in_place:
            assert pieces[first] in (SUBJ, OBJ)
            assert pieces[last] in (END_SUBJ, END_OBJ)
    if len(view.parts) == 1 and len(pieces) == room + 2 and not in_place:
        before, behind = view.parts[0].start, num_pieces - view.parts[0].end
        left = min(head.start, tail.start) - before
        right = view.parts[0].end - max(view.head.end, view.tail.end)
        assert abs(left - right) <= 1 or not before or not behind  # evenly, unless the text ends


def test_marks_of_neighbours_and_of_nested_spans() -> None:
    def written(head: Span, tail: Span) -> str:
        view = pair_view(6, head, tail, room=20, extra=4, longest=7)
        pieces = write_view(np.arange(FIRST, FIRST + 6), view, [Marks(SUBJ, END_SUBJ), Marks(OBJ, END_OBJ)], CLS, SEP)
        names = {CLS: "C", SEP: "S", SUBJ: "<", END_SUBJ: ">", OBJ: "(", END_OBJ: ")"}
        return "".join(names.get(piece, str(piece - FIRST)) for piece in pieces.pieces.tolist())

    assert written(Span(1, 3), Span(3, 4)) == "C0<12>(3)45S"
    assert written(Span(3, 4), Span(1, 3)) == "C0(12)<3>45S"
    assert written(Span(1, 5), Span(1, 3)) == "C0<(12)34>5S"
    assert written(Span(3, 5), Span(1, 5)) == "C0(12<34>)5S"
    assert written(Span(1, 4), Span(2, 6)) == "C0<1(23>45)S"
    assert written(Span(2, 2), Span(2, 3)) == "C01<>(2)345S"
    assert written(Span(2, 2), Span(2, 2)) == "C01<>()2345S"


def names(tokenizer: PieceTokenizer, window: Window) -> str:
    return " ".join(tokenizer.piece(int(number)) for number in window.pieces)


def features(
    example: RelationExample, tokenizer: PieceTokenizer, *, training: bool = False, **options: object
) -> list[Window]:
    learned = {"labels": ("knows", "no_relation"), "entity_types": ("ORGANIZATION", "PERSON")}
    task = RelationExtraction(RelationSettings(**{**learned, **options}))  # type: ignore[arg-type]
    return task.features(example, tokenizer, training=training)


TEXT = "The bank and the clinic, the river"
EXAMPLE = RelationExample(
    id="1",
    text=TEXT,
    entities=(Entity(17, 23, "ORGANIZATION"), Entity(4, 8, "SHIP")),
    asked=((0, 1),),
    relations=(Relation(0, 1, "knows"),),
)


def text_of(tokenizer: PieceTokenizer, window: Window) -> str:
    return tokenizer.decode(window.pieces)


def test_what_the_encoder_sees(tokenizer: PieceTokenizer) -> None:
    (window,) = features(EXAMPLE, tokenizer)
    expected = "[CLS] The [OBJ] bank [/OBJ] and the [SUBJ-ORGANIZATION] clinic [/SUBJ-ORGANIZATION], the river [SEP]"
    assert text_of(tokenizer, window) == expected
    boundaries = [tokenizer.piece(int(window.pieces[place])) for place in window.positions["pairs"][0]]
    assert boundaries == ["[SUBJ-ORGANIZATION]", "[/SUBJ-ORGANIZATION]", "[OBJ]", "[/OBJ]"]
    (window,) = features(EXAMPLE, tokenizer, entities="type-tokens")
    assert text_of(tokenizer, window) == "[CLS] The [OBJ] and the [SUBJ-ORGANIZATION], the river [SEP]"
    (window,) = features(EXAMPLE, tokenizer, entities="plain", vector="spans")
    assert text_of(tokenizer, window) == f"[CLS] {TEXT} [SEP]"
    head_first, head_last, tail_first, tail_last = window.positions["pairs"][0]
    assert tokenizer.decode(window.pieces[head_first : head_last + 1]) == "clinic"
    assert tokenizer.decode(window.pieces[tail_first : tail_last + 1]) == "bank"
    assert window.values["types"].tolist() == [[1, 0]]


def test_text_that_looks_like_a_marker_stays_text(tokenizer: PieceTokenizer) -> None:
    example = RelationExample(id="1", text="[SUBJ] and [OBJ]", entities=(Entity(0, 6), Entity(11, 16)), asked=((0, 1),))
    (window,) = features(example, tokenizer)
    assert window.pieces.tolist().count(tokenizer.id("[SUBJ]")) == 1


@pytest.mark.parametrize(("entities", "vector"), WAYS)
def test_every_judged_pair_has_one_row_and_its_own_pieces(
    entities: str, vector: str, tokenizer: PieceTokenizer
) -> None:
    for example in documents(3, "zh") + documents(3, "en"):
        task = RelationExtraction(
            RelationSettings(entities=entities, vector=vector, max_length=48, stride=16, max_pair_distance=40)  # type: ignore[arg-type]
        )
        windows = task.features(example, tokenizer, training=False)
        judged = judged_pairs(example, task.settings)
        rows = np.concatenate([window.place.pairs for window in windows])
        assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, judged.pairs.tolist()))
        assert sum(window.place.num_left_out for window in windows) == judged.num_left_out > 0
        assert all(len(window.pieces) <= 48 for window in windows)
        if entities == "plain":
            assert len(windows) <= len(rows) / 2
        if entities == "type-tokens":
            continue
        for window in windows:
            for pair, places in zip(window.place.pairs, window.positions["pairs"], strict=True):
                for number, (first, last) in zip(pair, places.reshape(2, 2), strict=True):
                    entity = example.entities[number]
                    inside = window.pieces[first : last + 1] if entities == "plain" else window.pieces[first + 1 : last]
                    expected = tokenizer.encode(example.text[entity.start : entity.end]).ids
                    assert inside.tolist() == expected.tolist()


def test_pairs_that_are_far_apart(tokenizer: PieceTokenizer) -> None:
    text = "bank " + "the " * 50 + "clinic"
    far = RelationExample(id="1", text=text, entities=(Entity(0, 4), Entity(len(text) - 6, len(text))))
    for options in ({}, {"entities": "plain", "vector": "spans"}):
        windows = features(far, tokenizer, max_length=32, stride=8, **options)
        assert [window.place.is_split for window in windows] == ([True] if options else [True, True])
        for window in windows:
            assert len(window.pieces) == 32
            shown = text_of(tokenizer, window)
            assert "bank" in shown
            assert "clinic" in shown
            assert shown.count("[SEP]") == 2
    (window,) = features(far, tokenizer, max_pair_distance=49)
    assert text_of(tokenizer, window) == "[CLS] [SEP]"
    assert window.place.num_left_out == 2
    assert len(window.positions["pairs"]) == 0
    assert len(judged_pairs(far, RelationOptions(max_pair_distance=50)).pairs) == 2


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_judged_pairs_are_those_near_enough(data: st.DataObject) -> None:
    text = data.draw(st.text(alphabet="a .北", max_size=40))
    place = st.integers(0, len(text))
    ends = data.draw(st.lists(st.tuples(place, place), max_size=6))
    entities = tuple(Entity(min(pair), max(pair)) for pair in ends)
    distance = data.draw(st.integers(0, 8))
    example = RelationExample(id="1", text=text, entities=entities)
    starts = [n for n, c in enumerate(text) if c == "北" or (c == "a" and text[n - 1 : n] != "a")]

    def words_between(one: Entity, other: Entity) -> int:
        first, second = sorted((one, other), key=lambda entity: entity.start)
        return sum(first.end <= start < second.start for start in starts)

    expected = [
        (head, tail)
        for head in range(len(entities))
        for tail in range(len(entities))
        if head != tail and words_between(entities[head], entities[tail]) <= distance
    ]
    judged = judged_pairs(example, RelationOptions(max_pair_distance=distance))
    assert list(map(tuple, judged.pairs.tolist())) == expected
    assert judged.num_left_out == len(entities) * max(0, len(entities) - 1) - len(expected)


def test_targets(tokenizer: PieceTokenizer) -> None:
    entities = (Entity(4, 8), Entity(17, 23), Entity(29, 34))
    document = RelationExample(
        id="1", text=TEXT, entities=entities, relations=(Relation(0, 1, "knows"), Relation(2, 0, "unheard of"))
    )
    (window,) = features(document, tokenizer, training=True, entities="plain", vector="spans")
    assert window.place.pairs.tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert window.values["labels"].tolist() == [0, 1, 1, 1, UNKNOWN, 1]
    assert window.counts["relations"] == 5
    assert window.counts["left_out_unknown_labels"] == 1
    unlabelled = RelationExample(id="1", text=TEXT, entities=entities)
    assert features(unlabelled, tokenizer, training=True) == []
    assert len(features(unlabelled, tokenizer)) == 6


@pytest.mark.parametrize("text", ["", "\u200b\u200b", "\x00\x00\x00", "北京", "e\u0301🙂"])
def test_odd_texts(text: str, tokenizer: PieceTokenizer) -> None:
    entities = (Entity(0, 1), Entity(1, 2)) if text else ()
    example = RelationExample(id="1", text=text, entities=entities)
    for entities_as, vector in WAYS:
        for window in features(example, tokenizer, entities=entities_as, vector=vector):
            places = window.positions["pairs"]
            assert ((places >= 0) & (places < len(window.pieces))).all()


def test_settings_that_contradict() -> None:
    with pytest.raises(ConfigurationError, match="--vector spans"):
        RelationSettings(entities="plain")
    with pytest.raises(ConfigurationError, match="--max-length"):
        RelationSettings(max_length=8)
    with pytest.raises(ConfigurationError, match="--max-pair-distance"):
        RelationOptions(max_pair_distance=-1)
    with pytest.raises(ConfigurationError, match="--no-relation"):
        RelationOptions(no_relation=" ")


def test_learning() -> None:
    task = RelationExtraction(RelationSettings()).learn(documents(4))
    assert task.settings.no_relation == "no_relation"
    assert "no_relation" in task.settings.labels
    assert task.main_metric == "f1"
    assert set(task.extra_pieces) >= {"[SUBJ]", "[/OBJ]", "[SUBJ-PERSON]", "[/OBJ-PERSON]"}
    assert task.extra_pieces["[/SUBJ-PERSON]"] == "end of subject person"
    with pytest.raises(InputError, match="no relation at all"):
        task.learn([RelationExample(id="1", text="a b", entities=())])
    golden = RelationExtraction.golden_examples()
    assert [RelationExtraction.example(one.to_json()) for one in golden] == golden
