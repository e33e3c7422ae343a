"""What is trained, how fast, and by which rule: parameter groups, optimisers and schedules."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from transformers import get_scheduler
from transformers.optimization import Adafactor

from spanbert.errors import ConfigurationError
from spanbert.training.config import TrainingConfig
from spanbert.training.muon import MuonWithAdamW

# PEFT and others put prefixes before the names of a model.
_ENCODER = re.compile(r"(?:^|\.)bert\.")
_EMBEDDINGS = re.compile(r"(?:^|\.)bert\.embeddings\.")
_LAYER = re.compile(r"(?:^|\.)bert\.encoder\.layer\.(\d+)\.")


def freeze_embeddings(model: nn.Module) -> None:
    """Train the embeddings of a model's encoder, its tables and their normalisation, no longer.

    Args:
        model: with an encoder named `bert`; call it before `Trainer`.
    """
    for name, parameter in model.named_parameters():
        if _EMBEDDINGS.search(name):
            parameter.requires_grad_(False)


def freeze_layers(model: nn.Module, number: int) -> None:
    """Train the embeddings and the lowest layers of a model's encoder no longer.

    Nothing is computed backwards through them, so a step takes less time the more there are. A pooler is never frozen:
    it is as new as the head in many models.

    Args:
        model: with an encoder named `bert`; call it before `Trainer`.
        number: of layers; -1 means all, and 0 freezes nothing, the embeddings included.

    Raises:
        ConfigurationError: the encoder has fewer layers.
    """
    num_layers = _num_layers(model)
    if not -1 <= number <= num_layers:
        raise ConfigurationError(f"--freeze-layers {number}: the encoder has {num_layers} layers (-1 freezes all)")
    if number == 0:
        return
    frozen = num_layers if number == -1 else number
    freeze_embeddings(model)
    for name, parameter in model.named_parameters():
        if (layer := _LAYER.search(name)) and int(layer[1]) < frozen:
            parameter.requires_grad_(False)


def parameter_groups(
    model: nn.Module,
    *,
    weight_decay: float,
    learning_rate: float,
    head_learning_rate: float | None = None,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Groups of trained parameters for an optimiser, each with its `lr`, `weight_decay` and `of_layers`.

    `of_layers` says of a group that it holds matrices of the encoder's layers and nothing else, as Muon wants them.

    Weight decay is for matrices; biases, LayerNorm and all that is a vector have none.

    Args:
        model: its encoder, if it has one, is named `bert`.
        weight_decay: of matrices.
        learning_rate: of the encoder.
        head_learning_rate: of everything outside `bert.`; None means `learning_rate`.
        layer_decay: layer i of L (from 0) learns at `learning_rate * layer_decay ** (L - i)`, the embeddings at
            `learning_rate * layer_decay ** (L + 1)` (Howard & Ruder 2018, section 3.2; Clark et al. 2020, appendix B).
    """
    num_layers = _num_layers(model)
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = learning_rate
        if layer := _LAYER.search(name):
            rate *= layer_decay ** (num_layers - int(layer[1]))
        elif _EMBEDDINGS.search(name):
            rate *= layer_decay ** (num_layers + 1)
        elif not _ENCODER.search(name) and head_learning_rate is not None:
            rate = head_learning_rate
        matrix = parameter.ndim > 1
        groups[rate, weight_decay if matrix else 0.0, matrix and layer is not None].append(parameter)
    return [
        {"params": params, "lr": rate, "weight_decay": decay, "of_layers": of_layers}
        for (rate, decay, of_layers), params in groups.items()
    ]


def _num_layers(model: nn.Module) -> int:
    return max((int(match[1]) + 1 for name, _ in model.named_parameters() if (match := _LAYER.search(name))), default=0)


def make_optimizer(groups: list[dict[str, Any]], config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser that `config` names, for the groups of `parameter_groups`.

    Adafactor (Shazeer & Stern 2018) is transformers', with the learning rate of the schedule: no relative steps, no
    scaling by the size of the parameters.
    """
    rate, epsilon = config.learning_rate, config.adam_epsilon
    if config.optimizer == "muon":
        return MuonWithAdamW(groups, betas=config.adam_betas, eps=epsilon)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=rate, betas=config.adam_betas, eps=epsilon, fused=True)
    if config.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, betas=config.adam_betas, eps=epsilon, fused=True)
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, eps=epsilon)
    adafactor: torch.optim.Optimizer = Adafactor(groups, lr=rate, relative_step=False, scale_parameter=False)
    return adafactor


def make_schedule(optimizer: torch.optim.Optimizer, config: TrainingConfig, total_steps: int) -> LambdaLR:
    """The course of the learning rate that `config` names: a warm-up from 0, then what the schedule says.

    Args:
        optimizer: each of its groups follows the same course from its own highest rate.
        config: the options of the schedule.
        total_steps: of the run.
    """
    warmup = round(config.warmup * total_steps)
    if config.schedule == "step":
        return _step_schedule(optimizer, warmup, config.schedule_step_size or (total_steps - warmup) // 3 or 1, config)
    if config.schedule == "polynomial":  # which divides by the steps after the warm-up
        options: dict[str, float] = {"power": config.schedule_power, "lr_end": 0.0}
        warmup = min(warmup, total_steps - 1)
    else:
        options = {}
    schedule: LambdaLR = get_scheduler(config.schedule, optimizer, warmup, total_steps, options)
    return schedule


def _step_schedule(optimizer: torch.optim.Optimizer, warmup: int, size: int, config: TrainingConfig) -> LambdaLR:
    """torch's StepLR behind a warm-up."""

    def share(step: int) -> float:
        if step < warmup:
            return step / warmup
        return float(config.schedule_gamma ** ((step - warmup) // size))

    return LambdaLR(optimizer, share)
