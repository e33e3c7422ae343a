"""`spanbert score`: figures from files, what is wrong with the files, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from labelled_lines_task import labelled_lines

from spanbert.cli import main

__all__ = ["labelled_lines"]  # a fixture
pytestmark = pytest.mark.usefixtures("labelled_lines")


@pytest.fixture
def gold(tmp_path: Path) -> str:
    file = tmp_path / "gold.tsv"
    file.write_text("good\tyes\nbad\tno\ngood\tindeed\nbad\tnever\n")
    return str(file)


def predictions(folder: Path, name: str, labels: dict[int, str]) -> str:
    file = folder / name
    file.write_text("".join(f"{number}\t{label}\t0.9\n" for number, label in labels.items()))
    return str(file)


def test_figures_with_intervals(gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = predictions(tmp_path, "p", {1: "good", 2: "bad", 3: "bad", 4: "bad"})
    assert main(["score", "labelled-lines", gold, file, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["task"], record["num_examples"], record["problems"]) == ("labelled-lines", 4, [])
    (scored,) = record["predictions"]
    assert (scored["file"], scored["num_missing"], scored["problems"]) == (file, 0, [])
    assert scored["figures"]["accuracy"] == {"value": 75.0, "low": 25.0, "high": 100.0}
    assert scored["figures"]["accuracy/good"]["value"] == 50
    assert main(["score", "labelled-lines", gold, file]) == 0
    shown = capsys.readouterr()
    assert "75.00" in shown.out
    assert "25.00 – 100.00" in shown.out
    assert "1,000 bootstrap samples" in shown.out
    assert shown.err == ""


def test_no_samples_no_intervals(gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = predictions(tmp_path, "p", {1: "good", 2: "bad", 3: "bad", 4: "bad"})
    assert main(["score", "labelled-lines", gold, file, "--samples", "0"]) == 0
    shown = capsys.readouterr().out
    assert "75.00" in shown
    assert "95 %" not in shown


def test_missing_and_surplus_predictions_are_named(
    gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = predictions(tmp_path, "p", {1: "good", 9: "bad"})
    assert main(["score", "labelled-lines", gold, file]) == 1
    shown = capsys.readouterr()
    assert "25.00" in shown.out
    assert "surplus prediction: 1 record" in shown.err
    assert "line 2: there is no example '9'" in shown.err
    assert "no prediction: 3 of 4 examples, which count as wrong: 2, 3, 4" in shown.err
    assert main(["score", "labelled-lines", gold, file, "--json"]) == 1
    (scored,) = json.loads(capsys.readouterr().out)["predictions"]
    assert (scored["num_missing"], scored["missing"]) == (3, ["2", "3", "4"])
    assert scored["problems"][0]["cases"] == [{"line": 2, "detail": "there is no example '9'"}]


def test_two_files_are_compared(gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = predictions(tmp_path, "first", {1: "bad", 2: "bad", 3: "bad", 4: "bad"})
    second = predictions(tmp_path, "second", {1: "good", 2: "bad", 3: "good", 4: "bad"})
    assert main(["score", "labelled-lines", gold, first, second, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["differences"]["accuracy"]["value"] == 50
    assert 0 < record["differences"]["accuracy"]["p_value"] < 0.2
    assert main(["score", "labelled-lines", gold, first, second]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{second} minus {first}" in shown
    assert "+50.00" in shown
    assert main(["score", "labelled-lines", gold, first, second, first]) == 1
    assert "one or two files" in capsys.readouterr().err


def test_problems_of_the_gold_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold = tmp_path / "gold.tsv"
    gold.write_text("good\tyes\nnothing\n")
    file = predictions(tmp_path, "p", {1: "good"})
    assert main(["score", "labelled-lines", str(gold), file]) == 1
    assert "gold.tsv: no text: 1 record (1 left out)" in capsys.readouterr().err
    gold.write_text("nothing\n")
    assert main(["score", "labelled-lines", str(gold), file]) == 1
    assert "holds no example that can be used (no text" in capsys.readouterr().err
