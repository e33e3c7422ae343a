from __future__ import annotations

import gzip
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fake_task import FakeExample, FakePredictor, FakeTask
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_classifier import LABELS, TEXTS, tiny_classifier
from tiny_models import save_bert, tiny_bert

import spanbert.loading
from spanbert.cli import main
from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.loading import SpanBertPredictor
from spanbert.predict import PredictConfig, run
from spanbert.prediction_input import PAUSE, ErrorRecord, InputForm, read_records
from spanbert.prediction_stream import Answer, answer_records, rounded
from spanbert.read_summary import FileSummary
from spanbert.task import Located
from spanbert.tasks.classification.examples import ClassificationExample


def records_of(path: Path, task: Any = None, **form: Any) -> list[Any]:
    counts = FileSummary(source=str(path))
    return list(read_records(task or FakeTask(), str(path), InputForm(**form), counts))


class RelationLike:
    """An example of another task."""

    id = "r"

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "tokens": ["a"]}


@pytest.fixture
def predict(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., Any]:
    """A function that runs the verb on a file's content, and gives the status, the records and standard error."""

    def predict_(
        content: bytes | str, name: str = "input.jsonl", predictor: Any = None, **options: Any
    ) -> tuple[int, list[dict[str, Any]], str]:
        monkeypatch.setattr(spanbert.loading, "load", lambda *_, **__: SpanBertPredictor(predictor or FakePredictor()))
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        status = run(PredictConfig(model="model", file=str(path), **options))
        out, err = capfdbinary.readouterr()
        return status, [json.loads(line) for line in out.decode().split("\n")[:-1]], err.decode()

    return predict_


# The verb


def test_each_record_is_answered_in_its_place_and_bad_ones_become_error_records(predict: Callable[..., Any]) -> None:
    content = (
        b'\xef\xbb\xbf{"id": "a", "text": "one"}\r\n'
        b"\r\n"
        b"nonsense\r\n"
        b'{"id": 7, "text": "gr\xc3\xbc\xc3\x9fe \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 e\xcc\x81 \\u0000"}\n'
        b'{"text": "bad \xff byte"}\n'
        b'{"id": "s", "text": "half \\ud83d"}\n'
        b'{"id": "k", "txet": "unknown column"}\n'
        b'["no object"]\n'
        b'{"text": "please refuse"}\n'
        b'{"text": "the whole pair \\ud83d\\ude80"}'
    )
    status, records, err = predict(content)
    assert status == 1
    assert [(record["line"], "error" in record) for record in records] == [
        (1, False), (3, True), (4, False), (5, True), (6, True), (7, True), (8, True), (9, True), (10, False),
    ]  # fmt: skip
    by_line = {record["line"]: record for record in records}
    assert by_line[1]["id"] == "a"
    assert by_line[4]["id"] == "7"
    assert by_line[4]["text"] == "grüße 👩\u200d🚀 e\u0301 \0"
    assert "byte 14 of the line (0xff)" in by_line[5]["error"]
    assert by_line[6] == {
        "id": "s",
        "line": 6,
        "error": "character 5 of 'text' is a lone surrogate (\\ud83d, half a character): remove it or replace it with "
        "U+FFFD",
    }
    assert by_line[7] == {"id": "k", "line": 7, "error": '"text" must be a string'}
    assert by_line[9] == {"id": "9", "line": 9, "error": "there is no room for this one"}
    assert by_line[10]["text"] == "the whole pair 🚀"
    assert "9 records, 6 errors, 1 blank line passed over" in err


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["good", "refuse", "bad", "", "none"]), max_size=30),
    look_ahead=st.integers(1, 9),
    pauses=st.sets(st.integers(0, 30)),
)
def test_order_and_completeness_hold_whatever_is_bad_and_however_far_the_predictor_looks_ahead(
    lines: list[str], look_ahead: int, pauses: set[int]
) -> None:
    items: list[Any] = []
    for number, kind in enumerate(lines):
        if number in pauses:
            items.append(PAUSE)
        bad = kind == "bad"
        items.append(ErrorRecord(number, kind) if bad else Located(FakeExample(str(number), kind), number))
    answers = list(answer_records(FakePredictor(look_ahead), items))
    # Pauses keep their places: all before one is answered before it is passed on.
    assert [getattr(answer, "line", PAUSE) for answer in answers] == [getattr(item, "line", PAUSE) for item in items]
    for answer in answers:
        if answer is not PAUSE:
            kind = lines[answer.line]
            assert isinstance(answer, ErrorRecord) == (kind in {"bad", "refuse"})
            assert not isinstance(answer, Answer) or answer.prediction.text == kind


