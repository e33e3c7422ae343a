"""Column files and JSON lines of entities: every scheme and separator, and what is wrong with them."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbert.errors import ConfigurationError, InputError
from spanbert.spans import LabelledSpan, Span, TagScheme, tags_from_spans
from spanbert.task import Problem, examples_of
from spanbert.tasks.ner.config import EntityDataOptions, EntitySettings
from spanbert.tasks.ner.examples import EntityExample, example_from_json
from spanbert.tasks.ner.task import NamedEntityRecognition as Ner
from spanbert.text_columns import join_words

OPTIONS = EntityDataOptions()


def read(path: Path, content: str | bytes, **options: Any) -> tuple[list[EntityExample], list[Problem]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    located, problems = examples_of(Ner.read(path, EntityDataOptions(**options)))
    return [one.example for one in located], problems


def found(example: EntityExample) -> list[tuple[str, str]]:
    return [(example.text[start:end], label) for start, end, label in example.entities or ()]


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES", "BMES", "BILOU"])
def test_columns_of_every_scheme(tmp_path: Path, scheme: TagScheme) -> None:
    words = ["Ada", "Lovelace", "met", "Bob", "Alice", "in", "New", "York", "City", "."]
    spans = [LabelledSpan(0, 2, "PER"), LabelledSpan(3, 4, "PER"), LabelledSpan(4, 5, "PER"), LabelledSpan(6, 9, "LOC")]
    lines = [f"{word} NN {tag}\n" for word, tag in zip(words, tags_from_spans(spans, 10, scheme), strict=True)]
    [example], problems = read(tmp_path / "x.conll", "".join(lines))
    assert example.text == "Ada Lovelace met Bob Alice in New York City ."
    assert example.words is not None
    assert [example.text[start:end] for start, end in example.words] == words
    assert found(example) == [("Ada Lovelace", "PER"), ("Bob", "PER"), ("Alice", "PER"), ("New York City", "LOC")]
    assert problems == []


@pytest.mark.parametrize(
    ("row", "options"),
    [
        ("{word} {tag}", {}),
        ("{word}\t{tag}", {}),
        ("{word} \t  {tag}", {"separator": "space"}),
        ("{word}|{tag}", {"separator": "|"}),
        ("{tag},{word},0", {"separator": ",", "word_column": 1, "tag_column": 0}),
        ("3 {word} {tag} _", {"word_column": 1, "tag_column": -2}),
    ],
)
def test_separators_and_columns(tmp_path: Path, row: str, options: dict[str, Any]) -> None:
    rows = [row.format(word=word, tag=tag) for word, tag in (("Ada", "B-P"), ("spoke", "O"))]
    [one, two], problems = read(tmp_path / "x.txt", "\n".join([*rows, "\t", *rows]), **options)
    assert (one.text, found(one), one.id, two.id) == ("Ada spoke", [("Ada", "P")], "1", "2")
    assert problems == []


def test_white_space_documents_comments_and_line_ends(tmp_path: Path) -> None:
    content = (
        "\ufeff# a comment\r\n-DOCSTART- -X- O\r\n\r\n# id 7\r\nAda B-P\r\n \t\r\n\r\n# O\r\n#tag O\r\n"
        "-DOCSTART- O\r\nBob B-P\r\n"
    )
    path = tmp_path / "x.conll.gz"
    examples, problems = read(path, gzip.compress(content.encode()))
    assert [example.text for example in examples] == ["Ada", "# #tag", "Bob"]
    assert [example.document for example in examples] == ["1", "1", "2"]
    assert [Ner(EntitySettings()).group(example) for example in examples] == ["1", "1", "2"]
    assert problems == []


def test_tabs_keep_words_of_odd_characters(tmp_path: Path) -> None:
    words = ["New York", "a\u3000b", "\u200b", "e\u0301", "👩‍👩‍👧", "\x00", "\u00a0x"]
    [example], problems = read(tmp_path / "x.tsv", "".join(f"{word}\tB-X\n" for word in words))
    assert example.words is not None
    assert [example.text[start:end] for start, end in example.words] == words
    assert [text for text, _ in found(example)] == words
    assert problems == []


def test_neighbouring_sentences_of_the_same_document(tmp_path: Path) -> None:
    content = "a O\n\nb O\n\nc O\n\n-DOCSTART- O\n\nd O\n"
    examples, _ = read(tmp_path / "x.conll", content, context_sentences=2)
    assert [(one.before, one.after) for one in examples] == [
        ((), ("b", "c")),
        (("a",), ("c",)),
        (("a", "b"), ()),
        ((), ()),
    ]


def test_what_is_wrong_with_columns_is_told_with_its_line(tmp_path: Path) -> None:
    content = "a B-X\nb I-X\n\nc I-X\nd O\ne I-Y\n\nf\ng O\n\nh PER\n\ni O\nj\n\nk O x\nl O\n"
    examples, problems = read(tmp_path / "x.conll", content)
    told = [(problem.line, problem.kind, problem.skipped) for problem in problems]
    assert told == [
        (4, "I- after O", False),
        (6, "I- after O", False),
        (9, "missing column", True),
        (11, "unknown tag", True),
        (14, "missing column", True),
        (16, "unknown tag", True),
    ]
    assert [found(example) for example in examples] == [[("a b", "X")], [("c", "X"), ("e", "Y")]]
    assert [example.id for example in examples] == ["1", "2"]


def test_malformed_entities_are_left_out_of_strict_reading(tmp_path: Path) -> None:
    content = "a I-X\nb O\nc B-X\nd I-Y\n"
    [example], problems = read(tmp_path / "x.conll", content, tag_reading="strict", scheme="BIO")
    assert found(example) == [("c", "X")]
    assert [problem.kind for problem in problems] == ["I- after O", "misplaced tag"]


def test_words_alone_are_examples_without_an_answer(tmp_path: Path) -> None:
    examples, problems = read(tmp_path / "x.txt", "Ada\nspoke\n\n.\n")
    assert [(example.text, example.entities) for example in examples] == [("Ada spoke", None), (".", None)]
    assert problems == []


def test_chinese_by_character_is_joined_without_spaces(tmp_path: Path) -> None:
    content = "".join(f"{character} O\n" for character in "我在2014年") + "BBC B-ORG\nNews I-ORG\n说 O\n"
    [example], _ = read(tmp_path / "x.txt", content)
    assert example.text == "我在2014年BBC News说"
    assert found(example) == [("BBC News", "ORG")]
    [english], _ = read(tmp_path / "y.txt", "a O\nb O\nword O\n说 O\n")
    assert english.text == "a b word 说"


@given(words=st.lists(st.text(min_size=1, max_size=4), max_size=8), chinese=st.booleans())
@settings(max_examples=100, deadline=None)
def test_joined_words_stand_where_they_are_said_to(words: list[str], chinese: bool) -> None:
    text, spans = join_words(words, chinese=chinese)
    assert [text[start:end] for start, end in spans] == words
    assert len(text) <= sum(map(len, words)) + max(0, len(words) - 1)


def test_json_lines(tmp_path: Path) -> None:
    records: list[Any] = [
        {"id": 7, "text": "👩 Ada\r\n", "entities": [{"start": 2, "end": 5, "label": "P"}]},
        {"text": "Bob", "spans": [[0, 3, "P"]], "id": None},
        {"id": "w", "text": "Bob saw", "words": [[0, 3], [4, 7]]},
    ]
    examples, problems = read(tmp_path / "x.jsonl", "\n".join(map(json.dumps, records)))
    assert [(example.id, found(example)) for example in examples] == [
        ("7", [("Ada", "P")]),
        ("2", [("Bob", "P")]),
        ("w", []),
    ]
    assert examples[2].entities is None
    assert examples[2].words == (Span(0, 3), Span(4, 7))
    assert problems == []
    assert [example_from_json(json.loads(json.dumps(example.to_json()))) for example in examples] == examples


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"txt": "x"}, "no text"),
        ({"text": 3}, "text is no string"),
        ({"text": "ab", "entities": [{"start": 1, "end": 3, "label": "X"}]}, "span outside the text"),
        ({"text": "ab", "entities": [{"start": 1, "end": 1, "label": "X"}]}, "not a span"),
        ({"text": "ab", "entities": [{"start": -1, "end": 1, "label": "X"}]}, "not a span"),
        ({"text": "ab", "entities": [{"start": True, "end": 2, "label": "X"}]}, "not a span"),
        ({"text": "ab", "entities": [{"start": 0, "end": 2, "label": ""}]}, "not a label"),
        ({"text": "ab", "entities": [{"start": 0, "end": 2}]}, "not an entity"),
        ({"text": "ab", "entities": {"start": 0}}, "entities is no list"),
        ({"text": "ab", "words": [[0, 2], [1, 2]]}, "not words"),
        ({"text": "ab", "before": "x"}, "before is no list of strings"),
        ({"text": "ab\ud83d"}, "half a character"),
        ({"text": "ab", "after": ["\ude00"]}, "half a character"),
        ([1], "not an object"),
        ("{", "not an object"),
    ],
)
def test_bad_records_are_told_and_left_out(tmp_path: Path, record: Any, kind: str) -> None:
    good = {"text": "Bob", "entities": []}
    examples, problems = read(tmp_path / "x.jsonl", f"{json.dumps(good)}\n\n{json.dumps(record)}\n")
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [(3, kind, True)]
    assert [example.id for example in examples] == ["1"]


def test_an_entity_whose_text_stands_elsewhere_is_told(tmp_path: Path) -> None:
    entity = {"start": 0, "end": 3, "label": "P", "text": "Ada"}
    record = {"text": "Ada met Bo", "entities": [entity, {**entity, "start": 8, "end": 10}]}
    examples, problems = read(tmp_path / "x.jsonl", json.dumps(record))
    assert found(examples[0]) == [("Ada", "P"), ("Bo", "P")]
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [
        (1, "text is not at its offsets", False)
    ]
    assert "8..10 is 'Bo', not 'Ada'" in problems[0].detail


@pytest.mark.parametrize(
    "content", ['\n{"text": "Ada met Bo", "entities": [[0, 3, "P"]]}\n', "Ada B-P\nmet O\nBo O\n", "{ O\n} O\n"]
)
def test_the_first_character_tells_what_the_name_does_not(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("-", str(tmp_path / "data")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
        Path(tmp_path / "data").write_text(content, encoding="utf-8")
        located, problems = examples_of(Ner.read(name, OPTIONS))
        assert problems == []
        assert [one.example.text for one in located] == ["{ }" if content[0] == "{" else "Ada met Bo"]


@pytest.mark.parametrize("content", ['[{"text": "a"},\n {"text": "b"}]', '[\n{"text": "a"}\n]', '\n{\n "text": "a"\n}'])
def test_one_json_value_is_refused_once_with_what_to_do(content: str, tmp_path: Path) -> None:
    for name in ("x.jsonl", "x"):
        with pytest.raises(InputError, match=r"on a line of its own.*jq -c"):
            read(tmp_path / name, content)


def test_deep_json_and_bad_bytes_are_told_in_plain_words(tmp_path: Path) -> None:
    deep = '{"text": "a", "entities": ' + "[" * 100_000 + "]" * 100_000 + "}"
    _, problems = read(tmp_path / "x.jsonl", deep + '\n{"text": ' + "1" * 5000 + "}")
    assert [problem.detail for problem in problems] == [
        "lists or objects are nested too deeply, hundreds of one inside the other",
        "a number has too many digits, thousands of them",
    ]
    with pytest.raises(InputError, match="--encoding") as caught:
        read(tmp_path / "x.conll", b"\xe9 O\n")
    assert "--bad-bytes" not in str(caught.value)


def test_documents_and_ids_may_be_numbers() -> None:
    assert (example := Ner.example({"id": 7, "text": "a", "document": 3})).document == "3"
    assert Ner(EntitySettings()).group(example) == "3"
    assert Ner.example(example.to_json()) == example


def test_a_record_that_is_no_example_is_an_error_of_its_key() -> None:
    with pytest.raises(InputError, match="'text' is missing"):
        Ner.example({"id": "1"})
    with pytest.raises(InputError, match="ends behind the text's 2 characters"):
        Ner.example({"text": "ab", "entities": [[0, 3, "X"]]})
    assert Ner.example({"text": ""}) == EntityExample("", "")


def checked(examples: list[EntityExample], options: Any = OPTIONS) -> list[tuple[int, str]]:
    from spanbert.task import Located

    located = [Located(example, line) for line, example in enumerate(examples, 1)]
    return [(problem.line, problem.kind) for problem in Ner.check(located, options)]


def test_check_finds_what_training_would_stumble_over() -> None:
    def one(id: str, text: str, *entities: tuple[int, int, str]) -> EntityExample:
        return EntityExample(id, text, tuple(LabelledSpan(*entity) for entity in entities))

    examples = [
        one("a", "Ada Bob", (0, 3, "P")),
        one("a", "Ada Bob"),
        one("b", "Ada Bob", (0, 7, "P"), (4, 7, "P")),
        one("c", "Ada Bob", (0, 5, "P")),
        one("d", "Ada Bob", (0, 4, "P")),
        one("e", " \t"),
        EntityExample("f", "Ada"),
        one("g", "Ada", (0, 3, "P"), (0, 3, "P")),
        one("h", "在北京市", (1, 3, "L")),
        EntityExample("i", "don't", (LabelledSpan(0, 3, "P"),), (Span(0, 5),)),
        one("j", "She has 2,150.", (8, 9, "N")),
        one("k", "The Smith's cat.", (4, 10, "P")),
        one("l", "The Smith's 2,150 cats.", (4, 9, "P"), (4, 11, "P"), (12, 17, "N")),
    ]
    assert checked(examples) == [
        (2, "duplicate id"),
        (3, "overlapping entities"),
        (4, "entity cuts a word"),
        (5, "white space at an entity's edge"),
        (6, "empty text"),
        (7, "no entities given"),
        (8, "duplicate entity"),
        (10, "entity cuts a word"),
        (11, "entity cuts a word"),
        (12, "entity cuts a word"),
        (13, "overlapping entities"),
    ]
    assert (3, "overlapping entities") not in checked(examples, EntityDataOptions(head="span"))
    assert (3, "entity too wide") in checked(examples, EntityDataOptions(head="span", max_entity_width=1))
    assert checked(examples[:1], EntitySettings(labels=("LOC",))) == [(1, "unknown label")]
    described = Ner.describe(examples[:3])
    assert described["entities"] == {"P": 3}
    assert described["texts by their entities"] == {
        "without any": 1,
        "with separate ones": 1,
        "with overlapping ones": 1,
    }


def test_options_that_make_no_sense_are_refused() -> None:
    for wrong in ({"separator": ""}, {"word_column": -1}, {"context_sentences": -1}, {"max_entity_width": 0}):
        with pytest.raises(ConfigurationError, match="--"):
            EntityDataOptions(**wrong)  # type: ignore[arg-type]
    for head in ("crf", "bilstm-crf"):
        with pytest.raises(ConfigurationError, match=f"--class-weights balanced does not go with --head {head}: a CRF"):
            EntitySettings(head=head, class_weights="balanced")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="--max-entity-width"):
        EntitySettings(max_entity_width=0)
