"""From examples in memory to the best model: what `spanbert finetune` and the estimators share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate.utils import DistributedType

from spanbert.encoder import count_parameters
from spanbert.errors import ConfigurationError
from spanbert.finetuning.adapters import add_lora, merge_lora, save_adapter
from spanbert.finetuning.config import FinetuneConfig, default_learning_rate
from spanbert.finetuning.data import FinetuneData, PreparedExamples, TrainingWindows
from spanbert.finetuning.validation import TaskValidation, predictor_in_training
from spanbert.read_summary import counted
from spanbert.shipped_models import DEFAULT_MODEL
from spanbert.task import Task, Window
from spanbert.task_checkpoints import new_task_model
from spanbert.task_model import TaskModel
from spanbert.tokenization import PieceTokenizer
from spanbert.training.contract import Selection, TrainingPlan
from spanbert.training.devices import make_accelerator, processor_name
from spanbert.training.loop import Trainer, num_steps
from spanbert.training.optimizers import freeze_embeddings, freeze_layers
from spanbert.training.record import versions
from spanbert.training.run import course_of_run, starting_record, train_recorded

DEV = "dev"
"""Name of the validation set in curves and records."""


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning gave.

    Attributes:
        model: with the weights of the best validation.
        task: with labels, thresholds and all else that was learned.
        tokenizer: the model's.
        metrics: the task's figures on all dev examples.
        record: of the run, as in run.json.
        stopped_by: 0, or the number of the signal after which the run saved its state; the model is then unfinished.
    """

    model: TaskModel
    task: Task[Any, Any]
    tokenizer: PieceTokenizer
    metrics: dict[str, float]
    record: dict[str, Any]
    stopped_by: int = 0


def finetune_examples(
    task: Task[Any, Any],
    train: Sequence[Any],
    dev: Sequence[Any],
    config: FinetuneConfig,
    *,
    data: Mapping[str, Any] | None = None,
) -> FinetuneResult:
    """Fine-tune a model on examples.

    Args:
        task: with the user's settings; labels and the like are learned from `train` here.
        train: examples to learn from.
        dev: examples that choose the best weights, thresholds and temperatures.
        config: see `FinetuneConfig`; `config.output` gets checkpoints, curves and the record, but no model. Nobody else
            may write to it meanwhile.
        data: what the record says of the examples, such as hashes of their files; a run whose data differ is not
            resumed.

    Raises:
        InputError: nothing can be learned from the examples, or one cannot be shown to the encoder.
        ConfigurationError: options contradict each other, the model, or the run in the output folder.
        CheckpointError: the model, or every checkpoint to resume from, cannot be used.
        TrainingError: the loss is not a number, or the disk is full.
    """
    run = FinetuneRun(task.learn(train), config)
    return run.train(PreparedExamples.of(run.task, train, dev, run.tokenizer), data or {})