def test_no_more_is_read_than_the_predictor_looks_ahead() -> None:
    pulled = 0

    def items() -> Iterator[Any]:
        nonlocal pulled
        for number in range(10_000):
            pulled += 1
            yield ErrorRecord(number, "bad") if number > 500 else Located(FakeExample(str(number), "x"), number)

    answers = answer_records(FakePredictor(look_ahead=8), items())
    for number in range(2_000):
        assert next(answers).line == number  # type: ignore[union-attr]
        assert pulled <= number + 8 + 100


def test_refusals_of_the_last_example_cost_no_second_pass_over_all() -> None:
    predictor = FakePredictor(look_ahead=50)
    items = [Located(FakeExample(str(number), "refuse" if number % 5 else "x"), number) for number in range(100)]
    assert sum(isinstance(answer, ErrorRecord) for answer in answer_records(predictor, items)) == 80
    assert predictor.num_scored == 20


def test_an_error_that_no_single_example_causes_is_not_swallowed() -> None:
    class Broken(FakePredictor):
        def predict(self, examples: Any) -> Any:
            if len(list(examples)) > 1:
                raise ConfigurationError("never together")
            return iter([])

    items = [Located(FakeExample(str(number), "x"), number) for number in range(3)]
    with pytest.raises(ConfigurationError, match="never together"):
        list(answer_records(Broken(), items))


def test_strict_stops_at_the_first_bad_record_and_names_its_line(predict: Callable[..., Any], tmp_path: Path) -> None:
    output = tmp_path / "out" / "answers.jsonl"
    with pytest.raises(InputError, match=r"input\.jsonl, line 2: not JSON"):
        predict('{"text": "a"}\nb\n{"text": "c"}\n', strict=True, output=output)
    assert not output.exists()
    partial = output.with_name("answers.jsonl.partial").read_text(encoding="utf-8")
    assert [json.loads(line)["line"] for line in partial.splitlines()] == [1]


def test_an_output_file_gets_its_name_when_it_is_complete(predict: Callable[..., Any], tmp_path: Path) -> None:
    output = tmp_path / "new" / "answers.jsonl"
    status, records, _ = predict('{"text": "é"}\n', output=output, quiet=True)
    assert (status, records) == (0, [])
    assert '"text": "é"' in output.read_text(encoding="utf-8")
    assert [path.name for path in output.parent.iterdir()] == ["answers.jsonl"]
    with pytest.raises(ConfigurationError, match="is the input"):
        predict('{"text": "a"}', output=tmp_path / "input.jsonl")
    with pytest.raises(ConfigurationError, match="is a folder"):
        predict('{"text": "a"}', output=tmp_path)


