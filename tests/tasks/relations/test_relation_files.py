"""Files of relations and of predictions: every format, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from spanbert.check import CheckedFile, check_file, compare_files
from spanbert.errors import InputError
from spanbert.task import Problem, examples_of
from spanbert.tasks.relations.config import RelationOptions, RelationSettings
from spanbert.tasks.relations.examples import Entity, Relation, RelationExample
from spanbert.tasks.relations.task import RelationExtraction

SEMEVAL = """1\t"The <e1>author</e1> of a keygen uses a <e2>disassembler</e2> to look."
Instrument-Agency(e2,e1)
Comment: "quoted" <e1>

2\t"When the<e2>coil</e2> is at <e1>rest</e1>"
Other

3\t"A <e1>test</e1> without an <e2>answer</e2>.
4\t"Another <e1>one</e1>; <e2>two</e2>."
Cause-Effect(e1,e2)
Comment:
"""
TACRED = {
    "id": "a1",
    "relation": "per:title",
    "token": ["Mr.", "Li", "-LRB-", "李", "-RRB-", "is", "head", "of", "staff", "."],
    "subj_start": 1,
    "subj_end": 4,
    "obj_start": 6,
    "obj_end": 8,
    "subj_type": "PERSON",
    "obj_type": "TITLE",
    "stanford_pos": [],
}
SENTENCE = {
    "id": "s",
    "text": "Ada 😀 wrote it",
    "head": {"start": 0, "end": 3, "type": "PERSON"},
    "tail": {"start": 12, "end": 14},
    "relation": "author_of",
}
DOCUMENT = {
    "id": "d",
    "text": "Ada, Bo and Cy",
    "entities": [{"start": 0, "end": 3}, {"start": 5, "end": 7, "type": "P"}, {"start": 12, "end": 14}],
    "relations": [{"head": 0, "tail": 2, "relation": "knows"}],
}


def read(path: Path) -> tuple[list[RelationExample], list[Problem]]:
    located, problems = examples_of(RelationExtraction.read(path, RelationOptions()))
    return [item.example for item in located], problems


def write(folder: Path, content: str, name: str = "data") -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def shown(example: RelationExample) -> list[str]:
    return [example.text[entity.start : entity.end] for entity in example.entities]


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_semeval(tmp_path: Path, ends: str, mark: str) -> None:
    examples, problems = read(write(tmp_path, mark + SEMEVAL.replace("\n", ends)))
    assert problems == []
    assert [example.id for example in examples] == ["1", "2", "3", "4"]
    assert [shown(example) for example in examples] == [
        ["author", "disassembler"],
        ["rest", "coil"],
        ["test", "answer"],
        ["one", "two"],
    ]
    assert examples[0].text == "The author of a keygen uses a disassembler to look."
    assert examples[1].text == "When thecoil is at rest"
    answers = [None if one.relations is None else one.relations[0].label for one in examples]
    assert answers == ["Instrument-Agency(e2,e1)", "Other", None, "Cause-Effect(e1,e2)"]
    assert all(example.asked == ((0, 1),) for example in examples)


@pytest.mark.parametrize(
    ("line", "label", "kind", "at"),
    [
        ("a <e1>b</e1> c", "Other", "wrong tags", 1),
        ("a <e1>b</e1> <e2>c", "Other", "wrong tags", 1),
        ("a <e1>b<e1> <e2>c</e2>", "Other", "wrong tags", 1),
        ("a </e1>b<e1> <e2>c</e2>", "Other", "wrong tags", 1),
        ("a <e1>b</e1> <e2>c</e2> <e3>d</e3>", "Other", "wrong tags", 1),
        ("a <e1> </e1> <e2>c</e2>", "Other", "blank span", 1),
        ("a <e1><e2>b</e2></e1>", "Other", "head is tail", 1),
        ("a <e1>b</e1> <e2>c</e2>", "Cause-Effect(e1,e1)", "direction", 2),
        ("a <e1>b</e1> <e2>c</e2>", "Cause-Effect(e1)", "direction", 2),
    ],
)
def test_semeval_that_is_wrong(tmp_path: Path, line: str, label: str, kind: str, at: int) -> None:
    good = '\n8\t"<e1>x</e1> <e2>y</e2>"\nOther\n'
    examples, problems = read(write(tmp_path, f'7\t"{line}"\n{label}\n{good}'))
    assert [example.id for example in examples] == ["8"]
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == [(at, kind, True)]
    assert "sentence 7" in problems[0].detail


def test_lines_that_belong_to_no_sentence(tmp_path: Path) -> None:
    text = '1\t"<e1>x</e1> <e2>y</e2>"\nOther\nOther\nComment: c\n\nCause-Effect(e1,e2)\n'
    examples, problems = read(write(tmp_path, text))
    assert len(examples) == 1
    assert [(problem.line, problem.kind) for problem in problems] == [(3, "unknown line"), (6, "unknown line")]


@pytest.mark.parametrize("form", ["array", "pretty", "lines"])
def test_tacred(tmp_path: Path, form: str) -> None:
    records = [TACRED, {**TACRED, "id": "a2", "docid": "NYT-1", "relation": "no_relation"}]
    texts = {"array": json.dumps(records), "pretty": json.dumps(records, indent=1)}
    texts["lines"] = "".join(json.dumps(record) + "\n" for record in records)
    located, problems = examples_of(RelationExtraction.read(write(tmp_path, texts[form]), RelationOptions()))
    assert problems == []
    first, second = (item.example for item in located)
    assert first.text == "Mr. Li -LRB- 李 -RRB- is head of staff ."
    assert shown(first) == ["Li -LRB- 李 -RRB-", "head of staff"]
    assert [entity.type for entity in first.entities] == ["PERSON", "TITLE"]
    assert first.relations == (Relation(0, 1, "per:title"),)
    assert second.relations == (Relation(0, 1, "no_relation"),)
    assert [RelationExtraction(RelationSettings()).group(one) for one in (first, second)] == ["a1", "NYT-1"]
    second_line = next(n for n, line in enumerate(texts["pretty"].split("\n"), 1) if '"a2"' in line) - 1
    assert [item.line for item in located] == {"array": [1, 1], "pretty": [2, second_line], "lines": [1, 2]}[form]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"subj_end": 0}, "end before start"),
        ({"obj_end": 10}, "span outside text"),
        ({"obj_start": -1}, "span outside text"),
        ({"obj_start": 1, "obj_end": 4}, "head is tail"),
        ({"token": ["a", 3]}, "wrong value"),
        ({"subj_start": "1"}, "wrong value"),
        ({"subj_start": True}, "wrong value"),
        ({"relation": ""}, "no relation"),
        ({"token": ["a", "\ud83d"] * 5}, "half a character"),
    ],
)
def test_tacred_that_is_wrong(tmp_path: Path, change: dict[str, Any], kind: str) -> None:
    examples, problems = read(write(tmp_path, json.dumps([TACRED, {**TACRED, **change}, TACRED])))
    assert len(examples) == 2
    assert [problem.kind for problem in problems] == [kind]
    assert "a1" in problems[0].detail


@pytest.mark.parametrize("text", ["[", "[{}", '[{"id": 1} {"id": 2}]', "[{]", "[] more", "what?", "a\tb"])
def test_a_file_in_no_format_is_an_error_with_its_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="strange"):
        read(write(tmp_path, text, "strange"))


def test_an_empty_file_has_no_examples(tmp_path: Path) -> None:
    assert read(write(tmp_path, "")) == ([], [])
    assert read(write(tmp_path, " \n\n")) == ([], [])
    assert read(write(tmp_path, "\n[\n]\n")) == ([], [])


def test_json_lines(tmp_path: Path) -> None:
    without = {key: value for key, value in SENTENCE.items() if key not in {"id", "relation"}}
    asked = {**DOCUMENT, "pairs": [[0, 2], [2, 1]]}
    unknown = {key: value for key, value in DOCUMENT.items() if key != "relations"}
    text = "".join(json.dumps(one) + "\n" for one in (SENTENCE, without, DOCUMENT, asked, unknown))
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    examples, problems = read(path)
    assert problems == []
    sentence, second, document, two_pairs, no_answer = examples
    assert shown(sentence) == ["Ada", "it"]
    assert sentence.relations == (Relation(0, 1, "author_of"),)
    assert (second.id, second.relations, second.asked) == ("2", None, ((0, 1),))
    assert document.entities[1] == Entity(5, 7, "P")
    assert (document.asked, document.relations) == (None, (Relation(0, 2, "knows"),))
    assert two_pairs.asked == ((0, 2), (2, 1))
    assert no_answer.relations is None
    for example in examples:
        assert RelationExtraction.example(example.to_json()) == example


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({**SENTENCE, "head": {"start": 0, "end": 99}}, "span outside text"),
        ({**SENTENCE, "head": {"start": -1, "end": 2}}, "span outside text"),
        ({**SENTENCE, "head": {"start": 3, "end": 3}}, "end before start"),
        ({**SENTENCE, "head": {"start": 3, "end": 4}}, "blank span"),
        ({**SENTENCE, "head": SENTENCE["tail"]}, "head is tail"),
        ({**SENTENCE, "head": {"start": 1}}, "missing key"),
        ({**SENTENCE, "relation": 3}, "wrong value"),
        ({**DOCUMENT, "relations": "none"}, "wrong value"),
        ({**SENTENCE, "id": 1.5}, "wrong value"),
        ({"text": "no spans"}, "no entities"),
        ({"head": {}}, "missing key"),
        ({"text": "a", "head": {"start": 0, "end": 1}}, "missing key"),
        ({**DOCUMENT, "relations": [{"head": 0, "tail": 3, "relation": "x"}]}, "no such entity"),
        ({**DOCUMENT, "relations": [{"head": 1, "tail": 1, "relation": "x"}]}, "head is tail"),
        ({**DOCUMENT, "relations": [{"head": 1, "tail": 0}]}, "wrong value"),
        (
            {
                **DOCUMENT,
                "relations": 2 * [{"head": 1, "tail": 0, "relation": "x"}] + [{"head": 1, "tail": 0, "relation": "y"}],
            },
            "two relations of one pair",
        ),
        ({**DOCUMENT, "pairs": [[0, 1]]}, "relation of no pair"),
        ({**DOCUMENT, "pairs": [[0, 2], [0, 2]]}, "pair twice"),
        ({**DOCUMENT, "text": "Ada, Bo an\udc00 Cy"}, "half a character"),
    ],
)
def test_json_lines_that_are_wrong(tmp_path: Path, record: dict[str, Any], kind: str) -> None:
    lines = [json.dumps(SENTENCE), json.dumps(record), "", "{oops", "3", json.dumps(DOCUMENT)]
    examples, problems = read(write(tmp_path, "\n".join(lines)))
    assert [example.id for example in examples] == ["s", "d"]
    assert [(one.line, one.kind) for one in problems] == [(2, kind), (4, "not JSON"), (5, "not an object")]
    with pytest.raises(InputError):
        RelationExtraction.example(record)


def test_check_finds_what_single_records_do_not_show(tmp_path: Path) -> None:
    text = "Ada wrote " + "it " * 30 + "all"
    far = {"start": len(text) - 3, "end": len(text)}
    lines = [
        {**SENTENCE, "relation": "Wrote(e1,e2)"},
        SENTENCE,
        {key: value for key, value in SENTENCE.items() if key != "relation"} | {"id": "t"},
        {
            "id": "u",
            "text": text,
            "entities": [{"start": 0, "end": 3}, far],
            "relations": [{"head": 0, "tail": 1, "relation": "Wrote(e2,e1)"}],
        },
        {"id": "v", "text": text, "head": {"start": 0, "end": 9}, "tail": {"start": 0, "end": 3}, "relation": "Other"},
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)))
    options = RelationOptions(max_pair_distance=30)
    located, _ = examples_of(RelationExtraction.read(path, options))
    problems = list(RelationExtraction.check(located, options))
    assert [(problem.line, problem.kind) for problem in problems] == [
        (2, "duplicate id"),
        (2, "no direction"),
        (3, "relation missing"),
        (4, "farther than --max-pair-distance"),
        (5, "overlapping spans"),
    ]
    counts = RelationExtraction.describe([item.example for item in located])
    assert counts["relations"] == {"Wrote(e1,e2)": 1, "author_of": 1, "Wrote(e2,e1)": 1, "Other": 2}
    assert counts["entity types"] == {"PERSON": 3, "(no type)": 7}
    assert counts["pairs"] == {"judged": 6, "left out (too far apart)": 0}


def gold_of(labels: list[str]) -> list[RelationExample]:
    return [
        RelationExtraction.example({**SENTENCE, "id": str(n), "relation": one}) for n, one in enumerate(labels, 8001)
    ]


def predicted(path: Path, gold: list[RelationExample]) -> tuple[list[str | None], list[tuple[int, str]]]:
    predictions, problems = RelationExtraction.read_predictions(path, gold, RelationOptions())
    labels = [None if one is None else one.relations[0].label for one in predictions]
    return labels, [(problem.line, problem.kind) for problem in problems]


def test_predictions_as_the_official_scorers_read_them(tmp_path: Path) -> None:
    gold = gold_of(["Other", "A(e1,e2)", "B(e2,e1)"])
    columns = write(tmp_path, "8003\tA(e1,e2)\n\n8001\tOther\n9\tOther\n8003\tOther\n8002\t\n")
    labels, problems = predicted(columns, gold)
    assert labels == ["Other", None, "A(e1,e2)"]
    assert problems == [(4, "unknown id"), (5, "duplicate id"), (6, "unknown line")]
    assert predicted(write(tmp_path, "Other\r\nA(e1,e2)\r\nOther\r\n"), gold) == (["Other", "A(e1,e2)", "Other"], [])
    labels, problems = predicted(write(tmp_path, "Other\nA(e1,e2)\n"), gold)
    assert (labels, problems) == (["Other", "A(e1,e2)", None], [(2, "predictions missing")])
    labels, problems = predicted(write(tmp_path, "Other\n" * 4), gold)
    assert (labels, problems) == (["Other"] * 3, [(4, "surplus prediction")])
    assert predicted(write(tmp_path, ""), gold) == ([None] * 3, [])


def test_a_type_may_be_called_label(tmp_path: Path) -> None:
    span = {"start": 0, "end": 3, "text": "Ada"}
    examples, problems = read(
        write(
            tmp_path,
            "\n".join(
                json.dumps({**SENTENCE, "head": {**span, **names}})
                for names in ({"label": " P  Q"}, {"label": "P", "type": "P"}, {"label": "P", "type": "Q"})
            ),
        )
    )
    assert [example.entities[0].type for example in examples] == ["P Q", "P"]
    assert [(problem.line, problem.kind) for problem in problems] == [(3, "two types")]
    assert "'P'" in problems[0].detail
    assert "'Q'" in problems[0].detail


def test_a_key_that_may_be_meant_as_the_type_and_a_text_that_stands_elsewhere_are_told(tmp_path: Path) -> None:
    entity = {"start": 0, "end": 3, "ner": "P", "text": "Bo"}
    lines = json.dumps({**DOCUMENT, "entities": [entity] * 3, "id": 1}) + "\n"
    examples, problems = read(
        write(tmp_path, lines + json.dumps({**SENTENCE, "tail": entity, "head": SENTENCE["tail"]}))
    )
    assert [entity.type for entity in examples[0].entities] == [None] * 3
    kinds = [(problem.line, problem.kind, problem.skipped) for problem in problems]
    text, key = "text is not at its offsets", "unknown key"
    assert kinds == [(1, text, False)] * 3 + [(1, key, False), (2, text, False)]
    assert "'Ada', not 'Bo'" in problems[0].detail
    assert "'ner'" in problems[3].detail
    for unread in ({**SENTENCE, "entities": None}, {**SENTENCE, "entities": [{}]}, {**TACRED, "entities": [{}]}):
        assert read(write(tmp_path, json.dumps(unread)))[1] == [], "keys that this form of record does not read"


def test_types_are_compared_between_files(tmp_path: Path) -> None:
    def checked(type: str | None, name: str) -> CheckedFile:
        head = {"start": 0, "end": 3} | ({} if type is None else {"type": type})
        tail = {"start": 12, "end": 14}
        records = [
            {**SENTENCE, "head": head, "tail": tail, "relation": label, "text": f"{SENTENCE['text']}{label}{name}"}
            for label in "ab"
        ]
        for number, record in enumerate(records):
            record["id"] = f"{name}{number}"
        path = write(tmp_path, "\n".join(map(json.dumps, records)), name)
        return check_file(RelationExtraction, path, RelationOptions())

    train = checked("P", "train")
    assert list(compare_files(RelationExtraction, train, checked("P", "dev"))) == []
    [problem] = compare_files(RelationExtraction, train, checked("Q", "dev"))
    assert (problem.kind, "'Q'" in problem.detail) == ("only in the dev file", True)
    [problem] = compare_files(RelationExtraction, train, checked(None, "dev"))
    assert problem.kind == "no types in the dev file"
    assert list(compare_files(RelationExtraction, checked(None, "train"), checked(None, "dev"))) == []


def test_predictions_as_json_lines(tmp_path: Path) -> None:
    document = RelationExtraction.example(DOCUMENT)
    gold = [*gold_of(["author_of"] * 4), document]
    by_span = {"head": {"start": 0, "end": 3}, "tail": {"start": 5, "end": 7}, "relation": "knows", "probability": 1}
    lines = [
        {"id": "8001", "relation": "author_of"},
        {"id": "8002", "relations": [{**by_span, "tail": {"start": 12, "end": 14}}]},
        {"id": "8003", "relations": [{**by_span, "tail": {"start": 1, "end": 2}}]},
        {"id": "8004", "line": 4, "error": "could not be read"},
        {"id": "d", "relations": [by_span]},
        {"id": "d", "relations": []},
        {"relations": []},
    ]
    path = write(tmp_path, "\n".join(map(json.dumps, lines)))
    predictions, problems = RelationExtraction.read_predictions(path, gold, RelationOptions())
    assert [(problem.line, problem.kind) for problem in problems] == [
        (3, "no such entity"),
        (4, "error record"),
        (6, "duplicate id"),
        (7, "missing key"),
    ]
    assert [one is None for one in predictions] == [False, False, True, True, False]
    assert predictions[4] is not None
    (relation,) = predictions[4].relations
    assert (relation.head.index, relation.tail.index, relation.tail.type) == (0, 1, "P")
    single = {"id": "d", "relation": "knows"}
    _, problems = RelationExtraction.read_predictions(write(tmp_path, json.dumps(single)), gold, RelationOptions())
    assert [problem.kind for problem in problems] == ["one label"]
