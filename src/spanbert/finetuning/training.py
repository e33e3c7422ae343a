"""From examples in memory to the best model: what `spanbert finetune` and the estimators share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate.utils import DistributedType

from spanbert.checkpoints import LoadReport
from spanbert.encoder import count_parameters
from spanbert.errors import ConfigurationError, TrainingError
from spanbert.finetuning.adapters import add_lora, merge_lora, save_adapter
from spanbert.finetuning.config import FinetuneConfig
from spanbert.finetuning.data import FinetuneData, TrainingWindows
from spanbert.finetuning.validation import TaskValidation, predictor_in_training
from spanbert.predicting import Predictor
from spanbert.special_pieces import add_special_pieces
from spanbert.task import Task
from spanbert.task_checkpoints import new_task_model
from spanbert.task_model import TaskModel
from spanbert.tokenization import PieceTokenizer
from spanbert.training.contract import Selection, TrainingPlan
from spanbert.training.devices import make_accelerator, processor_name
from spanbert.training.loop import num_steps
from spanbert.training.optimizers import freeze_layers
from spanbert.training.record import versions
from spanbert.training.run import course_of_run, output_of_our_own, starting_record, train_recorded

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
        config: see `FinetuneConfig`; `config.output` gets checkpoints, curves and the record, but no model.
        data: what the record says of the examples, such as hashes of their files; a run whose data differ is not
            resumed.

    Raises:
        InputError: nothing can be learned from the examples, or one cannot be shown to the encoder.
        ConfigurationError: options contradict each other, the model, or the run in the output folder.
        CheckpointError: the model, or every checkpoint to resume from, cannot be used.
        TrainingError: the loss is not a number, or the disk is full.
    """
    accelerator = make_accelerator(config)
    if accelerator.distributed_type == DistributedType.FSDP:
        raise ConfigurationError("fine-tuning does not run under FSDP: launch without --use_fsdp (DDP)")
    task = task.learn(train)
    model, tokenizer, report = new_task_model(
        task,
        config.model,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        seed=config.seed,
    )
    freeze_layers(model, config.freeze_layers)
    if config.lora_rank:
        torch.manual_seed(config.seed)
        add_lora(model, rank=config.lora_rank, alpha=config.lora_alpha, dropout=config.lora_dropout)
    add_special_pieces(model, tokenizer, task.extra_pieces)
    _check_length(task, model)
    windows = TrainingWindows.of(task, train, tokenizer)
    validation = TaskValidation(
        task, tokenizer, dev, limit=config.max_dev_examples, batch_pieces=config.micro_batch_pieces
    )
    plan = TrainingPlan(
        data=FinetuneData(windows, config.batch_size, config.micro_batch_pieces, seed=config.seed),
        validation={DEV: validation},
        selection=Selection(validation=DEV, metric=task.main_metric, patience=config.patience),
        hot_modules=tuple(model.bert.encoder.layer),
        head_learning_rate=config.head_learning_rate,
        layer_decay=config.layer_decay,
        fingerprint=course_of_run(config, accelerator) | dict(data or {}),
        environment=versions() | {"threads": torch.get_num_threads(), "processor": processor_name()},
    )
    total = num_steps(config, plan.data.num_examples)
    if not config.validate_every:  # once an epoch
        config = replace(config, validate_every=min(total, math.ceil(len(windows.units) / config.batch_size)))
    record = starting_record(config, accelerator, model, verb="finetune", data={"task": task.name, **(data or {})})
    about = _about(config, task, windows, validation, report, model, record)
    try:
        with output_of_our_own(config) if accelerator.is_main_process else nullcontext():
            trainer, stopped_by = train_recorded(config, accelerator, model, plan, record, about=about)
            if not stopped_by:
                trainer.load_best()
    except OSError as error:
        raise TrainingError(
            f"{config.output}: cannot be written: {error.strerror or error}; make room and go on with --resume"
        ) from error
    if stopped_by:
        return FinetuneResult(model, task, tokenizer, {}, record, stopped_by)
    model = accelerator.unwrap_model(trainer.model)
    if config.lora_rank:
        if accelerator.is_main_process:
            save_adapter(model, config.output / "adapter", base=config.model)
        merge_lora(model)
    predictor = predictor_in_training(model, task, tokenizer, accelerator, batch_pieces=config.micro_batch_pieces)
    task, metrics = calibrated(predictor, task, dev)
    return FinetuneResult(model, task, tokenizer, metrics, record)


def calibrated(
    predictor: Predictor[Any, Any], task: Task[Any, Any], dev: Sequence[Any]
) -> tuple[Task[Any, Any], dict[str, float]]:
    """The task with thresholds and temperatures that fit the dev set, and its figures there."""
    scored = list(predictor.score(dev))
    task = task.calibrate(scored)
    return task, task.compare(dev, [task.decode(one) for one in scored], task.settings).figures()


def _check_length(task: Task[Any, Any], model: TaskModel) -> None:
    limit = int(model.config.max_position_embeddings)
    if task.settings.max_length > limit:
        raise ConfigurationError(f"--max-length {task.settings.max_length}: the model's position table has {limit}")


def _about(
    config: FinetuneConfig,
    task: Task[Any, Any],
    windows: TrainingWindows,
    validation: TaskValidation[Any, Any],
    report: LoadReport,
    model: TaskModel,
    record: Mapping[str, Any],
) -> list[str]:
    """What a person sees before the first step."""
    units = "" if task.unit == "example" else f", {len(windows.units):,} windows"
    trained = count_parameters(parameter for parameter in model.parameters() if parameter.requires_grad)
    lines = [
        f"{task.name}: {windows.num_examples:,} examples{units}, {windows.num_pieces:,} pieces an epoch; "
        f"{windows.num_long:,} examples are longer than one window",
        f"{trained:,} trained parameters, {num_steps(config, len(windows.units)):,} steps, "
        f"{record['machine']['precision']} on {record['machine']['device_name']}",
        f"validating on {len(validation.examples):,} examples by {task.main_metric}",
    ]
    for name, number in windows.left_out.items():
        lines.insert(1, f"left out of training: {number:,} {name.removeprefix('left_out_').replace('_', ' ')}")
    made_up = [name for name in report.new if name.startswith("bert.")]
    if made_up and any(name.removeprefix("bert.") in model.bert.state_dict() for name in made_up):
        lines.insert(0, f"{config.model} lacks {', '.join(made_up)}: made new, as the head is")
    return lines