class FinetuneRun:
    """One model and the way it is trained. Until `train` nothing is written.

    Args:
        task: with what it learned before training.
        config: see `FinetuneConfig`.

    Raises:
        ConfigurationError, CheckpointError: as `finetune_examples`.
    """

    def __init__(self, task: Task[Any, Any], config: FinetuneConfig) -> None:
        self.task = task
        self.config = config
        self.accelerator = make_accelerator(config)
        if self.accelerator.distributed_type == DistributedType.FSDP:
            raise ConfigurationError("fine-tuning does not run under FSDP: launch without --use_fsdp (DDP)")
        self.model, self.tokenizer, self._report = new_task_model(
            task,
            config.model,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            seed=config.seed,
        )
        width = int(self.model.config.hidden_size)
        self.learning_rate = config.learning_rate or default_learning_rate(task.learning_rate, width)
        given = config.head_learning_rate
        self.head_learning_rate = task.head_learning_rate if given is None else given
        limit = int(self.model.config.max_position_embeddings)
        if task.settings.max_length > limit:
            raise ConfigurationError(
                f"--max-length {task.settings.max_length}: the model's position table has {limit}, so it is {limit} at "
                "most"
            )
        if config.freeze_embeddings:
            freeze_embeddings(self.model)
        freeze_layers(self.model, config.freeze_layers)
        if config.lora_rank:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                add_lora(self.model, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout)

    def train(self, examples: PreparedExamples, data: Mapping[str, Any]) -> FinetuneResult:
        """Train the model, from its newest checkpoint with --resume, and find out what fits the dev set.

        In every process of a distributed run the result is the same; only the main one writes.

        Raises:
            InputError, ConfigurationError, CheckpointError, TrainingError: as `finetune_examples`.
        """
        config, accelerator, task = self.config, self.accelerator, self.task
        data = {"task": task.name, **data}
        validation = TaskValidation(
            task,
            self.tokenizer,
            examples.dev,
            limit=config.max_dev_examples,
            batch_pieces=config.micro_batch_pieces,
        )
        plan = self._plan(examples.train, validation, data)
        record = starting_record(config, accelerator, self.model, verb="finetune", data=data)
        record |= {"learning_rate": self.learning_rate, "head_learning_rate": self.head_learning_rate}
        about = self._about(examples.train, validation, record)
        loop_config = replace(config, learning_rate=self.learning_rate)
        if not config.validate_every:  # once an epoch
            an_epoch = math.ceil(plan.data.num_examples / config.batch_size)
            loop_config = replace(loop_config, validate_every=min(num_steps(config, plan.data.num_examples), an_epoch))
        if accelerator.is_main_process:
            config.output.mkdir(parents=True, exist_ok=True)
        trainer, stopped_by = train_recorded(loop_config, accelerator, self.model, plan, record, about=about)
        if stopped_by:
            result = FinetuneResult(self.model, task, self.tokenizer, {}, record, stopped_by)
        else:
            trainer.load_best()
            result = self._calibrated(self._finished_model(trainer), examples.dev, record)
        for tracker in accelerator.trackers:  # `end_training` would also part the processes: there may be another seed
            tracker.finish()
        return result

    def _rates(self) -> str:
        """The learning rates that count in words, and where those come from that the user did not give."""
        of_encoder = f"{self.learning_rate:.3g}"
        if not self.config.learning_rate:
            width = self.model.config.hidden_size
            of_encoder += f": the default of {self.task.name} for an encoder {width} wide (see --learning-rate)"
        if self.head_learning_rate is None:
            return f"learning rate {of_encoder}"
        of_head = f"of the head {self.head_learning_rate:.3g}"
        if self.config.head_learning_rate is None:
            of_head += ": its default (see --head-learning-rate)"
        if not any(parameter.requires_grad for parameter in self.model.bert.parameters()):
            return f"learning rate {of_head}; the encoder is frozen"
        return f"learning rate {of_encoder}; {of_head}"

    def _plan(
        self, windows: TrainingWindows, validation: TaskValidation[Any, Any], data: Mapping[str, Any]
    ) -> TrainingPlan:
        config = self.config
        return TrainingPlan(
            data=FinetuneData(windows, config.batch_size, config.micro_batch_pieces, seed=config.seed),
            validation={DEV: validation},
            selection=Selection(validation=DEV, metric=self.task.main_metric, patience=config.patience),
            hot_modules=tuple(self.model.bert.encoder.layer),
            head_learning_rate=self.head_learning_rate,
            layer_decay=config.layer_decay,
            fingerprint=course_of_run(config, self.accelerator) | dict(data),
            environment=versions() | {"threads": torch.get_num_threads(), "processor": processor_name()},
        )

    def _finished_model(self, trainer: Trainer) -> TaskModel:
        """The plain model, without the engine's wrapping and without adapters."""
        model: TaskModel = self.accelerator.unwrap_model(trainer.model)
        if self.config.lora_rank:
            if self.accelerator.is_main_process:
                save_adapter(model, self.config.output / "adapter", base=self.config.model)
            merge_lora(model)
        return model

    def _calibrated(
        self, model: TaskModel, dev: Sequence[tuple[Any, Sequence[Window]]], record: dict[str, Any]
    ) -> FinetuneResult:
        """The model with thresholds and temperatures that fit the dev set, and its figures there."""
        predictor = predictor_in_training(
            model, self.task, self.tokenizer, self.accelerator, batch_pieces=self.config.micro_batch_pieces
        )
        scored = list(predictor.score_windows(dev))
        task = self.task.calibrate(scored)
        predicted = [task.decode(one) for one in scored]
        metrics = task.compare([one.example for one in scored], predicted, task.settings).figures()
        return FinetuneResult(model, task, self.tokenizer, metrics, record)

    def _about(
        self, windows: TrainingWindows, validation: TaskValidation[Any, Any], record: Mapping[str, Any]
    ) -> list[str]:
        """What a person sees before the first step."""
        task, model = self.task, self.model
        lines = []
        if self.config.model == DEFAULT_MODEL:
            lines.append(f"starting from {DEFAULT_MODEL}, the default of --model")
        made_up = sorted(set(self._report.new) & model.state_dict().keys())
        if made_up:
            lines.append(f"{self.config.model} lacks {', '.join(made_up)}: made new, as the head is")
        lines += [f"{self.config.model}: {note}" for note in self._report.notes]
        units = "" if task.unit == "example" else f", {counted(len(windows.units), 'window')}"
        lines.append(
            f"{task.name}: {counted(windows.num_examples, 'example')}{units}, "
            f"{counted(windows.num_pieces, 'piece')} an epoch; {counted(windows.num_long, 'example')} "
            f"{'has' if windows.num_long == 1 else 'have'} several windows"
        )
        for name, number in windows.left_out.items():
            lines.append(f"left out of training: {name.removeprefix('left_out_').replace('_', ' ')} ({number:,})")
        trained = count_parameters(parameter for parameter in model.parameters() if parameter.requires_grad)
        lines.append(
            f"{trained:,} trained parameters, "
            f"{counted(num_steps(self.config, len(windows.units)), 'step')}, "
            f"{record['machine']['precision']} on {record['machine']['device_name']}"
        )
        lines.append(self._rates())
        lines.append(f"validating on {counted(len(validation.examples), 'example')} by {task.main_metric}")
        return lines
