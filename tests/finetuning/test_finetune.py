"""`spanbert finetune` from files to a folder that answers, for every task."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_finetuning import (
    TASKS,
    command,
    few_records,
    no_picture,
    options_for,
    read_records,
    same_weights,
    weights_of,
    write_records,
)
from torch import Tensor

import spanbert
from spanbert.cli import main
from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.evaluation.tables import format_figure
from spanbert.finetuning.validation import TaskValidation
from spanbert.training.record import read_history

FILES = {
    "README.md", "config.json", "curves.png", "golden.json", "history.jsonl", "model.safetensors", "run.json",
    "tokenizer.json", "tokenizer_config.json", "vocab.txt",
}  # fmt: skip

Files = Callable[[str], tuple[Path, Path]]
Tune = Callable[..., spanbert.FinetunedModel]


@pytest.fixture(scope="module")
def files(task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A function that gives train and dev file of a task, a few records each."""
    made: dict[str, tuple[Path, Path]] = {}

    def files_(task: str) -> tuple[Path, Path]:
        if task not in made:
            made[task] = few_records(task, task_files, tmp_path_factory.mktemp("data"))
        return made[task]

    return files_


@pytest.fixture(scope="module")
def tuned(encoder_folder: Path, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function that gives the folder of a model that the command line has fine-tuned for a task."""
    folders: dict[str, Path] = {}

    def tuned_(task: str) -> Path:
        if task not in folders:
            output = tmp_path_factory.mktemp("tuned") / task
            train, dev = files(task)
            assert main(command(task, model=encoder_folder, train=train, dev=dev, output=output)) == 0
            folders[task] = output
        return folders[task]

    return tuned_


@pytest.fixture
def tune(encoder_folder: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tune:
    """A function that fine-tunes in Python; keywords override."""
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)

    def tune_(task: str = "classification", **options: Any) -> spanbert.FinetunedModel:
        train, dev = files(task)
        given = {"model": str(encoder_folder), "train": train, "dev": dev, "output": tmp_path / "model", **options}
        return spanbert.finetune(task, **options_for(task, **given))

    return tune_


# From files to answers


@pytest.mark.parametrize("task", TASKS)
def test_the_folder_is_a_model_with_its_record(task: str, tuned: Callable[[str], Path], files: Files) -> None:
    folder = tuned(task)
    train, dev = files(task)
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((folder / "run.json").read_text())
    assert (record["verb"], record["status"], record["task"]) == ("finetune", "finished", task)
    assert record["versions"]["torch"] == torch.__version__
    assert record["files"].keys() == {str(train), str(dev)}
    assert record["command"]
    rows = read_history(folder / "history.jsonl")
    assert {row["set"] for row in rows} == {"training", "dev"}
    metrics = record["metrics"]["dev"]
    model = spanbert.load(folder, device="cpu", precision="fp32", golden="skip")
    assert model.task.name == task
    assert model.task.main_metric in metrics
    card = (folder / "README.md").read_text()
    assert f"| {format_figure(model.task.main_metric, metrics[model.task.main_metric])} |" in card
    assert str(dev) in card
    assert "| steps | 6 |" in card
    assert all(card.count(f"| {label} |") == 1 for name in metrics for label in name.split("/")[1:])
    golden = json.loads((folder / "golden.json").read_text())
    assert [entry["input"]["id"] for entry in golden["examples"]] == [one.id for one in model.task.golden_examples()]


@pytest.mark.parametrize("task", TASKS)
def test_it_answers_and_its_answers_are_those_of_the_record(
    task: str, tuned: Callable[[str], Path], files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path))
    _, dev = files(task)
    model = spanbert.load(tuned(task), device="cpu", precision="fp32")  # golden answers are checked
    records = read_records(dev)
    predictions = model.predict(records)
    gold = [model.task.example(record) for record in records]
    figures = model.task.compare(gold, predictions, model.settings).figures()
    assert figures == pytest.approx(json.loads((tuned(task) / "run.json").read_text())["metrics"]["dev"], nan_ok=True)
    output = tmp_path / "answers.jsonl"
    options = ["--device", "cpu", "--precision", "fp32", "--quiet", "--output", str(output)]
    assert main(["predict", str(tuned(task)), str(dev), *options]) == 0
    answers = [model.task.prediction(answer) for answer in read_records(output)]
    assert answers == predictions


SHORT = "Nermin knows Sevgi."
SHORT_RECORDS: dict[str, dict[str, Any]] = {
    "question-answering": {"question": "Who knows Sevgi?", "context": SHORT},
    "ner": {"text": SHORT},
    "relations": {
        "text": SHORT,
        "head": {"start": 0, "end": 6, "type": "PERSON"},
        "tail": {"start": 13, "end": 18, "type": "PERSON"},
    },
    "classification": {"text": SHORT},
}
TRANSFORMERS_CLASS = {"question-answering": "BertForQuestionAnswering", "ner": "BertForTokenClassification"}


@pytest.mark.parametrize("task", TASKS)
def test_transformers_opens_the_folder_with_the_same_scores(task: str, tuned: Callable[[str], Path]) -> None:
    model = spanbert.load(tuned(task), device="cpu", precision="fp32", golden="skip")
    their_class = getattr(transformers, TRANSFORMERS_CLASS.get(task, "BertForSequenceClassification"))
    theirs, info = their_class.from_pretrained(tuned(task), output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert len(transformers.AutoTokenizer.from_pretrained(tuned(task))) == model.predictor.tokenizer.vocab_size
    [scored] = model.predictor.score([model.task.example({"id": "short", **SHORT_RECORDS[task]})])
    window, scores = scored.windows[0], scored.scores[0]
    segments = np.zeros_like(window.pieces) if window.segments is None else window.segments
    with torch.inference_mode():
        logits = theirs(
            torch.from_numpy(window.pieces)[None].long(), token_type_ids=torch.from_numpy(segments)[None].long()
        )
    if task == "question-answering":
        expected = {"start": logits.start_logits[0], "end": logits.end_logits[0]}
    elif task == "ner":
        expected = {"tags": logits.logits[0][torch.from_numpy(window.positions["words"]).long()]}
    else:
        expected = {"relations" if task == "relations" else "labels": logits.logits}
    assert scores.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(scores[name], values.numpy(), atol=1e-5)


# Which weights are kept, and when it ends


class Scripted:
    """A validation whose figures are written down beforehand; it keeps the weights it saw."""

    def __init__(self, values: list[float]) -> None:
        self.values = values
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model: Any, accelerator: Any) -> dict[str, float]:
        self.seen.append({name: value.detach().clone() for name, value in model.state_dict().items()})
        return {"accuracy": self.values[len(self.seen) - 1]}


def test_the_best_weights_are_kept_and_patience_ends_the_run(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted([10.0, 30.0, 20.0, 30.0, 90.0])
    monkeypatch.setattr(TaskValidation, "__call__", scripted.__call__)
    result = tune(steps=5, validate_every=1, patience=2)
    assert len(scripted.seen) == 4
    saved = weights_of(result.output)
    assert all(torch.equal(saved[name], value) for name, value in scripted.seen[1].items())
    assert not all(torch.equal(saved[name], value) for name, value in scripted.seen[3].items())


def test_validation_comes_after_each_epoch_unless_said_otherwise(tune: Tune) -> None:
    result = tune(steps=None, epochs=2, batch_size=10)  # 48 texts: 5 steps an epoch
    rows = read_history(result.output / "history.jsonl")
    assert [row["step"] for row in rows if row["set"] == "dev"] == [5, 10]


def test_seeds_are_spread_and_the_best_is_kept(
    tune: Tune, encoder_folder: Path, files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, dev = files("classification")
    output = tmp_path / "seeds"
    options = {"model": encoder_folder, "train": train, "dev": dev, "output": output, "seeds": 2, "seed": 7, "steps": 4}
    assert main(command("classification", **options)) == 0
    printed = capsys.readouterr().out
    assert "over 2 seeds: mean, standard deviation, and each" in printed
    assert "/companies" not in printed
    record = json.loads((output / "run.json").read_text())
    assert record["status"] == "finished"
    assert record["seeds"].keys() == {"7", "8"}
    accuracies = {seed: figures["accuracy"] for seed, figures in record["seeds"].items()}
    best = max(accuracies, key=lambda seed: accuracies[seed])
    assert record["metrics"]["dev"]["accuracy"] == accuracies[best]
    assert same_weights(output, output / f"seed-{best}")
    assert not same_weights(output / "seed-7", output / "seed-8")
    assert {path.name for path in output.iterdir()} == {*FILES, "seed-7", "seed-8"}
    for seed in ("7", "8"):
        assert {path.name for path in (output / f"seed-{seed}").iterdir()} == FILES
        assert f"{accuracies[seed]:.2f} (seed {seed})" in (output / "README.md").read_text()
    spanbert.load(output, device="cpu", precision="fp32")
    # One of them alone is the same model; going on leaves finished seeds as they are and makes up for what is missing.
    alone = tune(seed=8, steps=4)
    assert same_weights(alone.output, output / "seed-8")
    (output / "run.json").write_text(json.dumps(record | {"status": "running"}))
    before = (output / "seed-7" / "model.safetensors").stat().st_mtime_ns
    for path in (output / "seed-8").iterdir():
        path.unlink()
    result = tune(output=output, seeds=2, seed=7, steps=4, resume=True)
    assert {str(seed): figures["accuracy"] for seed, figures in result.seeds.items()} == accuracies
    assert (output / "seed-7" / "model.safetensors").stat().st_mtime_ns == before
    assert same_weights(alone.output, output / "seed-8")


# Ways to train


def test_freezing_and_rates_of_layers(tune: Tune, encoder_folder: Path) -> None:
    encoder = weights_of(encoder_folder)

    def change(result: spanbert.FinetunedModel) -> dict[str, float]:
        return {
            name: float((value - encoder[name]).abs().max())
            for name, value in weights_of(result.output).items()
            if name in encoder and "pooler" not in name
        }

    frozen = change(tune(freeze_layers=-1, steps=3))
    assert not any(frozen.values())
    head_only = tune(learning_rate=1e-12, head_learning_rate=1e-2, overwrite=True, weight_decay=0.0, steps=3)
    assert max(change(head_only).values()) < 1e-9
    head = weights_of(head_only.output)["classifier.weight"]
    assert float(head.abs().max()) > 0.02
    decayed = change(tune(layer_decay=1e-3, overwrite=True, weight_decay=0.0, steps=3))
    by_layer = [max(value for name, value in decayed.items() if f"layer.{layer}." in name) for layer in (0, 1)]
    assert 0 < by_layer[0] < by_layer[1] / 100


@pytest.mark.parametrize("task", ["classification", "relations"])
def test_lora(task: str, tune: Tune, encoder_folder: Path) -> None:
    pytest.importorskip("peft")
    output = tune(task, lora_rank=4, learning_rate=1e-2, steps=4).output
    assert {path.name for path in output.iterdir()} == {*FILES, "adapter"}
    assert (output / "adapter" / "adapter_model.safetensors").exists()
    before, after = weights_of(encoder_folder), weights_of(output)
    same_shape = [name for name in after.keys() & before.keys() if after[name].shape == before[name].shape]
    changed = {name for name in same_shape if not torch.equal(after[name], before[name])}
    assert {name.split(".")[-2] for name in changed if "pooler" not in name} == {"query", "value"}
    spanbert.load(output, device="cpu", precision="fp32")


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adam", "schedule": "cosine", "tracker": "tensorboard"},
        {"optimizer": "rmsprop", "schedule": "polynomial", "schedule_power": 2.0},
        {"optimizer": "adafactor", "schedule": "step", "schedule_step_size": 1},
    ],
    ids=lambda options: options["optimizer"],
)
def test_optimisers_and_schedules_by_their_names(
    options: dict[str, Any], encoder_folder: Path, files: Files, tmp_path: Path
) -> None:
    train, dev = files("ner")
    paths = {"model": encoder_folder, "train": train, "dev": dev, "output": tmp_path / "model"}
    assert main(command("ner", **paths, **options, steps=3, log_every=1, warmup=0.0)) == 0
    rows = [row for row in read_history(tmp_path / "model" / "history.jsonl") if row["set"] == "training"]
    assert rows[0]["learning_rate"] > rows[-1]["learning_rate"]
    assert rows[-1]["tags_loss"] < rows[0]["tags_loss"]
    assert json.loads((tmp_path / "model" / "run.json").read_text())["config"]["optimizer"] == options["optimizer"]


def test_rare_labels_can_weigh_more(tune: Tune, files: Files, tmp_path: Path) -> None:
    records = enumerate(read_records(files("classification")[0]))
    labelled = [record | {"label": "common" if number % 6 else "rare"} for number, record in records]
    train = write_records(tmp_path / "rare.jsonl", labelled)
    model = spanbert.load(tune(train=train, dev=train, class_weights="balanced", steps=2).output, device="cpu")
    assert model.settings.label_weights == pytest.approx((0.6, 3.0))
    plain = tune(train=train, dev=train, output=tmp_path / "plain", steps=2)
    assert not same_weights(plain.output, tmp_path / "model")


def test_numbers_and_several_labels(tune: Tune, tmp_path: Path) -> None:
    rows = [(f"{'very ' * (number % 4)}good ship {number}", number % 4) for number in range(24)]
    table = "text,score\n" + "".join(f'"{text}",{value}\n' for text, value in rows)
    (tmp_path / "scores.csv").write_text(table)
    numbers = {"kind": "regression", "label_column": "score", "dev_share": 0.25, "dev": None}
    result = tune(train=tmp_path / "scores.csv", **numbers, output=tmp_path / "numbers")
    assert "pearson" in result.metrics
    prediction = spanbert.load(result.output, device="cpu", precision="fp32").predict("very very good ship")
    assert isinstance(prediction.label, float)
    lines = [{"text": text, "label": ["ship", *["very"] * (value > 1)]} for text, value in rows]
    result = tune(train=write_records(tmp_path / "labels.jsonl", lines), dev=None, dev_share=0.25)
    assert "micro_f1" in result.metrics
    model = spanbert.load(result.output, device="cpu", precision="fp32")
    assert len(model.settings.thresholds) == 2
    assert set(model.predict("very very good ship").label) <= {"ship", "very"}


def test_a_compressed_file_teaches_the_same(tune: Tune, files: Files, tmp_path: Path) -> None:
    train, _ = files("classification")
    packed = write_records(tmp_path / "train.jsonl.gz", read_records(train))
    plain = tune(steps=1, output=tmp_path / "plain")
    assert same_weights(tune(steps=1, train=packed).output, plain.output)


def test_golden_inputs_of_the_user(tune: Tune, tmp_path: Path) -> None:
    golden = write_records(tmp_path / "golden.jsonl", [{"id": "mine", "text": "A ferry waits."}])
    output = tune(golden=golden, steps=1).output
    assert [entry["input"]["id"] for entry in json.loads((output / "golden.json").read_text())["examples"]] == ["mine"]
    golden.write_text("{}\n")
    with pytest.raises(InputError, match=r"golden.jsonl, line 1.*text"):
        tune(golden=golden, output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


# What is refused


def test_labels_of_dev_that_training_lacks_are_named_with_their_line(tune: Tune, files: Files, tmp_path: Path) -> None:
    for task, change in {
        "classification": {"label": "astrology"},
        "ner": {"entities": [{"start": 0, "end": 3, "label": "PLANET"}]},
        "relations": {"relations": [{"head": 0, "tail": 1, "relation": "orbits"}]},
    }.items():
        records = read_records(files(task)[1])
        dev = write_records(tmp_path / f"{task}.jsonl", [records[0], records[1] | change])
        with pytest.raises(InputError, match=rf"{task}.jsonl, line 2: unknown label.*(astrology|PLANET|orbits)"):
            tune(task, dev=dev)
    assert not (tmp_path / "model").exists()


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
        ('{"text": "one", "label": "a"}\n{"text": "two", "label": "a"}\n', "every example has the label 'a'"),
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
        ({"layer_decay": 0.0}, ConfigurationError, "--layer-decay"),
        ({"dropout": 1.0}, ConfigurationError, "--dropout"),
        ({"patience": -1}, ConfigurationError, "--patience"),
        ({"seeds": 0}, ConfigurationError, "--seeds"),
        ({"dev_share": 1.0}, ConfigurationError, "--dev-share"),
        ({"learning_rat": 1.0}, ConfigurationError, "did you mean 'learning_rate'"),
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
