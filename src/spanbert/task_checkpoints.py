"""Models of tasks as folders: made from an encoder, saved with all they need, and loaded again or refused."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor
from transformers import initialization

from spanbert.checkpoint_saving import HalfPrecision, stored_form, write_model_folder
from spanbert.checkpoint_sources import Source, load_tokenizer, model_folder, open_source
from spanbert.checkpoints import LoadReport, load_pretraining_model
from spanbert.encoder import SpanBertConfig
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.model_differences import (
    DIFFERENCE_FILE,
    WHOLE_FILE,
    Base,
    hash_of_base,
    name_of_base,
    split_by_base,
)
from spanbert.special_pieces import add_special_pieces
from spanbert.task import Task
from spanbert.task_model import TaskModel
from spanbert.tasks import find_task
from spanbert.tasks.pretraining.head import FORMAT
from spanbert.tokenization import PieceTokenizer

AnyTask = Task[Any, Any]


def new_task_model(
    task: AnyTask,
    name_or_path: str | Path,
    *,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    seed: int = 0,
) -> tuple[TaskModel, PieceTokenizer, LoadReport]:
    """A model for a task: the encoder of any BERT-like model under a new head.

    Args:
        task: what the head is for.
        name_or_path: a folder or hub name.
        dropout: replaces the encoder's dropout of states.
        attention_dropout: replaces that of attention weights.
        seed: of the head's initial values.

    Returns:
        The model, its tokenizer (with the task's own special pieces), and what became of the tensors of the source.

    Raises:
        CheckpointError: there is no such model, or it is not BERT's.
    """
    source, report = load_pretraining_model(
        name_or_path, dropout=dropout, attention_dropout=attention_dropout, seed=seed
    )
    if report.task is not None:  # nobody expects a pre-trained model to have a head for the task
        note = f"its head, trained for {report.task}, is not used: the new one begins at random"
        report = dataclasses.replace(report, notes=(*report.notes, note))
    if report.trained_positions is not None and task.settings.max_length > report.trained_positions:
        note = (
            f"only {report.trained_positions} positions of it are trained, and windows have up to "
            f"{task.settings.max_length} pieces: give --max-length {report.trained_positions}, or pre-train it on with "
            f"--sequence-length {task.settings.max_length}"
        )
        report = dataclasses.replace(report, notes=(*report.notes, note))
    encoder = source.bert
    fields = json.loads(source.config.to_json_string()) | {"spanbert": _description(task), **task.model_fields()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model_class()(SpanBertConfig(**fields))
    state = encoder.state_dict()
    if model.bert.pooler is None:
        state = {name: value for name, value in state.items() if not name.startswith("pooler.")}
    with torch.no_grad(), initialization.no_init_weights():
        model.bert.load_state_dict(state)
    tokenizer = load_tokenizer(name_or_path)
    add_special_pieces(model, tokenizer, task.extra_pieces)
    return model, tokenizer, report


def save_task_model(
    model: TaskModel,
    task: AnyTask,
    tokenizer: PieceTokenizer,
    folder: str | Path,
    *,
    half_precision: HalfPrecision | None = None,
    base: str | Path | None = None,
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write a folder that `load_task_model` opens; without a base transformers opens it too, as
    `model.transformers_class`.

    Args:
        model: the trained model.
        task: with everything it learned; stored in config.json.
        tokenizer: the model's.
        folder: where to; it appears whole or not at all.
        half_precision: store the weights in 16 bits. They are computed with in 32 bits all the same.
        base: store only the tensors that this model does not have: a folder, or a name as `model_folder` takes it, with
            a model.safetensors. Whatever opens the folder needs the base, and `transformers` cannot open it.
        extra_files: name -> text of further files, such as a model card.

    Raises:
        CheckpointError: the base cannot be read, has no model.safetensors, or is the folder itself; or a weight does
            not fit into 16 bits.
        OSError: the disk is full or failing.
    """
    folder = Path(folder)
    config: dict[str, Any] = json.loads(model.config.to_json_string())
    config |= task.model_fields()
    config |= {"architectures": [model.transformers_class], "model_type": "bert", "dtype": "float32"}
    config["spanbert"] = _description(task)
    if base is not None and model_folder(base).resolve() == folder.resolve():
        raise CheckpointError(f"{folder} is the base itself, and would be lost: write to another folder")
    weights, shared = _to_be_stored(model, half_precision, base)
    if base is not None:
        digest = hash_of_base(model_folder(base), str(base))
        config["spanbert"]["base"] = Base(name_of_base(base, folder), digest, tuple(shared)).to_json()
    write_model_folder(
        folder,
        weights,
        config,
        tokenizer,
        num_positions=model.config.max_position_embeddings,
        extra_files=extra_files or {},
        weights_file=WHOLE_FILE if base is None else DIFFERENCE_FILE,
    )


def round_as_stored(model: TaskModel, half_precision: HalfPrecision | None, base: str | Path | None) -> bool:
    """Give a model the numbers that it has after `save_task_model` and `load_task_model`; whether any is another one.

    Raises:
        CheckpointError: the base cannot be read, or a weight does not fit into 16 bits.
    """
    stored, shared = _to_be_stored(model, half_precision, base)
    state = model.state_dict()
    changed = {
        name: value for name, value in (stored | shared).items() if not torch.equal(value.float(), state[name].cpu())
    }
    model.load_state_dict(changed, strict=False)
    return bool(changed)


def _to_be_stored(
    model: TaskModel, half_precision: HalfPrecision | None, base: str | Path | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors of a model as they are written, and those that its base has."""
    values = {name: value.detach().to("cpu", torch.float32) for name, value in model.state_dict().items()}
    weights = {name: stored_form(name, value, half_precision) for name, value in values.items()}
    if base is None:
        return weights, {}
    with open_source(base) as source:
        return split_by_base(values, weights, source)


def load_task_model(folder: str | Path) -> tuple[TaskModel, AnyTask, PieceTokenizer]:
    """Open what `save_task_model` wrote, from a folder or the hub.

    Raises:
        CheckpointError: it is damaged, has no task's head, or was written by a newer version; nothing is made up.
    """
    tokenizer = load_tokenizer(folder)
    with open_source(folder) as source:
        task = _stored_task(source)
        model = _without_values(source, task)
        _read_values(source, model)
        limits = {
            "its tokenizer has {:,} pieces and its model {:,}": (tokenizer.vocab_size, model.config.vocab_size),
            "its windows have {:,} pieces and its position table {:,}": (
                task.settings.max_length,
                model.config.max_position_embeddings,
            ),
        }
        for message, (number, limit) in limits.items():
            if number > limit:
                raise CheckpointError(f"{source.name}: {message.format(number, limit)}: they do not belong together")
    model.train(False)
    return model, task, tokenizer


def stored_task_name(folder: str | Path) -> str | None:
    """The task that a model folder on this disk was fine-tuned for; None for other models and for what is no folder."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
        name = config["spanbert"]["task"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if name == "pretraining" else str(name)


def _description(task: AnyTask) -> dict[str, Any]:
    return {"format": FORMAT, "task": task.name, "settings": dataclasses.asdict(task.settings)}


def _without_values(source: Source, task: AnyTask) -> TaskModel:
    """The model that a configuration means; its parameters have room and no values yet."""
    fields = {name: value for name, value in source.config.items() if name not in {"architectures", "dtype"}}
    try:
        with torch.device("meta"):
            model = task.model_class()(SpanBertConfig(**fields))
    except (StrictDataclassError, ConfigurationError, TypeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{source.name}: its config.json is not that of a {task.name} model: {error}") from error
    model.to_empty(device="cpu")
    return model


def _read_values(source: Source, model: TaskModel) -> None:
    parameters = model.state_dict()
    _refuse_other_tensors(source, set(parameters))
    for name, value in parameters.items():
        entry = source.tensors[name]
        if tuple(entry.shape) != tuple(value.shape):
            raise CheckpointError(
                f"{source.name}: the tensor {name} has the shape {list(entry.shape)} and its configuration means "
                f"{list(value.shape)}: weights and config.json do not belong together"
            )
        if "float" not in entry.dtype:
            raise CheckpointError(f"{source.name}: the tensor {name} is stored as {entry.dtype}, not as float numbers")
        try:
            value.copy_(entry.read())
        except SafetensorError as error:
            raise CheckpointError(f"{source.name}: the tensor {name} cannot be read: {error}") from error


def _stored_task(source: Source) -> AnyTask:
    described = source.config.get("spanbert") or {}
    for key, kind in (("format", int), ("task", str), ("settings", dict)):
        if not isinstance(described.get(key, kind()), kind):
            raise CheckpointError(f"{source.name}: config.json is damaged: its {key!r} is no {kind.__name__}")
    if described.get("format", FORMAT) > FORMAT:
        raise CheckpointError(
            f"{source.name} was written by a newer version of this package (format {described['format']}, this version "
            f"reads up to {FORMAT}): pip install --upgrade spanbert"
        )
    if described.get("task", "pretraining") == "pretraining":
        raise CheckpointError(
            f"{source.name} is not fine-tuned for any task, and no head is made up: fine-tune it with "
            f"`spanbert finetune TASK --model {source.name} ...`"
        )
    try:
        task_class = find_task(described["task"])
    except ConfigurationError as error:
        raise CheckpointError(f"{source.name}: {error}") from error
    return task_class(settings_from_json(task_class.settings_class, described.get("settings", {}), source.name))


def settings_from_json(settings_class: type[Any], values: Mapping[str, Any], name: str) -> Any:
    """Settings out of config.json, where tuples are lists.

    Raises:
        CheckpointError: a setting is unknown here, or has an impossible value.
    """
    known = {field.name for field in dataclasses.fields(settings_class)}
    if unknown := sorted(set(values) - known):
        raise CheckpointError(
            f"{name}: its settings {', '.join(unknown)} are unknown to this version: pip install --upgrade spanbert"
        )
    try:
        settings = settings_class(**{key: _tuples(value) for key, value in values.items()})
        for field in dataclasses.fields(settings):
            _refuse_other_kind(field.name, getattr(settings, field.name), field.default)
        return settings
    except (TypeError, ValueError, ConfigurationError) as error:
        raise CheckpointError(f"{name}: its settings in config.json are damaged: {error}") from error


def _refuse_other_kind(name: str, value: Any, default: Any) -> None:
    kind: Any = (float, int) if isinstance(default, float) else type(default)
    if isinstance(default, bool | int | float | str | tuple) and not isinstance(value, kind):
        raise TypeError(f"{name} is {value!r}")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _refuse_other_tensors(source: Source, expected: set[str]) -> None:
    missing, surplus = sorted(expected - set(source.tensors)), sorted(set(source.tensors) - expected)
    if missing or surplus:
        said = [f"{what} {', '.join(names[:4])}" for what, names in (("lacks", missing), ("has", surplus)) if names]
        raise CheckpointError(
            f"{source.name}: its weights do not fit its task: it {' and '.join(said)}: the folder is damaged, or was "
            "written by another version"
        )
