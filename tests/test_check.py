"""`spanbert check`: problems with their lines, counts, lengths, and what is wrong between two files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_lines_task import labelled_lines

from spanbert.check import check_file
from spanbert.check_lengths import CHARACTERS, WORDS, Lengths, measure_lengths
from spanbert.cli import main
from spanbert.tasks.classification.task import Classification
from spanbert.tasks.ner.task import NamedEntityRecognition
from spanbert.tasks.question_answering.task import QuestionAnswering
from spanbert.tokenization import PieceTokenizer

__all__ = ["labelled_lines"]  # a fixture
pytestmark = pytest.mark.usefixtures("labelled_lines")


def write(folder: Path, name: str, *lines: str) -> str:
    file = folder / name
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(file)


def check(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    status = main(["check", "labelled-lines", *words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_file_that_is_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a.tsv", "good\tone two", "bad\tthree", "good\tfour five six")
    status, record = check(capsys, file)
    assert status == 0
    assert (record["file"], record["num_examples"], record["problems"]) == (file, 3, [])
    assert record["counts"] == {"labels": {"good": 2, "bad": 1}}
    lengths = record["lengths"]
    assert isinstance(lengths, dict)
    assert (lengths["unit"], lengths["min"], lengths["median"], lengths["max"]) == ("words", 1, 2, 3)
    assert main(["check", "labelled-lines", file]) == 0
    shown = capsys.readouterr().out
    for text in ("a.tsv: 3 examples", "nothing is wrong", "length in words", "good", "66.7%", "█"):
        assert text in shown


def test_problems_have_lines_and_are_all_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, "a.tsv", *(f"[bold]{number}" for number in range(25)), "good\t ", "good\tx")
    assert main(["check", "labelled-lines", file]) == 1
    shown = capsys.readouterr().out
    assert "no text: 25 records (25 left out)" in shown
    assert "line 20: '[bold]19'" in shown
    assert "line 21:" not in shown
    assert "... and 5 more" in shown
    assert "only white space: 1 record (1 used all the same)" in shown
    assert main(["check", "labelled-lines", file, "--all"]) == 1
    assert "line 25: '[bold]24'" in capsys.readouterr().out
    status, record = check(capsys, file)
    problems = record["problems"]
    assert isinstance(problems, list)
    assert (status, problems[0]["number"], len(problems[0]["cases"])) == (1, 25, 20)


def test_a_file_without_an_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lines in [(), ("nothing",)]:
        status, record = check(capsys, write(tmp_path, "a.tsv", *lines))
        assert (status, record["num_examples"], record["lengths"]) == (1, 0, None)
        assert "no example" in json.dumps(record["problems"])
        assert main(["check", "labelled-lines", str(tmp_path / "a.tsv")]) == 1
        capsys.readouterr()
    assert main(["check", "labelled-lines", str(tmp_path / "none")]) == 1
    assert "none" in capsys.readouterr().err


def test_a_second_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = write(tmp_path, "train.tsv", "good\tone two", "bad\tthree")
    fine = write(tmp_path, "fine.tsv", "good\tfour", "bad\tfive")
    status, record = check(capsys, train, "--dev", fine)
    assert (status, record["between"]) == (0, []), "ids that are line numbers are in both files, and mean nothing"
    leak = write(tmp_path, "leak.tsv", "", "so-so\tsix", "bad\tone two")
    assert main(["check", "labelled-lines", train, "--dev", leak]) == 1
    shown = capsys.readouterr().out
    assert "'so-so' (labels): 1 case, none in" in shown
    assert "line 3: example '3' has the text of line 1 of" in shown
    assert "no text: 1 record" in shown


def test_ids_that_are_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train.jsonl").write_text(
        '{"id": "x", "text": "a", "label": "0"}\n{"id": "y", "text": "b", "label": "1"}\n'
    )
    (tmp_path / "dev.jsonl").write_text('{"id": "y", "text": "c", "label": "1"}\n')
    program = [sys.executable, "-m", "spanbert", "check", "classification", "train.jsonl", "--dev", "dev.jsonl"]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "line 1: the id 'y' is also that of line 2 of train.jsonl" in done.stdout


def test_lengths_in_pieces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = PieceTokenizer.train(["one two three"] * 3, vocab_size=60)
    tokenizer.save(tmp_path / "tokenizer")
    file = write(tmp_path, "a.tsv", "good\tone two three", "good\tone two three", "bad\tone")
    num_pieces = len(tokenizer.encode("one two three"))
    words = [file, "--model", str(tmp_path / "tokenizer"), "--max-length", str(num_pieces + 1)]
    _, record = check(capsys, *words)
    lengths = record["lengths"]
    assert isinstance(lengths, dict)
    assert (lengths["unit"], lengths["max"], lengths["num_longer_than_a_window"]) == ("pieces", num_pieces, 2)
    assert main(["check", "labelled-lines", *words]) == 0
    assert "2 of 3 texts (66.7%) need several windows" in capsys.readouterr().out
    assert main(["check", "labelled-lines", file, "--max-length", "2"]) == 1
    assert "--max-length" in capsys.readouterr().err


def test_scripts_without_spaces_are_measured_in_characters() -> None:
    assert measure_lengths(["one two", "three"], None).measure is WORDS
    assert measure_lengths(["天氣很好" * 5, "你好"], None).measure is CHARACTERS


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=50))
def test_bars_hold_every_text_once(values: list[int]) -> None:
    lengths = Lengths(WORDS, np.array(values))
    bars = lengths.bars()
    assert 1 <= len(bars) <= 10
    for low, high, number in bars:
        assert number == sum(low <= value and (high is None or value < high) for value in values)
    assert sum(number for _, _, number in bars) == len(values)
    for plain in (True, False):
        assert all(line.isascii() for line in lengths.describe(9, plain=plain)) or not plain


def test_checking_needs_no_torch(tmp_path: Path) -> None:
    file = tmp_path / "a.conll"
    file.write_text("Ann B-PER\nsang O\n\nBob I-PER\n")
    program = (
        "import sys; from spanbert.cli import main\n"
        f"status = main(['check', 'ner', {str(file)!r}])\n"
        "heavy = {'torch', 'transformers', 'accelerate', 'matplotlib', 'huggingface_hub'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 10 + status)"
    )
    environment = {"PYTHONIOENCODING": "ascii", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (10, 11), done.stderr
    assert "2 examples for ner" in done.stdout
    assert measure_lengths(["天氣很好。", "你好"], None).measure is CHARACTERS, "short as words of other scripts"
    assert measure_lengths(["สวัสดี ครับ"], None).measure is CHARACTERS


def test_examples_without_an_answer_are_left_out_and_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    asked = {"question": "?", "context": "Ada met Bo."}
    for task, records in [
        (QuestionAnswering, [{**asked, "answers": ["Bo"]}, asked]),
        (NamedEntityRecognition, [{"text": "Ada", "entities": [[0, 3, "P"]]}, {"text": "Bo"}]),
    ]:
        for start, num_left in [(0, 1), (1, 0)]:
            file.write_text("".join(json.dumps(record) + "\n" for record in records[start:]), encoding="utf-8")
            checked = check_file(task, file, task.data_options())
            assert len(checked.examples) == num_left
            assert sum(problem.skipped and problem.line > 0 for problem in checked.problems) == 1


def test_one_label_only_is_told_once(tmp_path: Path) -> None:
    file = write(tmp_path, "a.tsv", "text\tlabel", "one\ta", "two\ta")
    kinds = [problem.kind for problem in check_file(Classification, file, Classification.data_options()).problems]
    assert kinds == ["nothing to learn"]
