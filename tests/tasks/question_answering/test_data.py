"""Reading every format, and what `check` says of what is wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbert.errors import InputError
from spanbert.task import examples_of
from spanbert.tasks.question_answering.config import QuestionAnsweringData
from spanbert.tasks.question_answering.data import check_questions, describe_questions, read_questions
from spanbert.tasks.question_answering.examples import Answer, QuestionExample
from spanbert.tasks.question_answering.records import BadRecordError, example_of, given_from_json
from spanbert.tasks.question_answering.task import QuestionAnswering

CONTEXT = "Paris is the capital of France. Paris lies on the Seine."


def read(path: Path) -> tuple[list[QuestionExample], list[tuple[int, str, bool]]]:
    located, problems = examples_of(read_questions(path))
    return [one.example for one in located], [(p.line, p.kind, p.skipped) for p in problems]


def squad(*questions: dict[str, Any], context: Any = CONTEXT, title: str | None = "France") -> dict[str, Any]:
    article = {"paragraphs": [{"context": context, "qas": list(questions)}]}
    return {"version": "1.1", "data": [article if title is None else {"title": title, **article}]}


def asked(name: Any, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    given = [{"text": text, "answer_start": start} for text, start in answers]
    return {"id": name, "question": "Where?", "answers": given, **more}


def write(path: Path, value: Any, **options: Any) -> Path:
    path.write_text(json.dumps(value, **options), encoding="utf-8")
    return path


@pytest.mark.parametrize("indent", [None, 1])
def test_squad_on_one_line_or_on_many(tmp_path: Path, indent: int | None) -> None:
    path = write(tmp_path / "x.json", squad(asked("q1", ("Paris", 0), ("France", 24)), asked("q2")), indent=indent)
    examples, problems = read(path)
    assert not problems
    answers = (Answer(text="Paris", start=0, end=5), Answer(text="France", start=24, end=30))
    assert examples[0] == QuestionExample(
        id="q1", question="Where?", contexts=(CONTEXT,), answers=answers, title="France"
    )
    assert examples[1].answers == ()


def test_lines_and_paths_of_what_is_wrong_in_a_file_of_one_value(tmp_path: Path) -> None:
    value = squad(
        asked("q1", ("Lyon", 3)),
        asked("né", ("Paris", 30)),
        asked("q1", ("Paris", 0), is_impossible=True),
        {"id": "q4", "answers": []},
        asked(None),
        "q6",
        asked("q7", ("\n", 0)),
    )
    value["data"] += [{"title": "x"}, {"paragraphs": [{"context": 5, "qas": []}]}]
    path = write(tmp_path / "x.json", value, indent=1)
    lines = path.read_text(encoding="utf-8").splitlines()
    located, problems = examples_of(read_questions(path))
    problems += check_questions(located)
    assert [(problem.kind, problem.skipped) for problem in problems] == [
        ("answer not in context", False),
        ("answer offset wrong", False),
        ("contradiction", False),
        ("wrong type", True),
        ("no id", True),
        ("wrong type", True),
        ("empty answer", False),
        ("wrong type", True),
        ("wrong type", True),
        ("duplicate id", False),
    ]
    assert "'q1' at data[0].paragraphs[0].qas[0]: 'Lyon'" in problems[0].detail
    assert '"q1"' in lines[problems[0].line - 1]
    assert '"n\\u00e9"' in lines[problems[1].line - 1]
    assert "data[2].paragraphs[0] must be" in problems[-2].detail
    assert [one.line for one in located] == [
        n for n, line in enumerate(lines, 1) if '"id": "' in line and '"q4"' not in line
    ]


def test_a_misplaced_answer_is_the_nearest_one_and_a_lost_one_only_counts_in_scoring(tmp_path: Path) -> None:
    path = write(tmp_path / "x.json", squad(asked("q", ("Paris", 29), ("Paris", 3), (" Paris ", 40), ("Rome", 1))))
    examples, problems = read(path)
    assert examples[0].answers == (
        Answer(text="Paris", start=32, end=37),
        Answer(text="Paris", start=0, end=5),
        Answer(text=" Paris ", start=31, end=38),
        Answer(text="Rome"),
    )
    assert [kind for _, kind, _ in problems] == ["answer offset wrong"] * 3 + ["answer not in context"]


def test_cmrc_without_offsets(tmp_path: Path) -> None:
    questions = [{"query_id": "D_0", "query_text": "首都？", "answers": ["巴黎", "里昂"]}]
    value = [{"context_id": "D", "context_text": "法国首都是巴黎。", "title": "法国", "qas": questions}]
    examples, problems = read(write(tmp_path / "x.json", value, ensure_ascii=False))
    assert examples[0].answers == (Answer(text="巴黎", start=5, end=7), Answer(text="里昂"))
    assert problems == [(1, "answer not in context", False)]


def test_mrqa_compressed(tmp_path: Path) -> None:
    detected = [
        {"text": "paris", "char_spans": [[32, 36]], "token_spans": [[8, 8]]},
        {"text": "the Seine", "char_spans": [[46, 54]]},
    ]
    question = {"qid": "m1", "question": "Where?", "answers": ["paris", "Seine"], "detected_answers": detected}
    lines = [
        {"header": {"dataset": "x", "split": "dev"}},
        {"context": CONTEXT, "context_tokens": [], "qas": [question, {"qid": "m2", "question": "Who?"}, 5]},
        {"context": CONTEXT, "qas": [question | {"qid": "m3", "detected_answers": [{"text": "x"}]}]},
    ]
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    examples, problems = read(path)
    assert examples[0].answers == (Answer(text="paris", start=32, end=37), Answer(text="Seine", start=46, end=55))
    assert [example.id for example in examples] == ["m1", "m2"]
    assert examples[1].answers is None
    assert problems == [(2, "wrong type", True), (3, "wrong type", True)]


def test_json_lines_in_all_their_forms(tmp_path: Path) -> None:
    lines: list[Any] = [
        {"id": 1, "question": "?", "context": CONTEXT, "answers": ["Seine"]},
        {"id": "b", "question": "?", "context": CONTEXT, "answers": {"text": ["Seine"], "answer_start": [50]}},
        {"id": "c", "question": "?", "context": CONTEXT, "answers": [{"text": "Seine", "start": 50, "end": 55}]},
        {"id": "d", "question": "?", "contexts": ["Rome", CONTEXT], "answers": ["Seine"]},
        {"id": "e", "question": "?", "contexts": ["Rome"], "answers": []},
        {"id": "f", "question": "?", "context": CONTEXT},
    ]
    path = tmp_path / "x.jsonl"
    path.write_text("\n\n".join(map(json.dumps, lines)), encoding="utf-8")
    located, problems = examples_of(read_questions(path))
    assert not problems
    assert [one.line for one in located] == [1, 3, 5, 7, 9, 11]
    examples = [one.example for one in located]
    assert {examples[n].answers for n in range(3)} == {(Answer(text="Seine", start=50, end=55),)}
    assert examples[3].answers == (Answer(text="Seine", start=50, end=55, document=1),)
    assert [examples[n].answers for n in (4, 5)] == [(), None]
    assert describe_questions(examples) == {
        "questions": {"answerable": 4, "answers unknown": 1, "unanswerable": 1},
        "right answers of a question": {"1": 4},
        "documents of a question": {"1": 5, "2": 1},
    }
    assert [problem.kind for problem in check_questions(located)] == ["answers unknown"]


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"id": "a", "question": "?"}, "no context"),
        ({"id": "a", "question": "?", "context": "x", "contexts": ["x"]}, "no context"),
        ({"id": "a", "question": "?", "contexts": []}, "wrong type"),
        ({"id": "a", "question": "?", "context": " \n\u3000"}, "empty context"),
        ({"id": "a", "question": "?", "contexts": ["", " "]}, "empty context"),
        ({"id": "a", "question": "\t", "context": "x"}, "empty question"),
        ({"id": "a", "question": ["?"], "context": "x"}, "wrong type"),
        ({"id": "a", "context": "x"}, "no question"),
        ({"id": True, "question": "?", "context": "x"}, "no id"),
        ({"question": "?", "context": "x"}, None),
        ({"id": None, "question": "?", "context": "x"}, None),
        ({"id": "a", "question": "?", "context": "half \ud83d"}, "half a character"),
        ({"id": "a", "question": "?", "context": "x", "answers": "x"}, "wrong type"),
        ({"id": "a", "question": "?", "context": "x", "answers": [{"text": "x", "start": "0"}]}, "wrong type"),
        ({"id": "a", "question": "?", "context": "x", "answers": [{"text": "x", "document": 1}]}, "no such document"),
        ({"id": "a", "question": "?", "context": "x", "answers": {"text": ["x"], "answer_start": []}}, None),
        (
            {"id": "a", "question": "?", "context": "x", "answers": {"text": ["x"], "answer_start": [1, 2]}},
            "wrong type",
        ),
    ],
)
def test_a_bad_record_is_told_with_its_line_and_the_others_stay(
    tmp_path: Path, record: dict[str, Any], kind: str | None
) -> None:
    good = {"id": "good", "question": "?", "context": "x"}
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(good)}\n{json.dumps(record)}\n", encoding="utf-8")
    located, problems = examples_of(read_questions(path))
    assert [(problem.line, problem.kind, problem.skipped) for problem in problems] == (
        [] if kind is None else [(2, kind, True)]
    )
    assert [one.example.id for one in located] == (["good"] if kind else ["good", record.get("id") or "2"])
    if kind not in (None, "no id"):
        with pytest.raises(InputError):
            QuestionAnswering.example(record)


def test_crlf_a_byte_order_mark_null_bytes_and_emoji(tmp_path: Path) -> None:
    context = "\ufeffÖl\r\n\x00 kostet 👩‍🚀 e\u0301t 𠮷 viel."
    record = {
        "id": "q",
        "question": "Was\x00?",
        "context": context,
        "answers": [{"text": "𠮷", "start": context.index("𠮷")}],
    }
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(record, ensure_ascii=False).encode() + b"\r\n\r\n{broken\r\n")
    examples, problems = read(path)
    assert problems == [(3, "not JSON", True)]
    assert examples[0].contexts == (context,)
    assert examples[0].answers == (Answer(text="𠮷", start=context.index("𠮷"), end=context.index("𠮷") + 1),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("  \n ", "is empty"),
        ('{"data": [\n{"x" 1}', "line 2: not JSON"),
        ("id,question\n", "not JSON"),
        ("5", "no known format"),
        ('{\n"version": 1\n}', "no known format"),
    ],
)
def test_a_file_in_no_known_format(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        list(read_questions(path))
    assert str(path) in str(caught.value)


def test_a_broken_first_line_does_not_stop_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text('{"id": oops}\n{"id": "a", "question": "?", "context": "x"}\n', encoding="utf-8")
    examples, problems = read(path)
    assert [example.id for example in examples] == ["a"]
    assert problems == [(1, "not JSON", True)]


answers_anywhere = st.text(min_size=1, max_size=12, alphabet="ab \u0301中👍\r\n.")


@given(answers_anywhere, st.integers(-3, 20), st.integers(0, 15), st.integers(1, 5))
def test_an_answer_always_stands_where_the_example_says(text: str, start: int, begin: int, length: int) -> None:
    answer = text[begin % len(text) :][:length]
    record = {"id": "a", "question": "?", "context": text + "x", "answers": [{"text": answer, "answer_start": start}]}
    example, notes = example_of(given_from_json(record))
    if not answer.strip():
        assert example.answers == ()
        return
    assert example.answers is not None
    [found] = example.answers
    assert found.start is not None
    assert example.contexts[0][found.start : found.end] in (answer, answer.strip())
    assert bool(notes) == ((text + "x")[start : start + len(answer)] != answer or start < 0)
    places = [n for n in range(len(text)) if (text + "x").startswith(answer, n)]
    if notes and places:
        assert abs(found.start - start) == min(abs(place - start) for place in places)
    assert QuestionAnswering.example(json.loads(json.dumps(example.to_json()))) == example


def test_predictions_in_our_form_and_in_the_official_one(tmp_path: Path) -> None:
    gold = [QuestionExample(id=name, question="?", contexts=("x",), answers=()) for name in "abc"]
    ours = tmp_path / "ours.jsonl"
    ours.write_text(
        '{"id": "b", "text": "x", "answers": [], "no_answer_probability": 0.25}\n'
        '{"id": "a"}\n{"id": "z", "text": ""}\n{"id": "b", "text": "y"}\n[]\n'
        '{"id": "c", "text": "", "answers": [{"text": "x"}]}\n{"id": "c", "text": "", "null_score": "low"}\n',
        encoding="utf-8",
    )
    predicted, problems = QuestionAnswering.read_predictions(ours, gold, QuestionAnsweringData())
    assert [one and (one.text, one.no_answer_probability) for one in predicted] == [None, ("x", 0.25), None]
    assert [(problem.line, problem.kind) for problem in problems] == [
        (2, "not a prediction"),
        (3, "unknown id"),
        (4, "duplicate id"),
        (5, "not an object"),
        (6, "not a prediction"),
        (7, "not a prediction"),
    ]
    for indent in (None, 2):
        official = write(tmp_path / "official.json", {"a": "x", "c": "", "b": None}, indent=indent)
        predicted, problems = QuestionAnswering.read_predictions(official, gold, QuestionAnsweringData())
        assert [one and one.text for one in predicted] == ["x", None, ""]
        assert [problem.kind for problem in problems] == ["not a prediction"]
    bad = write(tmp_path / "list.json", [1])
    with pytest.raises(InputError, match="neither JSON lines"):
        QuestionAnswering.read_predictions(bad, gold, QuestionAnsweringData())


def test_a_problem_is_an_input_error_in_python() -> None:
    with pytest.raises(BadRecordError, match="only white space"):
        QuestionAnswering.example({"question": "Who?", "context": "\n"})


ANSWER = {"text": "x", "start": 0, "end": 1, "document": 0, "score": 1, "probability": 0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answers": [{"text": "x"}]}, "'answers' must be a list of objects"),
        ({"answers": ["x"]}, "'answers' must be a list of objects"),
        ({"answers": [ANSWER | {"probability": "high"}]}, "'probability' of an answer must be a number, not 'high'"),
        ({"answers": [ANSWER | {"start": 0.5}]}, "'start' of an answer must be a whole number"),
        ({"question_pieces_cut": "x"}, "'question_pieces_cut' must be a whole number"),
    ],
)
def test_a_prediction_with_a_wrong_value_is_an_error_of_its_key(change: dict[str, Any], message: str) -> None:
    good = {"id": "a", "text": "x", "answers": [ANSWER]}
    assert QuestionAnswering.prediction(good).answers[0].text == "x"
    with pytest.raises(InputError, match=message):
        QuestionAnswering.prediction(good | change)
