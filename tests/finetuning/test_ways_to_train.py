"""What can be chosen about the training itself: what learns, how fast, by which rule, and from which examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_finetuning import FILES, Files, Tune, command, read_records, same_weights, weights_of, write_records

import spanbert
from spanbert.cli import main
from spanbert.errors import InputError
from spanbert.finetuning.config import default_learning_rate
from spanbert.training.record import read_history


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


def test_a_model_may_be_named_by_a_path(tune: Tune, encoder_folder: Path) -> None:
    record = json.loads((tune("ner", model=Path(encoder_folder), steps=1).output / "run.json").read_text())
    assert record["config"]["model"] == str(encoder_folder)


def test_the_default_rate_falls_with_the_width() -> None:
    rates = [default_learning_rate(5e-5, width) for width in (64, 256, 384, 768, 1024)]
    assert rates == pytest.approx([3e-4, 3e-4, 2e-4, 5e-5, 2.8125e-5])
    assert default_learning_rate(1e-3, 64) == default_learning_rate(1e-3, 768) == 1e-3  # a task may want more


def test_a_run_says_its_default_rate_and_a_given_one_counts(tune: Tune, capsys: pytest.CaptureFixture[str]) -> None:
    def used(rate: float) -> tuple[float, str]:
        output = tune("ner", learning_rate=rate, steps=1, warmup=0.0, log_every=1, quiet=False, overwrite=True).output
        record = json.loads((output / "run.json").read_text())
        assert record["config"]["learning_rate"] == rate
        [row] = [row for row in read_history(output / "history.jsonl") if row["set"] == "training"]
        assert f"| {record['learning_rate']:g}, linear" in (output / "README.md").read_text()
        assert row["learning_rate"] in (0.0, record["learning_rate"])
        return record["learning_rate"], capsys.readouterr().err

    rate, said = used(0.0)
    assert rate == 3e-4
    assert "learning rate 0.0003: the default of ner for an encoder " in said
    rate, said = used(2e-3)
    assert rate == 2e-3
    assert "\nlearning rate 0.002\n" in said


def test_some_heads_have_a_default_rate_of_their_own(tune: Tune, capsys: pytest.CaptureFixture[str]) -> None:
    def of_head(task: str, **options: Any) -> tuple[float | None, str]:
        output = tune(task, steps=1, quiet=False, overwrite=True, **options).output
        record = json.loads((output / "run.json").read_text())
        rate = record["head_learning_rate"]
        assert ("(head " in (output / "README.md").read_text()) == (rate is not None)
        return rate, capsys.readouterr().err

    rate, said = of_head("ner", head="span")
    assert rate == 5e-3
    assert "\nlearning rate 0.003; of the head 0.005: its default (see --head-learning-rate)\n" in said
    rate, said = of_head("ner", head="span", head_learning_rate=1e-3, learning_rate=0.0)
    assert rate == 1e-3
    assert "(see --learning-rate); of the head 0.001\n" in said
    rate, said = of_head("coreference", freeze_layers=-1)
    assert rate == 5e-4
    assert "\nlearning rate of the head 0.0005; the encoder is frozen\n" in said
    rate, said = of_head("ner", head="linear")
    assert rate is None
    assert "of the head" not in said


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
