"""A training run around its loop: the folder it alone writes to, its record, and what happens when it ends."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from torch import nn

from spanbert.durable_files import locked
from spanbert.encoder import count_parameters
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.training.config import TrainingConfig
from spanbert.training.contract import TrainingPlan
from spanbert.training.devices import describe_machine
from spanbert.training.loop import Trainer, num_steps
from spanbert.training.progress import make_reporter
from spanbert.training.record import command_line, now, read_history, versions, write_json

# What may differ between a run and its resumption: these do not touch its course.
FREE_TO_CHANGE = frozenset(
    {
        "output", "resume", "overwrite", "quiet", "tracker", "keep_checkpoints", "save_every", "estimate", "golden",
        "strict",
    }
)  # fmt: skip

_LOCK = ".lock"


def check_output(config: TrainingConfig, sources: Sequence[Path]) -> None:
    """Refuse an output folder that is not ours to write to, or that holds what the run reads.

    Raises:
        ConfigurationError: says which, and what to do.
    """
    output = config.output
    for parent in (output, *output.parents):
        if parent.exists() and not parent.is_dir():
            raise ConfigurationError(f"{parent}: is a file; --output names a folder")
    for source in sources:
        if source.exists() and source.resolve().is_relative_to(output.resolve()):
            raise ConfigurationError(f"{output}: holds {source}, which this run reads: choose another --output")
    holds_run = (output / "run.json").exists()
    if output.exists() and any(path.name != _LOCK for path in output.iterdir()) and not holds_run:
        raise ConfigurationError(f"{output}: is not empty and holds no run of ours: choose another --output")
    if holds_run and not (config.resume or config.overwrite):
        raise ConfigurationError(
            f"{output}: already holds a run: go on with --resume, replace it with --overwrite, or choose another "
            "--output"
        )


@contextmanager
def output_of_our_own(config: TrainingConfig) -> Iterator[None]:
    """Make the output folder, empty it where that was asked for, and keep other runs out while this one lasts.

    Raises:
        ConfigurationError: another run is writing to it.
    """
    config.output.mkdir(parents=True, exist_ok=True)
    path_of_lock = config.output / _LOCK
    with locked(path_of_lock) as ours:
        if not ours:
            raise ConfigurationError(
                f"{config.output}: another run is writing to it: wait for it, or choose another --output"
            )
        if config.overwrite:
            for path in config.output.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path != path_of_lock:
                    path.unlink()
        yield


def config_as_json(config: Any) -> dict[str, Any]:
    """A configuration dataclass as JSON values."""
    return {key: _json_value(value) for key, value in dataclasses.asdict(config).items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_json_value(item) for item in value]
    return value


def read_record(output: Path) -> dict[str, Any]:
    """What run.json says of the run in a folder; empty where there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    path = output / "run.json"
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(
            f"{path}: the record of the run is damaged ({error}): start again with --overwrite"
        ) from error
    return dict(record) if isinstance(record, dict) else {}


def shaping_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's options, as JSON values, that touch its course."""
    return {key: value for key, value in options.items() if key not in FREE_TO_CHANGE}


def course_of_run(config: TrainingConfig, accelerator: Accelerator) -> dict[str, Any]:
    """Everything of the options and the machine that shapes the course of a run, as JSON values.

    Another device, precision or number of processes gives another run.
    """
    machine = describe_machine(accelerator)
    return shaping_options(config_as_json(config)) | {
        name: machine[name] for name in ("device", "precision", "processes")
    }


def starting_record(
    config: TrainingConfig, accelerator: Accelerator, model: nn.Module, *, verb: str, data: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of a run that begins; a run that is resumed keeps its first command and time, and notes when it went
    on.

    Raises:
        CheckpointError: the record of the run that is resumed is damaged.
    """
    before = read_record(config.output) if config.resume else {}
    return {
        "verb": verb,
        "status": "running",
        "command": before.get("command", command_line()),
        "started": before.get("started", now()),
        "resumed": [*before.get("resumed", []), now()] if before else [],
        "versions": versions(),
        "machine": describe_machine(accelerator),
        "config": config_as_json(config),
        "parameters": count_parameters(model.parameters()),
        **data,
    }


def train_recorded(
    config: TrainingConfig,
    accelerator: Accelerator,
    model: nn.Module,
    plan: TrainingPlan,
    record: Mapping[str, Any],
    *,
    about: Sequence[str],
) -> tuple[Trainer, int]:
    """Run the loop, from its newest checkpoint with --resume, and keep the record in step with it.

    Args:
        config: the options.
        accelerator: the engine.
        model: what is trained.
        plan: what the task brings.
        record: from `starting_record`.
        about: lines that a person sees before the first step.

    Returns:
        The trainer, and 0 or the number of the signal after which it saved its state and stopped.
    """
    if accelerator.is_main_process and not config.resume:
        write_json(config.output / "run.json", record)
    accelerator.wait_for_everyone()
    accelerator.init_trackers("spanbert", config=_for_trackers(plan.fingerprint))
    quiet = config.quiet or not accelerator.is_main_process
    with make_reporter(num_steps(config, plan.data.num_examples), quiet=quiet) as reporter:
        for line in about:
            reporter.say(line)
        trainer = Trainer(model, plan, config, accelerator, reporter)
        if config.resume:
            trainer.restore()
        if accelerator.is_main_process:
            write_json(config.output / "run.json", record)
        try:
            stopped_by = trainer.run()
        except Exception as error:
            if accelerator.is_main_process:
                failed = {**record, "status": "failed", "error": str(error), "ended": now()}
                write_json(config.output / "run.json", failed)
            raise
    return trainer, stopped_by


def _for_trackers(values: Mapping[str, Any]) -> dict[str, Any]:
    """Trackers take numbers, strings and booleans only."""
    return {name: value if isinstance(value, (int, float, str, bool)) else str(value) for name, value in values.items()}


def last_metrics(output: Path) -> dict[str, dict[str, float]]:
    """The last metrics of every validation set in a run's history."""
    path = output / "history.jsonl"
    metrics: dict[str, dict[str, float]] = {}
    for row in read_history(path) if path.exists() else []:
        if row["set"] != "training":
            metrics[row["set"]] = {key: value for key, value in row.items() if key != "set"}
    return metrics