def test_files_of_the_model_are_not_written_over(classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}')
    before = (classifier / "config.json").read_bytes()
    with pytest.raises(ConfigurationError, match=r"config\.json is a file of the model"):
        run(PredictConfig(model=str(classifier), file=str(path), output=classifier / "config.json"))
    assert (classifier / "config.json").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_no_room_for_the_answers_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import resource

    monkeypatch.setattr(spanbert.loading, "load", lambda *_, **__: SpanBertPredictor(FakePredictor()))
    path, output = tmp_path / "a.jsonl", tmp_path / "answers.jsonl"
    path.write_text('{"text": "some words"}\n' * 1000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        status = main(["predict", "model", str(path), "--output", str(output), "--quiet"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert status == 1
    stopped, error = capsys.readouterr().err.splitlines()
    assert "answers.jsonl.partial" in stopped
    assert error.startswith("spanbert predict: error: cannot write: ")
    assert not output.exists()


def test_numbers_have_as_many_digits_as_mean_something() -> None:
    third = 1 / 3
    record = {
        "text": "0.123456789",
        "answers": [{"start": 123456789, "score": 100 * third, "probability": third}],
        "probabilities": {"a": 2e-7, "b": 1 - 2e-7},
        "no_answer_probability": None,
        "label": 1e-9 * third,
        "negative": True,
    }
    assert rounded(record) == {
        "text": "0.123456789",
        "answers": [{"start": 123456789, "score": 33.33333, "probability": 0.333333}],
        "probabilities": {"a": 0.0, "b": 1.0},
        "no_answer_probability": None,
        "label": 3.333333e-10,
        "negative": True,
    }
    assert math.isinf(rounded(math.inf))
    assert math.isnan(rounded({"probability": math.nan})["probability"])


def test_no_number_is_an_error_and_never_an_answer(predict: Callable[..., Any]) -> None:
    status, records, _ = predict('{"text": "a"}', predictor=FakePredictor(weight=float("nan")))
    assert status == 1
    assert "no number" in records[0]["error"]


def test_a_file_that_is_not_there_is_told_before_a_model_is_loaded() -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl: there is no such file"):
        run(PredictConfig(model="no model either", file="nowhere.jsonl"))
    with pytest.raises(ConfigurationError, match="--batch-pieces"):
        PredictConfig(model="m", batch_pieces=0)
    with pytest.raises(ConfigurationError, match="--question"):
        PredictConfig(model="m", question=(" ",))


def test_nothing_in_nothing_out(predict: Callable[..., Any]) -> None:
    assert predict("")[:2] == (0, [])
    assert predict("\n\n", "blank.txt")[:2] == (0, [])


# Forms of input


def test_plain_text_by_line_and_by_file_is_kept_to_the_character(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeff one\0 \r\n\r\n\u2028two\u2029\x0c\rthree\n ".encode())
    lines = records_of(path)
    assert [(item.line, item.example.id, item.example.text) for item in lines] == [
        (1, "1", " one\0 "), (3, "3", "\u2028two\u2029\x0c"), (4, "4", "three"),
    ]  # fmt: skip
    (whole,) = records_of(path, document="file")
    assert whole.example.text == " one\0 \r\n\r\n\u2028two\u2029\x0c\rthree\n "
    path.write_bytes(b"one\r\ntwo \xff")
    (error,) = records_of(path, document="file")
    assert (error.line, "byte 9 of the text" in error.error) == (2, True)


def test_the_format_goes_by_the_name_or_else_by_the_first_character(tmp_path: Path) -> None:
    def texts(name: str, content: bytes, **form: Any) -> list[Any]:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return [getattr(getattr(item, "example", None), "text", None) for item in records_of(path, **form)]

    record = b'{"text": "a"}'
    assert texts("a.jsonl.gz", record) == ["a"]
    assert texts("a.txt", record) == ['{"text": "a"}']
    assert texts("a", b"\xef\xbb\xbf \n" + record) == ["a"]
    assert texts("a", b"[CLS] " + record) == ['[CLS] {"text": "a"}']
    assert texts("a", b"") == []
    assert texts("a.jsonl", b"plain") == [None]
    for content in (b'[{"text": "a"}]', b' [\n{"text": "a"}\n]', b'{\n"text": "a"\n}'):
        for name in ("a.jsonl", "a.json", "a"):
            with pytest.raises(InputError, match="on a line of its own"):
                texts(name, content)
    assert texts("a.csv", b"plain", format="text") == ["plain"]
    with pytest.raises(ConfigurationError, match="JSON lines and plain text"):
        texts("a.csv", b"plain")
    with pytest.raises(InputError, match="UTF-16"):
        texts("a.txt", "plain".encode("utf-16"))
    with pytest.raises(InputError, match="is a folder"):
        records_of(tmp_path)


class QuestionTask(FakeTask):
    name = "question-answering"
    plain_text = None

    def example(self, record: Any) -> FakeExample:
        return FakeExample(record["id"], record["question"] + "|" + record["context"])


class PairTask(FakeTask):
    name = "pairs"
    plain_text = None


def test_questions_are_asked_of_plain_text_and_of_nothing_else(tmp_path: Path) -> None:
    text, lines = tmp_path / "a.txt", tmp_path / "a.jsonl"
    text.write_text("one\ntwo", encoding="utf-8")
    lines.write_text("{}", encoding="utf-8")
    (whole,) = records_of(text, QuestionTask(), questions=("Q?",))
    assert (whole.example.id, whole.example.text) == ("1", "Q?|one\ntwo")
    each = records_of(text, QuestionTask(), questions=("Q?", "R?"), document="line")
    assert [(item.line, item.example.id, item.example.text) for item in each] == [
        (1, "1-1", "Q?|one"), (1, "1-2", "R?|one"), (2, "2-1", "Q?|two"), (2, "2-2", "R?|two"),
    ]  # fmt: skip
    for task, path, form, message in [
        (FakeTask(), text, {"questions": ("Q?",)}, "this model's task is fake"),
        (QuestionTask(), text, {}, "add --question"),
        (QuestionTask(), lines, {"questions": ("Q?",)}, "--question is for plain text"),
        (FakeTask(), lines, {"document": "file"}, "--document is for plain text"),
        (PairTask(), text, {}, "plain text is not enough for pairs"),
    ]:
        with pytest.raises(ConfigurationError, match=message):
            records_of(path, task, **form)


def test_json_of_squad_is_refused_with_what_to_do(tmp_path: Path) -> None:
    squad = {"version": "v2.0", "data": [{"paragraphs": [{"context": "c", "qas": [{"id": "1", "question": "q"}]}]}]}
    path = tmp_path / "squad.json"
    for content in (json.dumps(squad), json.dumps(squad, indent=1), json.dumps({"data": squad["data"]})):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match=r"SQuAD's JSON.*jq -c"):
            records_of(path, QuestionTask())


def test_line_ends_and_characters_cut_by_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    content = "é\r\n👩‍🚀\r\r\n\nx\r" * 3
    path = tmp_path / "a.txt"
    path.write_bytes(content.encode())
    expected = records_of(path)
    assert [item.line for item in expected] == [1, 2, 5, 6, 7, 10, 11, 12, 15]
    for size in (1, 2, 3, 5):
        monkeypatch.setattr("spanbert.input_files._CHUNK", size)
        assert records_of(path) == expected


def test_a_long_line_comes_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    text = "naïve 漢字 " * 500_000
    path.write_text(json.dumps({"text": text}) + "\n" + json.dumps({"text": "next"}, ensure_ascii=False))
    long, following = records_of(path)
    assert long.example.text == text
    assert (following.line, following.example.text) == (2, "next")


def test_a_pipe_is_answered_line_by_line_while_it_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reader, encoding="utf-8"))
    counts = FileSummary(source="<stdin>")
    answers = answer_records(
        FakePredictor(look_ahead=1000),
        read_records_lazily(counts),
    )
    os.write(writer, b"first\nsec")
    assert next(answers).line == 1  # type: ignore[union-attr]
    assert next(answers) is PAUSE
    later = threading.Timer(0.1, os.write, (writer, b"ond\nthird\n"))
    later.start()
    assert [next(answers).line for _ in range(2)] == [2, 3]  # type: ignore[union-attr]
    os.close(writer)
    assert [answer for answer in answers if answer is not PAUSE] == []
    sys.stdin.close()


def read_records_lazily(counts: FileSummary) -> Iterator[Any]:
    """Reading begins when the first record is asked for."""
    yield from read_records(FakeTask(), "-", InputForm(format="text"), counts)


# With a model


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("predict") / "classifier")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))


