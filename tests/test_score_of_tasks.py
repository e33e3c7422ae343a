"""`spanbert score` with files of the real tasks: what cannot be scored is no prediction's fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spanbert.cli import main


@pytest.mark.parametrize(
    ("task", "examples", "answers"),
    [
        (
            "ner",
            [{"text": "Ann ran.", "entities": [{"start": 0, "end": 3, "label": "PER"}]}, {"text": "Bob ran."}],
            [{"entities": [{"start": 0, "end": 3, "label": "PER", "text": text}]} for text in ("Ann", "Bob")],
        ),
        (
            "question-answering",
            [
                {"question": "Who?", "context": "Ann ran.", "answers": [{"text": "Ann", "start": 0}]},
                {"question": "Why?", "context": "Ann ran."},
            ],
            [{"text": "Ann"}, {"text": "ran"}],
        ),
    ],
    ids=["ner", "question-answering"],
)
def test_examples_without_their_right_answer_are_not_scored(
    task: str,
    examples: list[dict[str, Any]],
    answers: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gold, found = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    for file, records in ((gold, examples), (found, answers)):
        lines = [json.dumps({"id": str(number), **record}) + "\n" for number, record in enumerate(records, 1)]
        file.write_text("".join(lines))
    assert main(["score", task, str(gold), str(found), "--samples", "20", "--json"]) == 1
    record = json.loads(capsys.readouterr().out)
    assert record["num_examples"] == 1
    assert record["predictions"][0]["figures"]["f1"]["value"] == 100
    assert record["predictions"][0]["num_missing"] == 0
    assert any(problem["cases"][0]["line"] == 2 for problem in record["problems"])
    gold.write_text(json.dumps({"id": "2", **examples[1]}) + "\n")
    assert main(["score", task, str(gold), str(found)]) == 1
    assert "holds no example that can be used" in capsys.readouterr().err


def test_a_share_of_nothing_is_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gold, found = tmp_path / "gold.jsonl", tmp_path / "found.jsonl"
    gold.write_text('{"id": "1", "question": "Why?", "context": "Ann ran.", "answers": []}\n')
    found.write_text('{"id": "1", "text": ""}\n')
    assert main(["score", "question-answering", str(gold), str(found), str(found), "--samples", "20", "--json"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    record = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert record["predictions"][0]["figures"]["has_ans_f1"]["value"] is None
    assert record["differences"]["has_ans_f1"]["p_value"] == 1
