"""What every training run can be told. Free of torch, so that `--help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from spanbert.errors import ConfigurationError

Optimizer = Literal["adamw", "adam", "rmsprop", "adafactor", "muon"]
Schedule = Literal["linear", "cosine", "polynomial", "constant_with_warmup", "step"]
Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]

# Options that only some optimisers and schedules know.
_KNOWN_BY: dict[str, tuple[str, tuple[str, ...]]] = {
    "adam_betas": ("optimizer", ("adamw", "adam", "muon")),
    "adam_epsilon": ("optimizer", ("adamw", "adam", "rmsprop", "muon")),
    "schedule_power": ("schedule", ("polynomial",)),
    "schedule_step_size": ("schedule", ("step",)),
    "schedule_gamma": ("schedule", ("step",)),
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Options of the training loop, shared by every task."""

    output: Path
    """Folder for the model, its record, its curves and its checkpoints."""

    steps: int | None = None
    """Optimiser steps; overrides --epochs."""

    epochs: float = 40.0
    """Passes over the training data."""

    batch_size: int = 32
    """Examples (blocks) of one optimiser step, over all micro-batches and processes."""

    micro_batch_pieces: int = 8192
    """Most pieces, padding counted, that go through the model at once; a larger step is accumulated."""

    learning_rate: float = 1e-4
    """Highest learning rate."""

    schedule: Schedule = "linear"
    """What the learning rate does after the warm-up, by the names of transformers: falls to 0 in a line, a half cosine
    or a polynomial, or stays; `step` multiplies it by --schedule-gamma now and then, as torch's StepLR does."""

    schedule_power: float = 1.0
    """Power of the schedule `polynomial`; 1 is `linear`, more falls faster."""

    schedule_step_size: int = 0
    """Optimiser steps between two drops of the schedule `step`; 0 means a third of those after the warm-up."""

    schedule_gamma: float = 0.1
    """What the schedule `step` multiplies the learning rate by."""

    warmup: float = 0.1
    """Share of the steps over which the learning rate rises from 0."""

    optimizer: Optimizer = "adamw"
    """AdamW, Adam and RMSprop of torch; Adafactor of transformers, which needs the least memory; or Muon of torch for
    the matrices of the layers, with AdamW for the rest."""

    weight_decay: float | None = None
    """Weight decay of matrices; biases and LayerNorm have none. When not given, 0.01 with adamw and adafactor and 0.1
    with muon, which shrink the weights themselves, and 0 with adam and rmsprop, which add it to the gradient (an L2
    penalty)."""

    adam_betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the two moments of adamw (muon's too) and adam."""

    adam_epsilon: float = 1e-8
    """Term against division by zero of adamw (muon's too), adam and rmsprop."""

    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 turns clipping off."""

    precision: Precision = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    compile: bool = False
    """Compile the encoder with torch.compile; falls back, and says so, where there is no compiler."""

    seed: int = 0
    """Seed of everything random: initial weights, order, masks, dropout."""

    log_every: int = 10
    """Steps between two entries of the training curves."""

    validate_every: int = 0
    """Steps between two validations; 0 means ten of them over the run."""

    save_every: int = 0
    """Steps between two checkpoints; 0 means ten of them over the run."""

    keep_checkpoints: int = 2
    """Newest checkpoints that stay on the disk."""

    resume: bool = False
    """Go on from the newest whole checkpoint in the output folder (from the start when there is none)."""

    overwrite: bool = False
    """Replace an earlier run in the output folder."""

    tracker: Literal["tensorboard", "wandb", "mlflow"] | None = None
    """Also send the curves to this tracker, which has to be installed."""

    quiet: bool = False
    """No progress, only errors."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            ConfigurationError: an option is out of range.
        """
        positive = (
            "batch_size", "micro_batch_pieces", "log_every", "keep_checkpoints", "epochs", "schedule_power",
            "schedule_gamma",
        )  # fmt: skip
        for name in positive:
            if not 0 < getattr(self, name) < float("inf"):
                raise ConfigurationError(f"--{name.replace('_', '-')} must be above 0, not {getattr(self, name)}")
        if self.steps is not None and self.steps <= 0:
            raise ConfigurationError(f"--steps must be above 0, not {self.steps}")
        for name in (
            "learning_rate", "validate_every", "save_every", "max_grad_norm", "weight_decay", "schedule_step_size"
        ):  # fmt: skip
            if not 0 <= (getattr(self, name) or 0) < float("inf"):
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} must be a number from 0 on, not {getattr(self, name)}"
                )
        if not 0 <= self.warmup <= 1:
            raise ConfigurationError(f"--warmup is a share between 0 and 1, not {self.warmup}")
        if self.batch_size > 1_000_000:
            raise ConfigurationError(f"--batch-size is at most 1,000,000, not {self.batch_size:,}")
        if not 0 <= self.seed < 2**63:
            raise ConfigurationError(f"--seed lies between 0 and 2**63 - 1, not at {self.seed}")
        if self.threads is not None and not 1 <= self.threads <= 1024:
            raise ConfigurationError(f"--threads lies between 1 and 1024, not at {self.threads}")
        if not all(0 <= beta < 1 for beta in self.adam_betas) or not self.adam_epsilon > 0:
            raise ConfigurationError("--adam-betas are shares from 0 to below 1, and --adam-epsilon is above 0")
        if self.resume and self.overwrite:
            raise ConfigurationError("--resume and --overwrite contradict each other: choose one")
        self._refuse_what_is_not_known()

    def _refuse_what_is_not_known(self) -> None:
        defaults = {field.name: field.default for field in fields(self)}
        for name, (choice, known_by) in _KNOWN_BY.items():
            chosen = getattr(self, choice)
            if chosen not in known_by and getattr(self, name) != defaults[name]:
                raise ConfigurationError(
                    f"--{name.replace('_', '-')} has no effect with --{choice} {chosen}, only with "
                    f"{', '.join(known_by)}: drop it"
                )

    @property
    def decay_of_matrices(self) -> float:
        """The weight decay that is given, or the optimiser's default."""
        if self.weight_decay is not None:
            return self.weight_decay
        return {"adamw": 0.01, "adafactor": 0.01, "muon": 0.1}.get(self.optimizer, 0.0)
