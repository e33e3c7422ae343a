"""`spanbert pretrain --estimate`: what a run will take, measured on its own first steps."""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict, dataclass

import torch
from accelerate import Accelerator

from spanbert.encoder import count_parameters
from spanbert.tasks.pretraining.head import SpanBertForPreTraining
from spanbert.training.config import TrainingConfig
from spanbert.training.contract import TrainingPlan
from spanbert.training.loop import Trainer
from spanbert.training.progress import Reporter

_WARM_UP_STEPS, _TIMED_STEPS = 1, 3


@dataclass(frozen=True)
class Estimate:
    """What a run will take on this machine.

    Attributes:
        parameters: scalars in the model.
        encoder_parameters: those of the encoder without its embeddings.
        blocks: blocks in an epoch.
        steps: optimiser steps of the run.
        epochs: passes over the corpus.
        pieces_per_second: measured.
        hours: of the whole run, at that speed.
        memory_gb: most memory of this process so far, the measured steps included.
        checkpoint_gb: one checkpoint on the disk.
    """

    parameters: int
    encoder_parameters: int
    blocks: int
    steps: int
    epochs: float
    pieces_per_second: float
    hours: float
    memory_gb: float
    checkpoint_gb: float


def estimate_run(
    model: SpanBertForPreTraining, plan: TrainingPlan, config: TrainingConfig, accelerator: Accelerator
) -> Estimate:
    """Time a few steps of the run, from the start it would have; nothing is written."""
    num_parameters = count_parameters(model.parameters())
    encoder_parameters = count_parameters(model.bert.encoder.parameters())
    trainer = Trainer(model, plan, config, accelerator, Reporter())
    trainer.time_steps(_WARM_UP_STEPS)
    seconds, pieces = trainer.time_steps(_TIMED_STEPS)
    if accelerator.device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(accelerator.device)
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    blocks = plan.data.num_examples
    return Estimate(
        parameters=num_parameters,
        encoder_parameters=encoder_parameters,
        blocks=blocks,
        steps=trainer.total_steps,
        epochs=trainer.total_steps * config.batch_size / blocks,
        pieces_per_second=pieces / seconds,
        hours=seconds / _TIMED_STEPS * trainer.total_steps / 3600,
        memory_gb=memory / 1e9,
        checkpoint_gb=num_parameters * 12 / 1e9,  # fp32 weights and AdamW's two moments
    )


def format_estimate(estimate: Estimate) -> str:
    """The estimate as lines of name and value."""
    rows = {name.replace("_", " "): value for name, value in asdict(estimate).items()}
    return "\n".join(f"{name:<20} {_readable(value)}" for name, value in rows.items())


def _readable(value: float) -> str:
    return f"{value:,.0f}" if isinstance(value, int) or value >= 100 else f"{value:,.3g}"
