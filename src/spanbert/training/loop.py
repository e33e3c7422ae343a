"""The only training loop.

It sees batches and a module that turns one into summed losses, with numbers of targets that the batch itself knows.
The loss of an optimiser step is, for each named loss, its sum over all micro-batches and processes divided by all its
targets: splitting a step into smaller micro-batches or over more processes changes nothing but the order of additions.

Nothing random is carried from step to step: the data of a step and the seed of its dropout follow from the step's
number, so a resumed run is the run that was interrupted.
"""

from __future__ import annotations

import math
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors import SafetensorError
from torch import Tensor, nn

from spanbert.core_workers import made_ahead
from spanbert.errors import CheckpointError, ConfigurationError, TrainingError
from spanbert.randomness import block_keys
from spanbert.training.best import Best, BestWeights, load_weights
from spanbert.training.checkpointing import CheckpointFolder, read_checkpoint, require_free_space
from spanbert.training.config import TrainingConfig
from spanbert.training.contract import Batch, StepOutput, TrainingPlan
from spanbert.training.devices import compile_in_place, deterministic
from spanbert.training.fingerprints import differences
from spanbert.training.meter import Meter
from spanbert.training.optimizers import make_optimizer, make_schedule, parameter_groups
from spanbert.training.progress import Reporter, format_figures, warn
from spanbert.training.record import History, read_history
from spanbert.training.stopping import StopRequest

_WAYS_OUT = {
    True: "Lower --learning-rate, lengthen --warmup, or use --precision fp32",
    False: "Lower --learning-rate or lengthen --warmup",
}
"""After a loss that is no number, by whether the run is in bf16."""


def num_steps(config: TrainingConfig, num_examples: int) -> int:
    """Optimiser steps of a run over `num_examples` examples a pass."""
    if config.steps is not None:
        return config.steps
    return max(1, math.ceil(config.epochs * num_examples / config.batch_size))


