"""What `spanbert finetune` refuses, and in which words; nothing is written then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_finetuning import Files, Tune, read_records, write_records

import spanbert
from spanbert.errors import CheckpointError, ConfigurationError, InputError


def test_labels_of_dev_that_training_lacks_count_as_wrong_and_are_an_error_with_strict(
    tune: Tune, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task, change in {
        "classification": {"label": "astrology"},
        "ner": {"entities": [{"start": 0, "end": 3, "label": "PLANET"}]},
        "relations": {"relations": [{"head": 0, "tail": 1, "relation": "orbits"}]},
    }.items():
        records = read_records(files(task)[1])
        dev = write_records(tmp_path / f"{task}.jsonl", [records[0], records[1] | change])
        with pytest.raises(InputError, match=rf"{task}.jsonl, line 2: unknown label.*(astrology|PLANET|orbits)"):
            tune(task, dev=dev, strict=True)
        assert not (tmp_path / task).exists()
        metrics = tune(task, dev=dev, steps=1, quiet=False, output=tmp_path / task).metrics
        assert f"{task}.jsonl, line 2: " in (err := capsys.readouterr().err)
        assert "counts as wrong" in err
        assert metrics["accuracy" if task == "classification" else "f1"] < 100


def test_a_dev_set_that_tells_nothing_is_named(
    tune: Tune, files: Files, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    train = files("ner")[0]
    records = [{**record, "id": f"other {number}"} for number, record in enumerate(read_records(train))]
    for dev in (train, write_records(tmp_path / "copy.jsonl", records)):
        tune("ner", dev=dev, steps=1, quiet=False, output=tmp_path / dev.stem)
        err = capsys.readouterr().err
        assert f"warning: 48 of 48 examples of {dev} are in {train} too" in err
        assert "1 step, " in err
    planet = {"entities": [{"start": 0, "end": 3, "label": "PLANET"}]}
    dev = write_records(tmp_path / "planets.jsonl", [record | planet for record in read_records(files("ner")[1])[:2]])
    tune("ner", dev=dev, quiet=False, steps=1)
    err = capsys.readouterr().err
    assert "warning: f1 is 0 on the dev set" in err
    assert " too: " not in err


def test_a_dev_set_without_the_figure_that_chooses_is_refused_before_the_first_step(
    tune: Tune, files: Files, tmp_path: Path
) -> None:
    question = {"pronoun": [0, 2], "a": [3, 6], "b": [7, 10], "is_a": True, "is_b": False}
    record = {"id": "1", "text": "He Ada Bob", "clusters": [[[0, 2], [3, 6]]], "pronoun": question}
    dev = write_records(tmp_path / "gap.jsonl", [record])
    with pytest.raises(
        ConfigurationError, match=r"the dev set gives no conll_f1, .* only gap_f1.*--dev data of the kind"
    ):
        tune("coreference", dev=dev, steps=1, output=tmp_path / "out")
    assert not (tmp_path / "out" / "history.jsonl").exists()


def test_labels_that_dev_lacks_are_no_problem(tune: Tune, files: Files, tmp_path: Path) -> None:
    records = read_records(files("classification")[0])
    dev = write_records(tmp_path / "dev.jsonl", [one for one in records if one["label"] == records[0]["label"]])
    assert 0 <= tune(dev=dev, steps=1).metrics["accuracy"] <= 100


def test_a_bad_record_is_left_out_and_counted_or_an_error(
    tune: Tune, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = tmp_path / "train.jsonl"
    train.write_text(files("classification")[0].read_text(encoding="utf-8") + '{"text": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"train.jsonl, line 49: .*1 record would be left out"):
        tune(train=train, strict=True)
    record = json.loads((tune(train=train, steps=1, quiet=False).output / "run.json").read_text())
    assert record["examples"]["train"] == 48
    assert "1 record (1 left out)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "there is nothing in the file"),
        ('{"text": "one", "label": "a"}\n{"text": "two", "label": "a"}\n', "the label 'a'"),
        (None, "there is no such file|No such file"),
        ('{"text": "one", "label": "a"}\n{"text": "one", "label": "b"}\n', r"cannot be split.*--dev"),
    ],
    ids=["empty", "one label", "missing", "one text"],
)
def test_files_that_teach_nothing(content: str | None, message: str, tune: Tune, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    if content is not None:
        train.write_text(content)
    with pytest.raises(InputError, match=message):
        tune(train=train, dev=None)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": "-"}, ConfigurationError, "--train -: .*needs a file"),
        ({"max_length": 4096}, ConfigurationError, "--max-length 4096: the model's position table has 128"),
        ({"model": "no-such-model"}, CheckpointError, "no-such-model"),
        ({"freeze_layers": 3}, ConfigurationError, "the encoder has 2 layers"),
        ({"lora_rank": 2, "freeze_layers": 1}, ConfigurationError, "--lora-rank"),
        ({"head_learning_rate": -1.0}, ConfigurationError, "--head-learning-rate"),
        ({"lora_rank": 2, "lora_alpha": 0.0}, ConfigurationError, "--lora-alpha"),
        ({"layer_decay": 0.0}, ConfigurationError, "--layer-decay"),
        ({"dropout": 1.0}, ConfigurationError, "--dropout"),
        ({"patience": -1}, ConfigurationError, "--patience"),
        ({"seeds": 0}, ConfigurationError, "--seeds"),
        ({"dev_share": 1.0}, ConfigurationError, "--dev-share"),
        ({"learning_rat": 1.0}, ConfigurationError, "did you mean 'learning_rate'"),
        ({"learning_rate": "3e-4"}, ConfigurationError, "learning_rate cannot be '3e-4', a value of type str"),
        ({"steps": True}, ConfigurationError, "steps cannot be True, a value of type bool"),
        ({"stride": 63}, ConfigurationError, "--stride"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_options_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], message: str, tune: Tune, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        tune(**options)
    assert not (tmp_path / "model").exists()
    with pytest.raises(ConfigurationError, match="did you mean 'classification'"):
        spanbert.finetune("classificatoin", model="m", train="t", output="o")
