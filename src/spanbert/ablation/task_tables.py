"""The tasks of an ablation, from a TOML file: a table [[tasks]] for each, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spanbert.ablation.config import AblateConfig
from spanbert.ablation.folder import task_folder
from spanbert.durable_files import hash_file
from spanbert.errors import ConfigurationError
from spanbert.example_sets import load_examples
from spanbert.finetuning.config import FinetuneFilesConfig
from spanbert.options import parse_values, read_toml
from spanbert.task import Task
from spanbert.task_options import compose_options, split_options
from spanbert.tasks import find_task

_OUR_OWN = frozenset(
    {
        "model", "output", "seed", "seeds", "resume", "overwrite", "quiet", "tracker", "device", "precision", "threads",
        "golden", "keep_checkpoints",
    }
)  # fmt: skip
"""Options of `spanbert finetune` that the ablation sets."""


@dataclass(frozen=True, kw_only=True)
class _Table(FinetuneFilesConfig):
    """A table [[tasks]]: options of `spanbert finetune`, and what else the ablation needs to know."""

    name: str
    """What people call it."""

    task: str
    """The task, as `spanbert finetune` takes it."""

    test: Path
    """Examples to measure on, which nothing is learned from."""

    metric: str
    """The figure to compare, by its name in `spanbert evaluate`."""


@dataclass(frozen=True)
class AblationTask:
    """A task that every encoder is fine-tuned for.

    Attributes:
        name: for people.
        folder: the same for the file system.
        kind: the task.
        settings: the task's, as the user gave them.
        options: of `FinetuneFilesConfig`, but for those that the ablation sets.
        test: the examples to measure on.
        metric: the figure to compare.
        stored: all of these as JSON values, with hashes of the files.
    """

    name: str
    folder: str
    kind: type[Task[Any, Any]]
    settings: Any
    options: Mapping[str, Any]
    test: Path
    metric: str
    stored: Mapping[str, Any]

    def finetuning(self, config: AblateConfig, *, model: Path, output: Path, seed: int) -> FinetuneFilesConfig:
        """The options of one fine-tuning, which goes on where an earlier one in the folder stopped."""
        return FinetuneFilesConfig(
            **self.options,
            model=str(model),
            output=output,
            seed=seed,
            resume=(output / "run.json").exists(),
            keep_checkpoints=1,
            quiet=config.quiet,
            device=config.device,
            precision=config.precision,
            threads=config.threads,
        )


def read_tasks(config: AblateConfig, *, say: Callable[[str], None]) -> list[AblationTask]:
    """The tasks of the file that --tasks names; none without it.

    Every training, dev and test file is read once, so that nothing is wrong with it after hours of pre-training.

    Args:
        config: see `AblateConfig`.
        say: gets a line for each kind of problem of the data files.

    Raises:
        ConfigurationError: the file is not TOML, a key is missing or unknown (the nearest right one is told), a value
            is out of range, two tasks have one name, or a task has no such figure.
        InputError: a data file cannot be read.
    """
    path = config.tasks
    if path is None:
        return []
    values = read_toml(path)
    if unknown := [key for key in values if key != "tasks"]:
        raise ConfigurationError(f"{path}: unknown key {unknown[0]!r}: the file has tables [[tasks]] and nothing else")
    tables = values.get("tasks")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{path}: has no table [[tasks]]: write one for each task")
    tasks: list[AblationTask] = []
    for number, table in enumerate(tables, 1):
        where = f"{path}, task {number}" + (f" ({table['name']!r})" if "name" in table else "")
        task = _read_table(table, config, path.parent, where)
        if same := [other for other in tasks if other.folder == task.folder]:
            raise ConfigurationError(
                f"{where}: {same[0].name!r} stands before it and would share its folder: rename it"
            )
        _try_data(task, where, say)
        tasks.append(task)
    return tasks


def _read_table(table: Mapping[str, Any], config: AblateConfig, folder: Path, where: str) -> AblationTask:
    for key in ("name", "task", "train", "test", "metric"):
        if key not in table:
            raise ConfigurationError(f"{where}: {key} is missing{_nearest(key, table)}")
    if ours := sorted(_OUR_OWN & table.keys()):
        raise ConfigurationError(
            f"{where}: {ours[0]!r} is not for a task: `spanbert ablate` sets it, the same for all runs"
        )
    try:
        kind = find_task(str(table["task"]))
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    composed = compose_options(_Table, kind, "settings")
    values = {**kind.finetuning, **parse_values(composed, table, what=where)}
    values = {name: folder / value if isinstance(value, Path) else value for name, value in values.items()}
    try:
        whole = composed(**values, model="", output=Path())
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    slug = task_folder(whole.name)
    if not slug:
        raise ConfigurationError(f"{where}: name: {whole.name!r} has no letter and no digit")
    settings = split_options(whole, kind.settings_class)
    if settings.max_length > config.max_positions:
        raise ConfigurationError(
            f"{where}: max_length {settings.max_length} is more than --max-positions {config.max_positions}"
        )
    names = {field.name for field in fields(FinetuneFilesConfig)} - _OUR_OWN
    options = {name: getattr(whole, name) for name in names}
    files = {key: getattr(whole, key) for key in ("train", "dev", "test") if getattr(whole, key) is not None}
    if missing := [file for file in files.values() if not file.is_file()]:
        raise ConfigurationError(f"{where}: there is no file {missing[0]}")
    stored = {name: str(value) if isinstance(value, Path) else value for name, value in {**values, **options}.items()}
    stored["files"] = {str(file): hash_file(file) for file in files.values()}
    return AblationTask(whole.name, slug, kind, settings, options, whole.test, whole.metric, _as_json(stored))


def _try_data(task: AblationTask, where: str, say: Callable[[str], None]) -> None:
    """Read the files, and see whether the task has the figure."""
    for key in ("train", "dev"):
        if (file := task.options[key]) is not None:
            load_examples(task.kind, file, task.settings, strict=task.options["strict"], say=say)
    gold = [one.example for one in load_examples(task.kind, task.test, task.settings, strict=False, say=say)]
    figures = task.kind.compare(gold, [None] * len(gold), task.settings).figures()
    if task.metric not in figures:
        known = [name for name in figures if "/" not in name]
        nearest = get_close_matches(task.metric, list(figures), n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(known)}"
        raise ConfigurationError(f"{where}: metric: {task.kind.name} has no figure {task.metric!r}: {hint}")


def _nearest(key: str, table: Mapping[str, Any]) -> str:
    found = get_close_matches(key, list(table), n=1)
    return f"; is {found[0]!r} meant for it?" if found else ""


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _as_json(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(inner) for inner in value]
    return value
