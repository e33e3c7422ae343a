"""Metrics that follow from sums over a validation set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from spanbert.training.contract import StepOutput, Summarise, ValidationData


def evaluate(
    model: nn.Module, accelerator: Accelerator, *, data: ValidationData, summarise: Summarise
) -> dict[str, float]:
    """Metrics of `model` on a validation set, the same over any number of processes.

    With `functools.partial(evaluate, data=..., summarise=...)` it is a `Validator`.

    Args:
        model: as returned by `accelerator.prepare`.
        accelerator: device and processes.
        data: the batches.
        summarise: turns the sums into metrics.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    model.eval()
    with torch.inference_mode():
        for batch in data.batches(accelerator.process_index, accelerator.num_processes):
            output: StepOutput = model(batch.to(accelerator.device))
            for name, value in {**output.losses, **output.figures}.items():
                sums[name] += float(value)
            for name, number in batch.counts.items():
                counts[name] += number
    if accelerator.num_processes > 1:
        parts = gather_object([(dict(sums), dict(counts))])
        sums = _added([part for part, _ in parts])
        counts = _added([part for _, part in parts])
    return summarise(sums, counts)


def _added(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for part in parts:
        for name, value in part.items():
            total[name] += value
    return total
