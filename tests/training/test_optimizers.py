"""Optimisers, schedules, and which parameters learn how fast."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import tiny_model
from tiny_run import make_trainer, same, weights
from torch import nn

from spanbert.errors import ConfigurationError
from spanbert.training.config import TrainingConfig
from spanbert.training.optimizers import (
    freeze_embeddings,
    freeze_layers,
    make_optimizer,
    make_schedule,
    parameter_groups,
)
from spanbert.training.record import read_history


def config(**options: Any) -> TrainingConfig:
    return TrainingConfig(output=Path("model"), **options)


def rates(schedule: str, steps: int = 12, **options: Any) -> list[float]:
    """The learning rate of every step, of a highest one of 1."""
    options = {"schedule": schedule, "learning_rate": 1.0, "warmup": 0.25, **options}
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    course = make_schedule(optimizer, config(**options), steps)
    found = []
    for _ in range(steps):
        found.append(course.get_last_lr()[0])
        optimizer.step()
        course.step()
    return [*found, course.get_last_lr()[0]]


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "rmsprop", "adafactor", "muon"])
def test_every_optimizer_learns_and_resumes_to_the_bit(tmp_path: Path, optimizer: str) -> None:
    options: dict[str, Any] = {"optimizer": optimizer, "steps": 40, "save_every": 20, "learning_rate": 3e-2}
    whole, _ = make_trainer(tmp_path / "whole", **options)
    whole.run()
    losses = [row["squared_loss"] for row in read_history(tmp_path / "whole" / "history.jsonl")]
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    first, _ = make_trainer(tmp_path / "cut", **options)
    first._stop.signal = 15  # asks to stop after the first step
    assert first.run() == 15
    assert first.step == 1
    second, _ = make_trainer(tmp_path / "cut", resume=True, **options)
    second.restore()
    second.run()
    assert same(weights(second), weights(whole))


def test_the_names_mean_the_optimizers_of_torch_and_transformers() -> None:
    parameter = nn.Parameter(torch.ones(2, 2))

    def make(name: str, **options: Any) -> torch.optim.Optimizer:
        return make_optimizer(
            [{"params": [parameter], "lr": 0.1, "weight_decay": 0.0}], config(optimizer=name, **options)
        )

    for name in ("adamw", "adam"):
        optimizer = make(name, adam_betas=(0.8, 0.9), adam_epsilon=1e-6)
        assert type(optimizer).__name__.lower() == name
        assert (optimizer.defaults["betas"], optimizer.defaults["eps"]) == ((0.8, 0.9), 1e-6)
    assert make("rmsprop", adam_epsilon=1e-6).defaults["eps"] == 1e-6
    adafactor = make("adafactor")
    parameter.grad = torch.full((2, 2), 3.0)
    adafactor.step()
    torch.testing.assert_close(parameter.detach(), torch.full((2, 2), 0.9))  # a step of the learning rate's size


def test_weight_decay_is_the_optimizers_own_unless_given() -> None:
    assert [config(optimizer=name).decay_of_matrices for name in ("adamw", "adafactor", "muon")] == [0.01, 0.01, 0.1]
    assert [config(optimizer=name).decay_of_matrices for name in ("adam", "rmsprop")] == [0.0, 0.0]
    assert config(optimizer="adam", weight_decay=0.1).decay_of_matrices == 0.1
    assert config(weight_decay=0.0).decay_of_matrices == 0.0


def test_schedules_have_the_shapes_of_their_names() -> None:
    warm = [0.0, 1 / 3, 2 / 3, 1.0]
    assert rates("linear") == pytest.approx([*warm, *[1 - n / 9 for n in range(1, 10)]])
    assert rates("polynomial") == pytest.approx(rates("linear"))
    assert rates("polynomial", schedule_power=2.0) == pytest.approx([*warm, *[(1 - n / 9) ** 2 for n in range(1, 10)]])
    assert rates("cosine") == pytest.approx([*warm, *[(1 + math.cos(math.pi * n / 9)) / 2 for n in range(1, 10)]])
    assert rates("constant_with_warmup") == pytest.approx([*warm, *[1.0] * 9])
    by_thirds = [*warm, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001]
    assert rates("step") == pytest.approx(by_thirds)
    assert rates("step", schedule_step_size=3) == pytest.approx(by_thirds)
    assert rates("step", schedule_step_size=5, schedule_gamma=0.5) == pytest.approx([*warm, *[1] * 4, *[0.5] * 5])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial", "constant_with_warmup", "step"])
@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (2, 1.0), (5, 1.0), (3, 0.0)])
def test_schedules_bear_short_runs(schedule: str, steps: int, warmup: float) -> None:
    assert all(0 <= rate <= 1 for rate in rates(schedule, steps, warmup=warmup))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adafactor", "adam_epsilon": 1e-6}, "--adam-epsilon has no effect with --optimizer adafactor"),
        ({"optimizer": "rmsprop", "adam_betas": (0.8, 0.9)}, "--adam-betas .*only with adamw, adam"),
        ({"schedule_power": 2.0}, "--schedule-power has no effect with --schedule linear, only with polynomial"),
        ({"schedule": "cosine", "schedule_step_size": 3}, "--schedule-step-size has no effect"),
        ({"schedule": "polynomial", "schedule_gamma": 0.5}, "--schedule-gamma has no effect"),
        ({"schedule": "step", "schedule_gamma": 0.0}, "--schedule-gamma must be above 0"),
        ({"schedule": "step", "schedule_step_size": -1}, "--schedule-step-size must be a number from 0 on"),
        ({"weight_decay": -0.1}, "--weight-decay must be a number from 0 on"),
    ],
)
def test_options_that_would_do_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config(**options)


def rate_of(groups: list[dict[str, Any]], parameter: nn.Parameter) -> tuple[float, float]:
    (group,) = [group for group in groups if any(parameter is one for one in group["params"])]
    return group["lr"], group["weight_decay"]


def test_layers_learn_the_slower_the_lower_they_are() -> None:
    model = tiny_model(nsp=True)
    groups = parameter_groups(model, weight_decay=0.1, learning_rate=1.0, head_learning_rate=5.0, layer_decay=0.5)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    low, high = model.bert.encoder.layer
    assert rate_of(groups, model.bert.embeddings.word_embeddings.weight) == (0.125, 0.1)
    assert rate_of(groups, model.bert.embeddings.LayerNorm.weight) == (0.125, 0.0)
    assert rate_of(groups, low.attention.self.query.weight) == (0.25, 0.1)
    assert rate_of(groups, high.attention.self.query.bias) == (0.5, 0.0)
    assert rate_of(groups, model.bert.pooler.dense.weight) == (1.0, 0.1)
    assert rate_of(groups, model.cls.seq_relationship.weight) == (5.0, 0.1)


def test_without_options_there_are_three_groups() -> None:
    model = tiny_model()
    groups = parameter_groups(model, weight_decay=0.1, learning_rate=1.0)
    assert [(group["lr"], group["weight_decay"], group["of_layers"]) for group in groups] == [
        (1.0, 0.1, False),
        (1.0, 0.0, False),
        (1.0, 0.1, True),
    ]
    assert all(parameter.ndim <= 1 for parameter in groups[1]["params"])
    of_layers = {id(parameter) for parameter in model.bert.encoder.parameters() if parameter.ndim > 1}
    assert {id(parameter) for parameter in groups[2]["params"]} == of_layers


def test_muon_moves_matrices_of_layers_along_all_directions_alike() -> None:
    """Liu et al. 2025, section 2.2: an orthogonal matrix times 0.2 sqrt(longer side), times the learning rate."""
    model = tiny_model()
    layer = model.bert.encoder.layer[0].intermediate.dense
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = parameter_groups(model, weight_decay=0.0, learning_rate=0.5)
    optimizer = make_optimizer(groups, config(optimizer="muon", learning_rate=0.5))
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    step = (before["bert.encoder.layer.0.intermediate.dense.weight"] - layer.weight).detach()
    singular_values = torch.linalg.svdvals(step) / (0.5 * 0.2 * max(step.shape) ** 0.5)
    assert float(singular_values.min()) > 0.5
    assert float(singular_values.max()) < 1.5
    words = model.bert.embeddings.word_embeddings.weight
    moved = (before["bert.embeddings.word_embeddings.weight"] - words).detach()
    torch.testing.assert_close(moved.abs(), torch.full_like(moved, 0.5))  # AdamW's first step, by signs


def test_muon_follows_the_schedule_and_resumes_to_the_bit() -> None:
    def begin() -> tuple[nn.Module, torch.optim.Optimizer, Any]:
        model = tiny_model()
        groups = parameter_groups(model, weight_decay=0.1, learning_rate=1e-2)
        optimizer = make_optimizer(groups, config(optimizer="muon", learning_rate=1e-2))
        return model, optimizer, make_schedule(optimizer, config(learning_rate=1e-2, warmup=0.0), 4)

    def train(model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Any, steps: list[int]) -> None:
        for step in steps:
            torch.manual_seed(step)
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
            schedule.step()

    whole = begin()
    train(*whole, [0, 1, 2])
    assert {group["lr"] for group in whole[1].param_groups} == {1e-2 / 4}
    cut, resumed = begin(), begin()
    train(*cut, [0])
    for one, other in zip(cut, resumed, strict=True):
        other.load_state_dict(one.state_dict())
    train(*resumed, [1, 2])
    for one, other in zip(whole[0].parameters(), resumed[0].parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(("number", "frozen"), [(0, set()), (1, {"embeddings", "0"}), (-1, {"embeddings", "0", "1"})])
def test_frozen_layers_are_not_trained(number: int, frozen: set[str]) -> None:
    model = tiny_model(nsp=True)
    freeze_layers(model, number)
    parts = {"embeddings": model.bert.embeddings, "0": model.bert.encoder.layer[0], "1": model.bert.encoder.layer[1]}
    for name, part in parts.items():
        assert all(parameter.requires_grad != (name in frozen) for parameter in part.parameters())
    assert all(parameter.requires_grad for parameter in model.bert.pooler.parameters())
    groups = parameter_groups(model, weight_decay=0.1, learning_rate=1.0)
    trained = sum(parameter.requires_grad for parameter in model.parameters())
    assert sum(len(group["params"]) for group in groups) == trained


@pytest.mark.parametrize("number", [0, 1])
def test_frozen_embeddings_are_not_trained_and_layers_are(number: int) -> None:
    model = tiny_model(nsp=True)
    freeze_embeddings(model)
    freeze_layers(model, number)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    expected = ("bert.embeddings.", "bert.encoder.layer.0.")[: number + 1]
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith(expected)}


@pytest.mark.parametrize("number", [-2, 3])
def test_layers_that_are_not_there_cannot_be_frozen(number: int) -> None:
    with pytest.raises(ConfigurationError, match="the encoder has 2 layers"):
        freeze_layers(tiny_model(), number)


def test_curves_show_the_configured_rate_whatever_the_groups_have(tmp_path: Path) -> None:
    trainer, _ = make_trainer(tmp_path, plan={"head_learning_rate": 0.5}, schedule="constant_with_warmup")
    trainer.run()
    assert {group["initial_lr"] for group in trainer.optimizer.param_groups} == {0.5}
    assert read_history(tmp_path / "history.jsonl")[-1]["learning_rate"] == pytest.approx(1e-2)