class Trainer:
    """One training run: steps, validation, checkpoints, curves.

    Args:
        model: gives a `StepOutput` for a batch.
        plan: what the task brings.
        config: the options of the loop.
        accelerator: device, precision and processes.
        reporter: what a person sees; only used in the main process.

    Example:
        >>> with make_reporter(total, quiet=False) as reporter:
        ...     stopped_by = Trainer(model, plan, config, accelerator, reporter).run()
    """

    def __init__(
        self,
        model: nn.Module,
        plan: TrainingPlan,
        config: TrainingConfig,
        accelerator: Accelerator,
        reporter: Reporter,
    ) -> None:
        self.config = config
        self.plan = plan
        self.accelerator = accelerator
        self.reporter = reporter
        self.total_steps = num_steps(config, plan.data.num_examples)
        self.step = 0
        self.checkpoints = CheckpointFolder(config.output / "checkpoints", config.keep_checkpoints)
        self._best = BestWeights(self.checkpoints.path, plan.selection)
        self.history = History(config.output / "history.jsonl", enabled=accelerator.is_main_process)
        if config.compile:
            compile_in_place(plan.hot_modules, accelerator.device, warn)
        groups = parameter_groups(
            model,
            weight_decay=config.decay_of_matrices,
            learning_rate=config.learning_rate,
            head_learning_rate=plan.head_learning_rate,
            layer_decay=plan.layer_decay,
        )
        self.model, self.optimizer = accelerator.prepare(model, make_optimizer(groups, config))
        self.scheduler = make_schedule(self.optimizer, config, self.total_steps)
        accelerator.register_for_checkpointing(self.scheduler)
        self._meter = Meter()
        self._stop = StopRequest()
        self._last_saved = -1

    @property
    def best(self) -> Best | None:
        """The best weights so far; None without a selection in the plan, or while its metric has been no number."""
        return self._best.best

    def load_best(self) -> None:
        """Put the best weights into the model, where there are any; under FSDP use `load_weights` on the whole model.

        Raises:
            CheckpointError: they cannot be read.
        """
        self.accelerator.wait_for_everyone()
        if self.best is not None:
            load_weights(self.accelerator.unwrap_model(self.model), self.best.path)

    def run(self) -> int:
        """Train to the last step, until validation stops improving, or until a signal asks to stop.

        It begins where `restore` has put it, else at the start.

        Returns:
            0, or the number of the signal (SIGTERM, SIGINT) after which the run saved its state and stopped.

        Raises:
            TrainingError: the loss or its gradient is not a number, or a checkpoint cannot be written.
        """
        validate_every = self.config.validate_every or max(1, self.total_steps // 10)
        save_every = self.config.save_every or max(1, self.total_steps // 10)
        if self._best.out_of_patience():  # a resumed run that had ended
            return 0
        with deterministic(self.accelerator.device), self._stop.listening(), self._prefetched() as steps:
            meter = self._meter
            meter.start()
            self.reporter.begin(self.step)
            for micro_batches in steps:
                figures, stop_signal = self._optimiser_step(micro_batches)
                self.step += 1
                last = self.step == self.total_steps
                meter.add(figures)
                if self.step % self.config.log_every == 0 or last:
                    self._log(meter.read() | {"learning_rate": self._learning_rate()})
                else:
                    self.reporter.step(self.step, None)
                if self.step % validate_every == 0 or last:
                    with meter.paused():
                        self._validate()
                if self._best.out_of_patience() and not last:
                    last = True
                    self._say(f"stopping early: the last {self._best.num_without} validations were no better")
                if stop_signal and not last:
                    name = signal.Signals(stop_signal).name
                    self._say(f"{name}: saving, then stopping; the same command goes on (a single run: with --resume)")
                if stop_signal or self.step % save_every == 0 or last:
                    with meter.paused():
                        self.save()
                if last:
                    return 0
                if stop_signal:
                    return stop_signal
        return 0

    def time_steps(self, number: int) -> tuple[float, float]:
        """Take the run's first steps without saving or logging anything, to see how long they take.

        Returns:
            Seconds, and pieces over all processes.
        """
        pieces, started = 0.0, time.perf_counter()
        with deterministic(self.accelerator.device):
            for step in range(number):
                batches = self.plan.data.micro_batches(
                    step, self.accelerator.process_index, self.accelerator.num_processes
                )
                pieces += self._optimiser_step(batches)[0]["pieces"]
        return time.perf_counter() - started, pieces

    def _optimiser_step(self, micro_batches: Sequence[Batch]) -> tuple[dict[str, float], int]:
        """One step over `micro_batches`; its losses, pieces and gradient norm, and the signal that asks to stop."""
        if self.accelerator.distributed_type == DistributedType.FSDP and len(micro_batches) > 1:
            # Its processes exchange weights in every forward pass, so all need the same number of them.
            raise ConfigurationError(
                "under FSDP a process's share of a step has to be one micro-batch: raise --micro-batch-pieces or lower "
                "--batch-size"
            )
        counts, stop_signal = self._global_counts(micro_batches)
        accelerator, device = self.accelerator, self.accelerator.device
        self.model.train()
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64, device=device))
        for number, batch in enumerate(micro_batches):
            last = number == len(micro_batches) - 1
            torch.manual_seed(_dropout_seed(self.config.seed, self.step, accelerator.process_index, number))
            with nullcontext() if last else accelerator.no_sync(self.model):
                output: StepOutput = self.model(batch.to(device))
                terms = [loss / self._denominator(name, counts) for name, loss in output.losses.items()]
                # DDP averages gradients over processes; the denominators already count all of them.
                accelerator.backward(torch.stack(terms).sum() * accelerator.num_processes)
            for name, loss in output.losses.items():
                sums[name] += loss.detach()
        names = sorted(sums)
        totals = accelerator.reduce(torch.stack([sums[name] for name in names]), "sum").tolist()
        figures = {
            f"{name}_loss": total / self._denominator(name, counts) for name, total in zip(names, totals, strict=True)
        }
        max_norm = self.config.max_grad_norm or math.inf
        norm = float(accelerator.clip_grad_norm_(self.model.parameters(), max_norm))
        self._require_finite(figures, norm)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return figures | {"grad_norm": norm, "pieces": counts["pieces"]}, stop_signal

    def _denominator(self, name: str, counts: Mapping[str, float]) -> float:
        return max(1.0, counts[name] + self.plan.denominator_offsets.get(name, 0.0))

    def _global_counts(self, micro_batches: Sequence[Batch]) -> tuple[dict[str, float], int]:
        """Counts of the whole step over all processes; the signal to stop travels in the same message."""
        # A signal may come at any moment, to one process only: all act on what stands in this message.
        stop_signal = self._stop.signal
        names = sorted(micro_batches[0].counts)
        mine = [float(sum(batch.counts[name] for batch in micro_batches)) for name in names]
        if self.accelerator.num_processes == 1:
            return dict(zip(names, mine, strict=True)), stop_signal
        message = torch.tensor([*mine, float(stop_signal == signal.SIGTERM), float(stop_signal == signal.SIGINT)])
        message = message.to(torch.float64)
        if self.accelerator.device.type != "cpu":
            message = message.to(self.accelerator.device)
        *totals, terminated, interrupted = self.accelerator.reduce(message, "sum").tolist()
        stop_signal = signal.SIGTERM if terminated else signal.SIGINT if interrupted else 0
        return dict(zip(names, totals, strict=True)), stop_signal

    def _require_finite(self, figures: Mapping[str, float], norm: float) -> None:
        if math.isfinite(norm) and all(math.isfinite(value) for value in figures.values()):
            return
        newest = next(iter(self.checkpoints.list()), None)
        kept = f"the last good checkpoint is {newest}" if newest else "there is no checkpoint yet"
        raise TrainingError(
            f"the loss or its gradient is not a number at step {self.step + 1} ({format_figures(figures)}, gradient "
            f"norm {norm}); {kept}. {_WAYS_OUT[self.accelerator.mixed_precision == 'bf16']}"
        )

    def _validate(self) -> None:
        for name, validator in self.plan.validation.items():
            metrics = validator(self.model, self.accelerator)
            self.history.add(self.step, name, metrics)
            self.accelerator.log({f"{name}/{key}": value for key, value in metrics.items()}, step=self.step)
            selection = self.plan.selection if self.plan.selection and self.plan.selection.validation == name else None
            if self.accelerator.is_main_process:
                shown = format_figures(metrics, deciding=selection.metric if selection else None)
                self.reporter.say(f"step {self.step}  {name}: {shown}")
            if selection is not None:
                self._choose(metrics)

    def _choose(self, metrics: Mapping[str, float]) -> None:
        if not self._best.judge(self.step, metrics):
            return
        weights = self.accelerator.get_state_dict(self.model)  # FSDP needs all processes for it
        if not self.accelerator.is_main_process:
            return
        try:
            self._best.keep(weights)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"{self._best.path}: the best weights, of step {self.step}, cannot be written: {error}; "
                "make room and go on with --resume"
            ) from error

    def _learning_rate(self) -> float:
        """Where the schedule has the learning rate of the configuration; groups may have higher and lower ones."""
        highest: float = self.optimizer.param_groups[0]["initial_lr"]
        return self.config.learning_rate * float(self.scheduler.get_last_lr()[0]) / highest

    def _say(self, message: str) -> None:
        if self.accelerator.is_main_process:
            self.reporter.say(message)

    def _log(self, figures: dict[str, float]) -> None:
        self.history.add(self.step, "training", figures)
        self.accelerator.log({f"training/{key}": value for key, value in figures.items()}, step=self.step)
        if self.accelerator.is_main_process:
            self.reporter.step(self.step, figures)

    def save(self) -> None:
        """Write a checkpoint of this step, whole or not at all.

        Raises:
            TrainingError: it cannot be written; earlier checkpoints are untouched.
        """
        if self._last_saved == self.step:
            return
        accelerator = self.accelerator
        unfinished = self.checkpoints.unfinished_path(self.step)
        try:
            if accelerator.is_main_process:
                # Weights, and AdamW's two moments of those that are trained; the other optimisers keep less.
                num_bytes = sum(
                    p.numel() * p.element_size() * (3 if p.requires_grad else 1) for p in self.model.parameters()
                )
                require_free_space(self.config.output, num_bytes)
                self.checkpoints.begin(self.step)
            accelerator.wait_for_everyone()
            accelerator.save_state(str(unfinished))
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                self._best.add_to(unfinished)
                state = {
                    "fingerprint": dict(self.plan.fingerprint),
                    "total_steps": self.total_steps,
                    "meter": self._meter.state(),
                    "selection": self._best.state(),
                    "environment": dict(self.plan.environment),
                }
                self.checkpoints.finish(unfinished, self.step, state)
        except (OSError, SafetensorError, RuntimeError) as error:
            newest = next(iter(self.checkpoints.list()), None)
            raise TrainingError(
                f"{self.checkpoints.path}: the checkpoint of step {self.step} cannot be written: {error}. "
                f"Last good checkpoint: {newest or 'none'}; make room and go on with --resume"
            ) from error
        self._last_saved = self.step

    def restore(self) -> None:
        """Go to the newest whole checkpoint of the output folder, or to the start where there is none.

        Raises:
            CheckpointError: every checkpoint is damaged.
            ConfigurationError: the run was made with other options.
        """
        accelerator = self.accelerator
        if accelerator.is_main_process:
            self.checkpoints.clean()
        accelerator.wait_for_everyone()
        checkpoint = self.checkpoints.newest_whole(warn)
        if checkpoint is None:
            if self.history.path.exists() and self.history.path.stat().st_size:
                self._require_no_lost_checkpoints()
            self.history.truncate(0)
            self._say("no checkpoint to resume from: starting from the beginning")
            return
        self.step, state = read_checkpoint(checkpoint)
        self._require_same_run(checkpoint, state)
        if accelerator.is_main_process:
            self.checkpoints.drop_newer(checkpoint)  # damaged: pruning would count them as the newest
        try:
            accelerator.load_state(str(checkpoint))
        except (RuntimeError, ValueError, KeyError, SafetensorError) as error:
            raise CheckpointError(f"{checkpoint}: does not fit this model ({error})") from error
        self._meter.restore(state["meter"])
        self._best.restore(state["selection"])
        if accelerator.is_main_process:
            self._best.take_from(checkpoint)
        self._last_saved = self.step
        self.history.truncate(self.step)
        self._say(f"resuming from {checkpoint.name}")
        for name, was in state["environment"].items():
            if was != self.plan.environment.get(name):
                warn(
                    f"{name} was {was}, now {self.plan.environment.get(name)}: the run goes on, but no longer exactly "
                    "as it would have without the interruption"
                )

    def _require_no_lost_checkpoints(self) -> None:
        save_every = self.config.save_every or max(1, self.total_steps // 10)
        if any(row["step"] > save_every for row in read_history(self.history.path, damaged_tail=True)):
            raise CheckpointError(
                f"{self.checkpoints.path}: the checkpoints of this run are gone, so it cannot be resumed: "
                "start again with --overwrite, or in another folder"
            )

    def _require_same_run(self, checkpoint: Path, state: Mapping[str, Any]) -> None:
        before: dict[str, Any] = dict(state["fingerprint"])
        now = dict(self.plan.fingerprint)
        if before != now or state["total_steps"] != self.total_steps:
            rows = differences(before | {"steps": state["total_steps"]}, now | {"steps": self.total_steps})
            raise ConfigurationError(
                f"{checkpoint}: this run cannot be resumed with other options ({'; '.join(rows)}): give the same ones, "
                "or start a new run in another folder"
            )

    def _prefetched(self) -> AbstractContextManager[Iterator[Sequence[Batch]]]:
        """The steps' micro-batches, each made by a thread while the step before it is computed."""
        data, rank, ranks = self.plan.data, self.accelerator.process_index, self.accelerator.num_processes
        return made_ahead(lambda step: data.micro_batches(step, rank, ranks), range(self.step, self.total_steps))


def _dropout_seed(seed: int, step: int, rank: int, micro_batch: int) -> int:
    """A seed for one forward pass; distinct for every place in the run."""
    place = np.array([(rank << 32) | micro_batch])
    return int(block_keys(seed, step, place, "dropout")[0] >> np.uint64(1))