def test_python_takes_one_input_or_several_in_every_form(classifier: Path) -> None:
    predictor = spanbert.loading.load(classifier, device="cpu", precision="fp32")
    one = predictor.predict(TEXTS[0])
    assert (one.id, one.label in LABELS) == ("1", True)
    assert predictor.labels == tuple(sorted(LABELS))
    assert predictor.settings.max_length == 16
    assert predictor.task.name == "classification"
    example = ClassificationExample(id="x", text=TEXTS[1])
    several = predictor.predict(iter([TEXTS[0], {"text": TEXTS[0]}, example]))
    assert [prediction.id for prediction in several] == ["1", "2", "x"]
    assert several[0].label == several[1].label == one.label
    assert predictor.predict(example) == predictor.predict([example])[0]
    same = predictor.predict(text=TEXTS[1])
    assert dict(same.probabilities) == pytest.approx(dict(several[2].probabilities), abs=1e-5)
    assert predictor.predict(text=TEXTS[1], pair=TEXTS[0], id="p").id == "p"
    assert predictor.predict([]) == []


@pytest.mark.parametrize(
    "option", [{"device": "tpu"}, {"precision": "fp8"}, {"threads": 0}, {"batch_pieces": 0}, {"golden": "x"}]
)
def test_python_refuses_options_that_there_are_not(classifier: Path, option: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(option))}.*{next(iter(option.values()))}"):
        spanbert.loading.load(classifier, **option)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["Paris", ""], '^input 2: "text" is empty'),
        (["Paris", {"txet": "x"}], '^input 2: the key "text" is missing'),
        (["Paris", "half a \ud83d"], "^input 2: .*surrogate"),
        (["Paris", 7], "^input 2: an input is a text, a mapping or an example, not int"),
        (5, "^predict takes a text, a mapping, an example, or several of these, not int"),
        (b"Paris", r"^an input is a text, a mapping or an example, not bytes: decode it, as in text\.decode\(\)"),
        ([b"Paris"], "^input 1: an input is .*not bytes: decode it"),
        ({}, '^the key "text" is missing'),
        ([{"text": {1, 2}}], "^input 1: an input must be what JSON can say"),
        ([RelationLike()], '^input 1: the key "text" is missing'),
        ("  ", '^"text" has nothing but white space'),
        (None, "takes one input, several of them"),
    ],
)
def test_python_says_which_input_is_wrong(classifier: Path, inputs: Any, message: str) -> None:
    predictor = spanbert.loading.load(classifier, device="cpu", precision="fp32")
    with pytest.raises(InputError, match=message):
        predictor.predict(inputs)


