"""The best weights are found, survive interruption, and end a run in time."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_run import make_trainer, same, weights
from torch import nn

from spanbert.errors import CheckpointError, ConfigurationError, TrainingError
from spanbert.training import best as best_module
from spanbert.training.best import BestWeights, load_weights
from spanbert.training.contract import Selection

VALUES = {1: 0.1, 2: 0.5, 3: 0.4, 4: math.nan, 5: 0.6, 6: 0.6, 7: 0.2, 8: 0.3}


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    trainer, scripted = make_trainer(tmp_path, VALUES)
    assert trainer.run() == 0
    assert trainer.best is not None
    assert (trainer.best.step, trainer.best.value) == (5, 0.6)
    assert not same(weights(trainer), scripted.seen[5])
    trainer.load_best()
    assert same(weights(trainer), scripted.seen[5])
    model = trainer.accelerator.unwrap_model(trainer.model)
    assert model.second.weight is model.first.weight


def test_without_a_number_nothing_is_best(tmp_path: Path) -> None:
    trainer, scripted = make_trainer(tmp_path, dict.fromkeys(range(1, 9), math.nan))
    trainer.run()
    trainer.load_best()
    assert trainer.best is None
    assert same(weights(trainer), scripted.seen[8])
    assert not (tmp_path / "checkpoints" / "best.safetensors").exists()


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (3, 8), (0, 8)])
def test_training_stops_when_patience_ends(tmp_path: Path, patience: int, last: int) -> None:
    trainer, scripted = make_trainer(tmp_path, VALUES, patience=patience)
    assert trainer.run() == 0
    assert trainer.step == last
    assert list(scripted.seen) == list(range(1, last + 1))
    assert (tmp_path / "checkpoints" / f"step-{last:08d}").is_dir()


@pytest.mark.parametrize("interrupted_at", [2, 4, 5, 7])
def test_a_killed_run_goes_on_to_choose_and_stop_the_same(tmp_path: Path, interrupted_at: int) -> None:
    values = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.7, 5: 0.6, 6: math.nan, 7: 0.2, 8: 0.9}
    options: dict[str, Any] = {"patience": 3, "save_every": 3}
    whole, _ = make_trainer(tmp_path / "whole", values, **options)
    whole.run()
    first, scripted = make_trainer(tmp_path / "cut", values, **options)

    def dying(model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        if first.step == interrupted_at:
            raise KeyboardInterrupt
        return scripted(model, accelerator)

    first.plan = replace(first.plan, validation={"dev": dying})
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second, _ = make_trainer(tmp_path / "cut", values, resume=True, **options)
    second.restore()
    second.run()
    assert second.step == whole.step == 7
    assert second.best is not None
    assert whole.best is not None
    assert (second.best.step, second.best.value) == (whole.best.step, whole.best.value) == (4, 0.7)
    assert same(weights(second), weights(whole))
    assert same(load_file(second.best.path), load_file(whole.best.path))


def test_a_checkpoint_brings_back_the_best_of_its_own_time(tmp_path: Path) -> None:
    first, scripted = make_trainer(tmp_path, VALUES, save_every=4, keep_checkpoints=2)
    first.run()
    (tmp_path / "checkpoints" / "step-00000008" / "checkpoint.json").write_text("{")  # the better one is damaged
    second, _ = make_trainer(tmp_path, VALUES, save_every=4, resume=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spanbert.training.loop.warn", lambda message: None)
        second.restore()
    assert second.step == 4
    assert second.best is not None
    assert second.best.step == 2
    second.load_best()
    assert same(weights(second), scripted.seen[2])


def test_resuming_leaves_no_second_name_of_the_best_weights(tmp_path: Path) -> None:
    first, _ = make_trainer(tmp_path, VALUES, steps=2)
    first.run()
    second, _ = make_trainer(tmp_path, VALUES, steps=2, resume=True)
    second.restore()
    # A writer that opens that name would write into the checkpoint's own best weights.
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir() if path.is_file()) == ["best.safetensors"]


def test_resuming_a_run_that_stopped_early_does_nothing(tmp_path: Path) -> None:
    first, _ = make_trainer(tmp_path, VALUES, patience=2)
    first.run()
    second, scripted = make_trainer(tmp_path, VALUES, patience=2, resume=True)
    second.restore()
    assert second.run() == 0
    assert (second.step, scripted.seen) == (4, {})
    assert same(weights(second), weights(first))


def test_disks_without_links_get_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(source: Path, target: Path) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    first, scripted = make_trainer(tmp_path, VALUES, steps=4)
    first.run()
    second, _ = make_trainer(tmp_path, VALUES, steps=4, resume=True)
    second.restore()
    second.load_best()
    assert same(weights(second), scripted.seen[2])


def test_weights_that_cannot_be_written_leave_the_earlier_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, scripted = make_trainer(tmp_path, VALUES, steps=4)
    trainer.run()
    assert trainer.best is not None

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(best_module, "save_file", full)
    with pytest.raises(TrainingError, match=r"step 4, cannot be written.*--resume"):
        trainer._choose({"f1": 0.9})
    load_weights(trainer.accelerator.unwrap_model(trainer.model), trainer.best.path)
    assert same(weights(trainer), scripted.seen[2])


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    trainer, _ = make_trainer(tmp_path, VALUES, steps=2)
    trainer.run()
    assert trainer.best is not None
    with pytest.raises(CheckpointError, match="another model"):
        load_weights(nn.Linear(3, 1), trainer.best.path)
    trainer.best.path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trainer.load_best()


def test_a_selection_needs_its_set_and_its_metric(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no validation set 'test'.*only: dev"):
        make_trainer(tmp_path, VALUES, plan={"selection": Selection(validation="test", metric="f1")})
    trainer, _ = make_trainer(tmp_path, VALUES, plan={"selection": Selection(validation="dev", metric="mcc")})
    with pytest.raises(ConfigurationError, match=r"no metric 'mcc'.*only: f1"):
        trainer.run()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(allow_nan=True), max_size=8), st.integers(0, 8), st.integers(0, 3))
def test_a_state_is_all_there_is_to_know(values: list[float], cut: int, patience: int) -> None:
    selection = Selection(validation="dev", metric="f1", patience=patience)
    whole = BestWeights(Path("folder"), selection)
    other = BestWeights(Path("folder"), selection)
    for step, value in enumerate(values):
        if step == cut:
            state = json.loads(json.dumps(other.state()))
            other = BestWeights(Path("folder"), selection)
            other.restore(state)
        assert whole.judge(step, {"f1": value}) == other.judge(step, {"f1": value})
        assert whole.out_of_patience() == other.out_of_patience()
    numbers = [value for value in values if value > -math.inf]
    assert (whole.best is None) == (not numbers)
    if whole.best is not None:
        assert whole.best.value == max(numbers)
        assert whole.best.step == values.index(max(numbers))
