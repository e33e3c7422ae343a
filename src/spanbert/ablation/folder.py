"""The folder of an ablation: what stands where, and what `spanbert info` says of it. Free of torch.

    ablation.json                       options, corpus, tasks, and what was asked for last
    rows/ROW/seed-SEED/pretraining/     encoder/, times.json, measured.json
    rows/ROW/seed-SEED/tasks/TASK/      model/, predictions.jsonl, measured.json
    README.md, ablation.png, results.json

`measured.json` is written last: where it is, nothing is left to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from spanbert.ablation.config import ROWS, AblateConfig, RowName
from spanbert.durable_files import is_locked
from spanbert.errors import CheckpointError
from spanbert.read_summary import counted
from spanbert.tasks.pretraining.size_options import SizeOptions

RECORD = "ablation.json"
LOCK = ".lock"
TABLE = "README.md"
PICTURE = "ablation.png"
FIGURES = "results.json"

_MEASURED = "measured.json"


@dataclass(frozen=True)
class Cell:
    """A pre-trained encoder: a row of the ablation and a seed.

    Attributes:
        row: how it is pre-trained.
        seed: of its weights, masks and order, and of its fine-tuning.
        folder: of all its runs.
    """

    row: RowName
    seed: int
    folder: Path

    @classmethod
    def of(cls, output: Path, row: RowName, seed: int) -> Cell:
        """The cell of a row and a seed in an ablation's folder."""
        return cls(row, seed, output / "rows" / row / f"seed-{seed}")

    @property
    def lock(self) -> Path:
        """Held by the process whose encoder this is at the moment."""
        return self.folder / LOCK

    @property
    def pretraining(self) -> Path:
        """Folder of the pre-training."""
        return self.folder / "pretraining"

    @property
    def encoder(self) -> Path:
        """The pre-trained model."""
        return self.pretraining / "encoder"

    def of_task(self, folder: str) -> Path:
        """Folder of a fine-tuning, by `task_folder`."""
        return self.folder / "tasks" / folder


def cells_of(config: AblateConfig) -> list[Cell]:
    """All encoders, in the order they are made: the first seed of every row, then the second of those that have one."""
    seeds = config.seeds_of_rows
    most = max(map(len, seeds.values()))
    return [
        Cell.of(config.output, row, seeds[row][number])
        for number in range(most)
        for row in config.rows
        if number < len(seeds[row])
    ]


def task_folder(name: str) -> str:
    """The name of a task's folders; empty where the task's name has no letter and no digit."""
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def measured(folder: Path) -> dict[str, Any] | None:
    """What a finished run's `measured.json` says; None where it is not finished.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / _MEASURED
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete it, and it is measured anew") from error


def read_ablation(output: Path) -> dict[str, Any] | None:
    """What the record of an ablation's folder says; None where there is none.

    Raises:
        CheckpointError: it is damaged, or of an earlier version.
    """
    path = output / RECORD
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        parts: dict[str, Any] = {key: dict(record[key]) for key in ("options", "tasks", "versions", "asked_for")}
        return {**parts, "corpus": str(record["corpus"])}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged, or of an earlier version ({error!r}): `spanbert ablate` needs another --output"
        ) from error


def asked_for(config: AblateConfig, tasks: list[str]) -> dict[str, Any]:
    """The rows with their seeds and the tasks that a command asks for, as the record has them."""
    return {"rows": {row: list(seeds) for row, seeds in config.seeds_of_rows.items()}, "tasks": tasks}


def describe_ablation(output: Path) -> dict[str, Any] | None:
    """What `spanbert info` says of an ablation's folder, as JSON values; None for other folders.

    Raises:
        CheckpointError: its record is damaged, or of an earlier version.
    """
    record = read_ablation(output)
    if record is None:
        return None
    try:
        return _description(output, record)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{output / RECORD} is damaged ({error!r})") from error


def _description(output: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    seeds, names = record["asked_for"]["rows"], record["asked_for"]["tasks"]
    cells = {row: [Cell.of(output, row, seed) for seed in seeds[row]] for row in ROWS if row in seeds}
    rows = {
        row: {"words": ROWS[row].words, "encoders": _done([cell.pretraining for cell in of_row])}
        for row, of_row in cells.items()
    }
    every = [cell for of_row in cells.values() for cell in of_row]
    tasks = {
        name: {
            "task": record["tasks"][name]["task"],
            "metric": record["tasks"][name]["metric"],
            "models": _done([cell.of_task(task_folder(name)) for cell in every]),
        }
        for name in names
    }
    counts = [row["encoders"] for row in rows.values()] + [task["models"] for task in tasks.values()]
    runs = {key: sum(count[key] for count in counts) for key in ("done", "asked_for")}
    running = any(is_locked(cell.lock) for cell in every)
    status = "running" if running else "unfinished: the same command goes on"
    options = record["options"]
    layers, width, heads = SizeOptions(**{field.name: options[field.name] for field in fields(SizeOptions)}).shape
    return {
        "kind": "ablation",
        "path": str(output),
        "status": "finished" if runs["done"] == runs["asked_for"] else status,
        "runs": runs,
        "rows": rows,
        "tasks": tasks,
        "size": {"layers": layers, "width": width, "attention_heads": heads},
        "table": str(output / TABLE) if (output / TABLE).is_file() else None,
        **{key: record[key] for key in ("options", "corpus", "versions")},
    }


def _done(folders: Sequence[Path]) -> dict[str, int]:
    return {"done": sum((folder / _MEASURED).exists() for folder in folders), "asked_for": len(folders)}


def for_people(description: Mapping[str, Any]) -> dict[str, Any]:
    """What one asks first of a folder that `describe_ablation` describes: each thing on a line."""
    size, options = description["size"], description["options"]
    return {
        **{key: description[key] for key in ("kind", "path", "status")},
        "runs": f"{_of(description['runs'])} done",
        "rows": {
            name: f"{_of(row['encoders'])} pre-trained: {row['words']}" for name, row in description["rows"].items()
        },
        "tasks": {
            name: f"{_of(task['models'])} fine-tuned: {task['task']}, {task['metric']}"
            for name, task in description["tasks"].items()
        },
        "size": f"{counted(size['layers'], 'layer')} x {size['width']}, "
        f"{counted(size['attention_heads'], 'attention head')}",
        "pre-training": f"{counted(options['steps'], 'step')} of {counted(options['batch_size'], 'block')} of at most "
        f"{options['sequence_length']} pieces, {options['optimizer']} at {options['learning_rate']:g}",
        "table": description["table"],
    }


def _of(count: Mapping[str, int]) -> str:
    return f"{count['done']:,} of {count['asked_for']:,}"