def test_text_alone_is_refused_where_the_task_needs_more() -> None:
    for task, message in [(QuestionTask(), r'predict\(question="...", context="..."\)'), (PairTask(), "pairs: give")]:
        with pytest.raises(InputError, match=message):
            SpanBertPredictor(FakePredictor(task=task)).predict("text")  # type: ignore[arg-type]
    asked = SpanBertPredictor(FakePredictor(task=QuestionTask()))  # type: ignore[arg-type,var-annotated]
    assert asked.predict(question="Q?", context="C").text == "Q?|C"


def test_threads_can_share_a_predictor(classifier: Path) -> None:
    predictor = spanbert.loading.load(classifier, device="cpu", precision="fp32")
    texts = [" ".join(TEXTS[number % 3 :]) * (number % 7 + 1) for number in range(60)]
    expected = [predictor.predict(text) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predictor.predict, texts)) == expected


def test_the_command_line_answers_a_long_document_whole(
    classifier: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    document = "the capital of France is Paris . " * 2000
    path = tmp_path / "texts.jsonl"
    path.write_text(f'{json.dumps({"id": "long", "text": document})}\n{{"text": "x"}}\n{{"text": " "}}\n')
    config = PredictConfig(model=str(classifier), file=str(path), device="cpu", precision="fp32", batch_pieces=256)
    assert run(config) == 1
    out, err = capfdbinary.readouterr()
    long, short, error = map(json.loads, out.decode().splitlines())
    assert (long["id"], long["line"], sum(long["probabilities"].values())) == ("long", 1, pytest.approx(1))
    assert (short["id"], short["line"], short["label"] in LABELS) == ("2", 2, True)
    assert error == {"id": "3", "line": 3, "error": '"text" has nothing but white space or control characters'}
    assert b"3 records, 1 error, " in err


def test_a_model_that_is_only_pretrained_is_refused(tmp_path: Path) -> None:
    encoder = save_bert(tiny_bert(), tmp_path / "encoder")
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(CheckpointError, match="not fine-tuned for any task"):
        run(PredictConfig(model=str(encoder), file=str(path)))
