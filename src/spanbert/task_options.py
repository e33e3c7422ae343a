"""The command line of the verbs whose options depend on a task: the verb's own, and the task's beside them.

`spanbert finetune TASK`, `check TASK` and `score TASK` name the task; `evaluate` and `predict` take it, and the
defaults of its data options, from the model. A verb's code gets the two apart again: `run(config, task, options)`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.options import CONFIG_FLAG, parse_options, read_toml, take_config_flag
from spanbert.tasks import find_task, task_names

if TYPE_CHECKING:
    from spanbert.task import Task

OptionsT = TypeVar("OptionsT")

Part = Literal["settings", "data"]
"""What a task adds to a verb's options: all its settings, or only how its files are read."""

PRETRAINING = "pretraining"
"""What stands in the config.json of a model that is fine-tuned for no task."""


@dataclass(frozen=True)
class TaskCommand:
    """A command line that was understood: the arguments of a verb's `run`."""

    config: Any
    """The verb's own options."""
    task: type[Task[Any, Any]]
    """The task."""
    options: Any
    """The task's settings, or data options."""


def parse_task_command(verb_options: type[Any], part: Part, words: Sequence[str], *, program: str) -> TaskCommand:
    """Understand `TASK ...`, the words after a verb.

    Raises:
        ConfigurationError: there is no such task, or none was named; and as `parse_options`.
        SystemExit: as `parse_options`; `--help` without a task lists the tasks.
    """
    if not words or words[0] in {"-h", "--help"}:
        print(list_tasks(verb_options, program))
        raise SystemExit(0 if words else 2)
    if words[0].startswith("-"):
        raise ConfigurationError(f"name the task first: {program} TASK {' '.join(words)}; {_the_tasks()}")
    task = _named_task(words[0], program)
    composed = compose_options(verb_options, task, part)
    parsed = parse_options(
        composed,
        words[1:],
        program=f"{program} {task.name}",
        defaults=task.finetuning if part == "settings" else {},
    )
    return TaskCommand(split_options(parsed, verb_options), task, split_options(parsed, _part_of(task, part)))


def parse_model_command(
    verb_options: type[Any], model: str, task_name: str, words: Sequence[str], *, program: str
) -> TaskCommand:
    """Understand the words after a verb that takes a fine-tuned model; what is stored in it are the defaults.

    Raises:
        CheckpointError: the model's config.json cannot be read, or its task is not known here.
        ConfigurationError, SystemExit: as `parse_options`.
    """
    try:
        task = find_task(task_name)
    except ConfigurationError as error:
        raise CheckpointError(f"{model} is fine-tuned for a task that is not installed here: {error}") from error
    composed = compose_options(verb_options, task, "data")
    names = {field.name for field in fields(task.data_options)}
    defaults = {name: value for name, value in stored_settings(model).items() if name in names}
    parsed = parse_options(composed, words, program=program, defaults=defaults)
    return TaskCommand(split_options(parsed, verb_options), task, split_options(parsed, task.data_options))


# Composing


def compose_options(verb_options: type[Any], task: type[Task[Any, Any]], part: Part) -> type[Any]:
    """One dataclass with the verb's fields and, after them, the task's; each keeps its docstrings and annotations."""
    task_options = _part_of(task, part)
    clashes = {field.name for field in fields(verb_options)} & {field.name for field in fields(task_options)}
    assert not clashes, f"{verb_options.__name__} and {task_options.__name__} both have {', '.join(sorted(clashes))}"

    def check_both(self: Any) -> None:
        # Each half checks itself: only one `__post_init__` would be found from here.
        split_options(self, verb_options)
        split_options(self, task_options)

    return make_dataclass(
        f"{verb_options.__name__}Of{task_options.__name__}",
        [],
        bases=(task_options, verb_options),
        namespace={"__doc__": verb_options.__doc__, "__post_init__": check_both},
        frozen=True,
        kw_only=True,
    )


def split_options(config: Any, options_class: type[OptionsT]) -> OptionsT:
    """The fields of `options_class`, taken out of options that were composed with it.

    Raises:
        ConfigurationError: a value is out of range.
    """
    names = [field.name for field in fields(options_class)]  # type: ignore[arg-type]  # options are dataclasses
    return options_class(**{name: getattr(config, name) for name in names})


def _part_of(task: type[Task[Any, Any]], part: Part) -> type[Any]:
    return task.settings_class if part == "settings" else task.data_options


# Which task


def list_tasks(verb_options: type[Any], program: str) -> str:
    """What `--help` shows where no task is named."""
    summary = (verb_options.__doc__ or "").partition("\n\n")[0]
    names = task_names()
    width = max(map(len, names))
    rows = "\n".join(f"  {name:<{width}}  {find_task(name).summary}" for name in names)
    return f"""usage: {program} TASK [OPTIONS]

{" ".join(summary.split())}

{rows}

`{program} TASK --help` explains the options, among them {CONFIG_FLAG} FILE.toml."""


def model_of(words: Sequence[str]) -> str | None:
    """The model among the words after a verb, or in the configuration file they name; None where there is none.

    It is the first word that is a model's folder, else the first that is neither a flag nor follows one: which flags
    take values is only known with the model.
    """
    rest, file = take_config_flag(list(words))
    for word in rest:
        if (Path(word) / "config.json").is_file():
            return word
    for before, word in zip(["", *rest], rest, strict=False):
        if not before.startswith("-") and not word.startswith("-"):
            return word
    model = None if file is None else read_toml(file).get("model")
    return None if model is None else str(model)


def task_of_model(model: str) -> str:
    """The name of the task that a model is fine-tuned for; `PRETRAINING` for every other encoder.

    Raises:
        CheckpointError: there is no such model, or its config.json cannot be read.
    """
    return str(_ours(model).get("task", PRETRAINING))


def stored_settings(model: str) -> dict[str, Any]:
    """The task's settings as a model stores them, JSON's lists as tuples; raises as `task_of_model`."""
    settings = _ours(model).get("settings") or {}
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{model}/config.json: what stands under 'spanbert', 'settings' is not an object")
    return {str(name): _with_tuples(value) for name, value in settings.items()}


def _ours(model: str) -> Mapping[str, Any]:
    folder = Path(model)
    if folder.is_file():
        return {}  # a tarball or a checkpoint of the original release
    if not folder.is_dir():
        from spanbert.checkpoint_sources import model_folder

        folder = model_folder(model, tokenizer_only=True)
    path = folder / "config.json"
    try:
        ours = json.loads(path.read_text(encoding="utf-8")).get("spanbert") or {}
    except FileNotFoundError:
        return {}  # whoever loads the model says what is missing
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(ours, Mapping):
        raise CheckpointError(f"{path}: what stands under 'spanbert' is not an object")
    return ours


def _with_tuples(value: Any) -> Any:
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value


def _named_task(name: str, program: str) -> type[Task[Any, Any]]:
    try:
        return find_task(name)
    except ConfigurationError as error:
        if Path(name).exists():
            raise ConfigurationError(
                f"{name} is a file or folder; the task comes first: {program} TASK {name}; {_the_tasks()}"
            ) from error
        raise


def _the_tasks() -> str:
    return f"the tasks are {', '.join(task_names())}"
