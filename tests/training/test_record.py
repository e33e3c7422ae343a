"""Curves and records."""

from __future__ import annotations

from pathlib import Path

import pytest

from spanbert.errors import InputError
from spanbert.training.record import History, plot_history, read_history, write_json


def test_history_forgets_what_a_resumed_run_says_again(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    for step in (10, 20, 30):
        history.add(step, "training", {"mlm_loss": 1.0 / step})
    with history.path.open("a") as file:
        file.write('{"step": 40, "se')  # a crash in the middle of a line
    history.truncate(20)
    assert [row["step"] for row in read_history(history.path)] == [10, 20]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"step": 1, "set": "a"}\nnonsense\n{"step": 2, "set": "a"}\n')
    with pytest.raises(InputError, match="line 2"):
        read_history(path)


def test_only_the_main_process_writes(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl", enabled=False)
    history.add(1, "training", {"mlm_loss": 1.0})
    assert not history.path.exists()


def test_the_picture_has_a_panel_for_what_was_recorded(tmp_path: Path) -> None:
    rows = [{"step": step, "set": name, "mlm_loss": 5.0 / step} for step in (1, 2, 3) for name in ("training", "dev")]
    plot_history(rows, tmp_path / "curves.svg", title="a run", panels=[["mlm_loss", "sbo_loss"], ["nothing"]])
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.count('id="axes_') == 1


def test_json_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"a": 1})
    write_json(path, {"b": "é"})
    assert path.read_text(encoding="utf-8") == '{\n  "b": "é"\n}\n'
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
