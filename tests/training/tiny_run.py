"""A run of the training loop that takes a fraction of a second: a small network learns a linear function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from spanbert.training.config import TrainingConfig
from spanbert.training.contract import Selection, StepOutput, TrainingPlan
from spanbert.training.devices import make_accelerator
from spanbert.training.loop import Trainer
from spanbert.training.progress import Reporter


@dataclass(frozen=True)
class PointBatch:
    inputs: Tensor  # [B, 3]
    targets: Tensor  # [B]

    @property
    def counts(self) -> Mapping[str, int]:
        return {"squared": len(self.inputs), "pieces": len(self.inputs)}

    def to(self, device: torch.device) -> Self:
        return self


class Points:
    num_examples = 32

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> list[PointBatch]:
        generator = torch.Generator().manual_seed(step)
        batches = []
        for _ in range(2):
            inputs = torch.randn(4, 3, generator=generator)
            batches.append(PointBatch(inputs, inputs @ torch.tensor([1.0, -2.0, 0.5])))
        return batches


class Network(nn.Module):
    """Two layers with dropout; the second weight is tied to the first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.out = nn.Linear(3, 1)

    def forward(self, batch: PointBatch) -> StepOutput:
        hidden = nn.functional.dropout(self.first(batch.inputs), 0.1, self.training)
        predicted = self.out(self.second(hidden)).squeeze(-1)
        return StepOutput({"squared": ((predicted - batch.targets) ** 2).sum()}, {})


class Scripted:
    """A validator that gives a fixed figure for every step and records the weights it saw.

    Args:
        values: by step.
    """

    def __init__(self, values: Mapping[int, float]) -> None:
        self.values = values
        self.step: Callable[[], int] = lambda: 0
        self.seen: dict[int, dict[str, Tensor]] = {}

    def __call__(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        step = self.step()
        self.seen[step] = {name: value.clone() for name, value in model.state_dict().items()}
        return {"f1": self.values[step]}


def make_trainer(
    output: Path,
    values: Mapping[int, float] | None = None,
    *,
    patience: int = 0,
    model: nn.Module | None = None,
    plan: Mapping[str, Any] | None = None,
    **options: Any,
) -> tuple[Trainer, Scripted]:
    """A trainer, and its validator where there are `values`, whose best is chosen by them."""
    defaults: dict[str, Any] = {
        "steps": 8, "batch_size": 8, "learning_rate": 1e-2, "validate_every": 1, "save_every": 2, "log_every": 1,
        "precision": "fp32", "device": "cpu", "quiet": True, "warmup": 0.25,
    }  # fmt: skip
    config = TrainingConfig(output=output, **{**defaults, **options})
    output.mkdir(parents=True, exist_ok=True)
    scripted = Scripted(values or {})
    fields: dict[str, Any] = {
        "validation": {"dev": scripted} if values else {},
        "selection": Selection(validation="dev", metric="f1", patience=patience) if values else None,
    }
    run = TrainingPlan(data=Points(), **{**fields, **(plan or {})})
    trainer = Trainer(model or Network(), run, config, make_accelerator(config), Reporter())
    scripted.step = lambda: trainer.step
    return trainer, scripted


def weights(trainer: Trainer) -> dict[str, Tensor]:
    model: nn.Module = trainer.accelerator.unwrap_model(trainer.model)
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
