"""`spanbert finetune` from files to a folder that answers, for every task."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_finetuning import FILES, TASKS, Files, Tune, command, read_records, same_weights, weights_of
from torch import Tensor

import spanbert
from spanbert.cli import main
from spanbert.evaluation.tables import format_figure
from spanbert.finetuning.training import FinetuneRun
from spanbert.finetuning.validation import TaskValidation
from spanbert.prediction_stream import rounded
from spanbert.task_model import TaskModel
from spanbert.training.record import read_history


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
    assert repr(model).startswith(f"<SpanBertPredictor for {task}")
    assert all(label in repr(model) for label in model.labels)
    records = read_records(dev)
    predictions = model.predict(records)
    gold = [model.task.example(record) for record in records]
    figures = model.task.compare(gold, predictions, model.settings).figures()
    assert figures == pytest.approx(json.loads((tuned(task) / "run.json").read_text())["metrics"]["dev"], nan_ok=True)
    output = tmp_path / "answers.jsonl"
    options = ["--device", "cpu", "--precision", "fp32", "--quiet", "--output", str(output)]
    assert main(["predict", str(tuned(task)), str(dev), *options]) == 0
    answers = [model.task.prediction(answer) for answer in read_records(output)]
    assert answers == [model.task.prediction(rounded(prediction.to_json())) for prediction in predictions]


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


def test_one_model_at_a_time_is_in_memory(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[weakref.ref[TaskModel]] = []

    class Watched(FinetuneRun):
        def __init__(self, *arguments: Any) -> None:
            assert not any(model() for model in models)
            super().__init__(*arguments)
            models.append(weakref.ref(self.model))

    monkeypatch.setattr("spanbert.finetuning.finetune.FinetuneRun", Watched)
    tune(seeds=2, steps=1)
    assert len(models) == 3  # the first one only shows that the options make sense
