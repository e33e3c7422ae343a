"""Fine-tuning that is interrupted, repeated, or spread over processes: nothing is lost, mixed or done twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_finetuning import command, few_records, no_picture, options_for, same_weights, weights_of

import spanbert
from spanbert.cli import main
from spanbert.durable_files import lock_file
from spanbert.errors import CheckpointError, ConfigurationError, TrainingError
from spanbert.finetuning import finetune as finetune_module
from spanbert.finetuning.data import FinetuneData
from spanbert.training.record import read_history

TASK = "classification"


@pytest.fixture(scope="module")
def options(
    encoder_folder: Path, task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """Of a run of eight steps with dropout, early validation and checkpoints."""
    train, dev = few_records(TASK, task_files, tmp_path_factory.mktemp("data"))
    own = {"steps": 8, "validate_every": 2, "save_every": 3, "log_every": 2, "micro_batch_pieces": 500}
    return {**options_for(TASK), **own, "model": str(encoder_folder), "train": train, "dev": dev}


@pytest.fixture(scope="module", autouse=True)
def no_pictures() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)
        yield


@pytest.fixture(scope="module")
def finished(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    return spanbert.finetune(TASK, **options, output=tmp_path_factory.mktemp("finished") / "model").output


def terminate_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    original = FinetuneData.micro_batches

    def terminating(self: FinetuneData, number: int, rank: int, num_ranks: int) -> Any:
        if number == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, number, rank, num_ranks)

    monkeypatch.setattr(FinetuneData, "micro_batches", terminating)


def record_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_text()))


def curve(folder: Path) -> list[dict[str, Any]]:
    rows = read_history(folder / "history.jsonl")
    return [{key: value for key, value in row.items() if key != "pieces_per_second"} for row in rows]


def test_sigterm_saves_stops_and_resumes_to_the_same_model(
    options: dict[str, Any], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model"
    with monkeypatch.context() as patch:
        terminate_at(4, patch)
        assert main(command(TASK, **options, output=output)) == 128 + signal.SIGTERM
    assert record_of(output)["status"] == "interrupted"
    assert not (output / "model.safetensors").exists()
    with pytest.raises(CheckpointError, match=r"no model yet: finish it with `spanbert finetune \.\.\. --resume`"):
        spanbert.load(output)
    with pytest.raises(ConfigurationError, match=r"--resume.*--overwrite"):
        spanbert.finetune(TASK, **options, output=output)
    with pytest.raises(ConfigurationError, match=r"other options \(learning_rate: was 0.003, now 0.1\):"):
        spanbert.finetune(TASK, **options | {"learning_rate": 0.1}, output=output, resume=True)
    with pytest.raises(ConfigurationError, match=r"other options \(settings: stride: was 16, now 8\):"):
        spanbert.finetune(TASK, **options | {"stride": 8}, output=output, resume=True)
    assert main(command(TASK, **options, output=output, resume=True)) == 0
    assert same_weights(output, finished)
    assert curve(output) == curve(finished)
    record = record_of(output)
    assert record["status"] == "finished"
    assert len(record["resumed"]) == 1
    assert record["metrics"] == record_of(finished)["metrics"]
    assert not (output / "checkpoints").exists()


def test_a_finished_run_is_not_done_again_and_not_with_other_options(
    options: dict[str, Any], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}

    def untouchable(*_: object) -> None:
        raise AssertionError("there is nothing to train")

    monkeypatch.setattr(finetune_module, "FinetuneRun", untouchable)
    result = spanbert.finetune(TASK, **options, output=finished, resume=True)
    assert result.metrics == record_of(finished)["metrics"]["dev"]
    for other in ({"steps": 9}, {"windows": "max"}, {"seeds": 2}):
        with pytest.raises(ConfigurationError, match=rf"finished.*other options \(.*{next(iter(other))}"):
            spanbert.finetune(TASK, **options | other, output=finished, resume=True)
    changed = shutil.copy(options["train"], tmp_path / "train.jsonl")
    with Path(changed).open("a") as file:
        file.write('{"text": "one more", "label": "companies"}\n')
    with pytest.raises(ConfigurationError, match=r"other options \(train: was .*, now .*\):"):
        spanbert.finetune(TASK, **options | {"train": changed}, output=finished, resume=True)
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_killed_after_the_last_step_only_the_end_is_done_again(
    options: dict[str, Any], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model"

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(finetune_module, "save_task_model", full)
        with pytest.raises(TrainingError, match=r"No space left on device; make room and go on with --resume"):
            spanbert.finetune(TASK, **options, output=output)
    assert record_of(output)["status"] != "finished"
    terminate_at(7, monkeypatch)  # no step is taken
    assert spanbert.finetune(TASK, **options, output=output, resume=True).stopped_by == 0
    assert same_weights(output, finished)


def test_interrupted_seeds_go_on(
    options: dict[str, Any], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model"
    with monkeypatch.context() as patch:
        terminate_at(4, patch)
        assert main(command(TASK, **options, output=output, seeds=2)) == 128 + signal.SIGTERM
    assert record_of(output)["status"] == record_of(output / "seed-0")["status"] == "interrupted"
    result = spanbert.finetune(TASK, **options, output=output, seeds=2, resume=True)
    assert same_weights(output / "seed-0", finished)
    assert result.metrics["accuracy"] == max(figures["accuracy"] for figures in result.seeds.values())


def test_an_earlier_run_is_only_overwritten_when_asked_and_by_one_that_can_start(
    options: dict[str, Any], tmp_path: Path
) -> None:
    output = tmp_path / "model"
    short = options | {"steps": 1}
    spanbert.finetune(TASK, **short, output=output, seeds=2)
    before = weights_of(output)
    with pytest.raises(ConfigurationError, match=r"already holds a run: .*--resume.*--overwrite"):
        spanbert.finetune(TASK, **short, output=output)
    for wrong in ({"model": "no-such-model"}, {"max_length": 4096}, {"freeze_layers": 9}):
        with pytest.raises((CheckpointError, ConfigurationError)):
            spanbert.finetune(TASK, **short | wrong, output=output, overwrite=True)
    assert weights_of(output).keys() == before.keys()
    spanbert.finetune(TASK, **short | {"learning_rate": 0.1}, output=output, overwrite=True)
    assert not list(output.glob("seed-*"))
    assert not all(torch.equal(value, before[name]) for name, value in weights_of(output).items())


def test_what_a_run_reads_and_what_is_not_ours_is_never_overwritten(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    train = shutil.copy(options["train"], folder / "train.jsonl")
    for extra in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ConfigurationError, match=r"holds .*train.jsonl, which this run reads"):
            spanbert.finetune(TASK, **options | {"train": train}, output=folder, **extra)
        with pytest.raises(ConfigurationError, match=r"holds .*encoder, which this run reads"):
            spanbert.finetune(TASK, **options, output=options["model"], **extra)
        with pytest.raises(ConfigurationError, match="is not empty and holds no run of ours"):
            spanbert.finetune(TASK, **options, output=folder, **extra)
    assert [path.name for path in folder.iterdir()] == ["train.jsonl"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_two_runs_in_one_folder_are_refused(seeds: int, options: dict[str, Any], tmp_path: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()
    with (output / ".lock").open("a") as lock:
        assert lock_file(lock)
        with pytest.raises(ConfigurationError, match="another run is writing"):
            spanbert.finetune(TASK, **options, output=output, seeds=seeds)
    assert [path.name for path in output.iterdir()] == [".lock"]


def test_two_processes_give_the_model_of_one_and_write_it_once(options: dict[str, Any], tmp_path: Path) -> None:
    same = {**options, "dropout": 0.0, "attention_dropout": 0.0, "steps": 4, "windows": "attention", "quiet": False}
    same["adam_epsilon"] = 1e-5  # else Adam blows the rounding of the smallest gradients up to whole steps
    one = spanbert.finetune(TASK, **same, output=tmp_path / "one").output
    two = tmp_path / "two"
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone", "-m", "spanbert"]
    words = [*launch, *command(TASK, **same, output=two)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert record_of(two)["machine"]["processes"] == 2
    first, second = weights_of(one), weights_of(two)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=0, atol=1e-5)
    assert record_of(two)["metrics"]["dev"] == pytest.approx(record_of(one)["metrics"]["dev"], abs=1e-3)
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
    assert done.stdout.count("dev: accuracy") == 1
    assert done.stderr.count("validating on") == 1
