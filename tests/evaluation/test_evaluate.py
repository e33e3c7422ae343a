"""`spanbert evaluate`: the figures of the record and of `spanbert score`, a report, and files of another task."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_finetuning import TASKS, few_records, no_picture, options_for, read_records, write_records

import spanbert
from spanbert.cli import main

Tuned = Callable[[str], tuple[Path, Path]]
ON = ["--device", "cpu", "--precision", "fp32", "--threads", "1"]


@pytest.fixture(scope="module")
def tuned(encoder_folder: Path, task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    """A function that gives the folder of a fine-tuned model and its dev file."""
    made: dict[str, tuple[Path, Path]] = {}

    def tuned_(task: str) -> tuple[Path, Path]:
        if task not in made:
            folder = tmp_path_factory.mktemp(task)
            train, dev = few_records(task, task_files, folder)
            options = options_for(task, model=str(encoder_folder), train=train, dev=dev, output=folder / "model")
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)
                made[task] = spanbert.finetune(task, **options).output, dev
        return made[task]

    return tuned_


@pytest.fixture
def evaluate(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """A function that runs the verb and gives the status, standard output and standard error."""
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))

    def evaluate_(task: str, *words: str, file: Path | None = None) -> tuple[int, str, str]:
        model, dev = tuned(task)
        report = [] if "--output" in words else ["--output", str(tmp_path / "report.html")]
        status = main(["evaluate", str(model), str(file or dev), *ON, "--samples", "20", *report, *words])
        out, err = capsys.readouterr()
        return status, out, err

    return evaluate_


@pytest.mark.parametrize("task", TASKS)
def test_figures_are_those_of_the_record_and_of_score(
    task: str, tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, dev = tuned(task)
    answers = tmp_path / "new" / "predictions.jsonl"
    status, out, err = evaluate(task, "--json", "--predictions", str(answers), "--output", str(tmp_path / "new.html"))
    assert status == 0
    assert f"report: {tmp_path / 'new.html'}" in err
    found = json.loads(out)
    recorded = json.loads((model / "run.json").read_text())["metrics"]["dev"]
    assert found["examples"] == len(read_records(dev))
    assert {name: figure["value"] for name, figure in found["figures"].items()} == pytest.approx(recorded, nan_ok=True)
    main_figure = found["figures"][spanbert.load(model, golden="skip").task.main_metric]
    assert main_figure["low"] <= main_figure["value"] <= main_figure["high"]
    assert main(["score", task, str(dev), str(answers), "--samples", "20", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)["predictions"][0]
    assert scored["figures"] == found["figures"]
    assert (scored["num_missing"], scored["problems"]) == (0, [])
    page = (tmp_path / "new.html").read_text(encoding="utf-8")
    for heading in ("Figures", "Training", "Worst errors"):
        assert f"<h2>{heading}</h2>" in page


def test_a_table_for_people(evaluate: Callable[..., Any]) -> None:
    status, out, err = evaluate("classification", "--quiet")
    assert status == 0
    assert "macro f1" in out
    assert "95 % interval" in out
    assert err == ""


def test_options_of_the_file_win_over_what_the_model_stores(
    tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path
) -> None:
    _, dev = tuned("classification")
    renamed = [{"review": record["text"], "topic": record["label"]} for record in read_records(dev)]
    file = write_records(tmp_path / "renamed.jsonl.gz", renamed)
    _, out, _ = evaluate("classification", "--json")
    words = ("--json", "--text-column", "review", "--label-column", "topic")
    assert evaluate("classification", *words, file=file)[1] == out


def test_labels_that_the_model_does_not_know_count_as_wrong_and_are_told(
    tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path
) -> None:
    for task, change in {
        "classification": {"label": "astrology"},
        "ner": {"entities": [{"start": 0, "end": 3, "label": "Person"}]},
        "relations": {"relations": [{"head": 0, "tail": 1, "relation": "orbits"}]},
    }.items():
        first, *_ = read_records(tuned(task)[1])
        status, out, err = evaluate(task, "--json", file=write_records(tmp_path / f"{task}.jsonl", [first | change]))
        assert status == 0
        assert f"{task}.jsonl: labels that the model does not know, in 1 of 1 example: they count as wrong" in err
        assert "The first, in line 1: " in err
        assert ("Person (is PERSON meant?)" in err) == (task == "ner")
        figures = json.loads(out)["figures"]
        assert figures["accuracy" if task == "classification" else "f1"]["value"] == 0


@pytest.mark.parametrize(("task", "other"), [(task, other) for task in TASKS for other in TASKS if task != other])
def test_a_file_of_another_task_is_an_error(
    task: str, other: str, tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path
) -> None:
    file = Path(shutil.copy(tuned(other)[1], tmp_path / f"{other}.jsonl"))
    status, out, err = evaluate(task, file=file)
    assert status == 1
    assert out == ""
    assert str(file) in err
    assert "Traceback" not in err
    assert not (tmp_path / "report.html").exists()


def test_bad_records_are_left_out_or_stop_it(tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path) -> None:
    good = read_records(tuned("ner")[1])[:2]
    file = write_records(tmp_path / "some.jsonl", [good[0], {"text": 1}, good[1], {"text": "Who knows?"}])
    status, out, err = evaluate("ner", "--json", file=file)
    assert status == 0
    assert json.loads(out)["examples"] == 2
    assert "line 2" in err
    assert "line 4: that of '4' is not given" in err
    status, _, err = evaluate("ner", "--strict", file=file)
    assert status == 1
    assert "some.jsonl, line 2" in err


def test_what_cannot_be_done_is_said_before_anything_is_computed(
    tuned: Tuned,
    evaluate: Callable[..., Any],
    tmp_path: Path,
    encoder_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, dev = tuned("classification")
    (tmp_path / "file").write_text("")
    for words, message in {
        ("--output", str(tmp_path / "file" / "report.html")): "cannot be written",
        ("--predictions", str(dev)): "is the file of examples",
        ("--output", str(dev)): "is the file of examples",
        ("--output", str(model / "model.safetensors")): "is a file of the model",
        ("--predictions", str(model / "config.json")): "is a file of the model",
        ("--samples", "-1"): "--samples is at least 0",
        ("--seed", "-1"): "--seed is at least 0",
        ("--threads", "0"): "--threads is at least 1",
        ("--predictions", str(tmp_path)): "is a folder",
        ("--predictions", str(tmp_path / "new"), "--output", str(tmp_path / "new")): "is also the report",
    }.items():
        status, out, err = evaluate("classification", *words)
        assert (status, out) == (1, "")
        assert message in err
    status, _, err = evaluate("classification", file=tmp_path / "missing.jsonl")
    assert status == 1
    assert "missing.jsonl" in err
    assert main(["evaluate", str(encoder_folder), str(dev), "--samples", "5"]) == 1
    assert "is not fine-tuned for any task" in (err := capsys.readouterr().err)
    assert f"spanbert finetune TASK --model {encoder_folder}" in err


def test_files_are_written_when_nobody_reads_the_table(
    tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("spanbert.evaluation.evaluate.print_figures", gone)
    status, _, _ = evaluate("classification", "--predictions", str(tmp_path / "predictions.jsonl"))
    assert status == 141
    assert (tmp_path / "report.html").exists()
    assert len(read_records(tmp_path / "predictions.jsonl")) == len(read_records(tuned("classification")[1]))


def test_changed_golden_answers_stop_it_unless_they_are_skipped(
    tuned: Tuned, evaluate: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, dev = tuned("classification")
    copy = shutil.copytree(model, tmp_path / "copy")
    golden = json.loads((copy / "golden.json").read_text())
    golden["examples"][0]["prediction"]["label"] = "other"
    (copy / "golden.json").write_text(json.dumps(golden))
    words = [str(copy), str(dev), *ON, "--samples", "0", "--output", str(tmp_path / "r.html")]
    assert main(["evaluate", *words]) == 1
    assert "--golden skip" in capsys.readouterr().err
    assert main(["evaluate", *words, "--golden", "skip"]) == 0
