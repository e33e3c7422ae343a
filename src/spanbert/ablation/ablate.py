"""`spanbert ablate`: encoders pre-trained in several ways, fine-tuned for several tasks, and compared."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from spanbert.ablation.cells import finetune_cell, pretrain_cell
from spanbert.ablation.config import ROWS, AblateConfig
from spanbert.ablation.folder import (
    FIGURES,
    LOCK,
    PICTURE,
    RECORD,
    TABLE,
    Cell,
    asked_for,
    cells_of,
    measured,
    read_ablation,
)
from spanbert.ablation.plot import draw
from spanbert.ablation.results import Results, collect
from spanbert.ablation.tables import readme, tables_of
from spanbert.ablation.task_tables import AblationTask, read_tasks
from spanbert.durable_files import is_locked, locked
from spanbert.errors import ConfigurationError, TrainingError
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.training.devices import choose_device, resolve_precision
from spanbert.training.fingerprints import differences
from spanbert.training.progress import tell, warn
from spanbert.training.record import versions, write_json
from spanbert.training.stopping import StopRequest

_WIDTH = 120
"""Of the tables where stdout is no terminal."""


@dataclass(frozen=True)
class AblationResult:
    """What an ablation gave.

    Attributes:
        output: the folder with table, picture and figures.
        figures: what results.json holds.
        stopped_by: 0, or the number of the signal after which the run that was under way saved its state.
    """

    output: Path
    figures: dict[str, Any]
    stopped_by: int = 0


def run(config: AblateConfig) -> int:
    """The verb: 0, or 128 + n after signal n."""
    result, results = _ablate(config)
    if result.stopped_by:
        return 128 + result.stopped_by
    if config.json:
        print(json.dumps(result.figures, ensure_ascii=False))
    else:
        console = Console(width=None if sys.stdout.isatty() else _WIDTH)
        for table in tables_of(results):
            table.print(console)
        console.print(f"{config.output}/README.md says how to read this", markup=False, highlight=False, soft_wrap=True)
    return 0


def ablate(config: AblateConfig) -> AblationResult:
    """Pre-train an encoder for each row and seed, fine-tune each for every task, and compare.

    What is finished in the output folder is not done again, and an interrupted run goes on where it stopped. Several
    processes may share a folder: each takes encoders that no other is at.

    Args:
        config: see `AblateConfig`.

    Raises:
        ConfigurationError: options contradict each other, the file of tasks, or the runs in the output folder.
        InputError: a data file cannot be read.
        CorpusError: the corpus is damaged, or has no documents to hold out.
        CheckpointError: a file of an earlier run is damaged.
        TrainingError: a loss is not a number, or the disk is full.

    Example:
        >>> ablate(AblateConfig(corpus=Path("corpus"), output=Path("question"), steps=500)).figures["pretraining"]
    """
    return _ablate(config)[0]


def _ablate(config: AblateConfig) -> tuple[AblationResult, Results]:
    say = _silent if config.quiet else tell
    corpus = _check(config)
    tasks = read_tasks(config, say=say)
    _refuse_what_is_read(config, tasks)
    if not tasks:
        say("no --tasks: only pre-training is compared")
    for task in tasks:
        if task.settings.max_length > config.sequence_length:
            warn(
                f"{task.name}: windows of up to {task.settings.max_length} pieces, and pre-training sees "
                f"{config.sequence_length}: positions beyond learn from this task alone; set max_length"
            )
    try:
        config.output.mkdir(parents=True, exist_ok=True)
        with locked(config.output / LOCK, wait=True):
            _compare_with_earlier(config, corpus, tasks)
        stopped_by = _run_cells(config, corpus, tasks, say)
        results = _report(config, tasks)
    except OSError as error:
        raise TrainingError(
            f"{error.filename or config.output} cannot be written: {error.strerror or error}; make room and give the "
            "same command again"
        ) from error
    if results.done < results.planned:
        elsewhere = any(is_locked(cell.lock) for cell in cells_of(config))
        rest = "another process is at it, and shows all when it ends" if elsewhere else "the same command goes on"
        say(f"{results.done} of {results.planned} runs are done; {rest}")
    return AblationResult(config.output, results.to_json(), stopped_by), results


def _check(config: AblateConfig) -> Corpus:
    """The corpus, after what can be refused without reading anything else."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigurationError("`spanbert ablate` runs in one process: start it without a launcher")
    output = config.output
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"{output}: is a file; --output names a folder")
    if output.exists() and not (output / RECORD).exists() and any(path.name != LOCK for path in output.iterdir()):
        raise ConfigurationError(f"{output}: is not empty and holds no ablation: choose another --output")
    corpus = Corpus.open(config.corpus)
    if not corpus.held_out_documents(config.held_out, config.seed).any():
        raise ConfigurationError(f"{config.corpus} is one document: nothing can be held out to measure on")
    return corpus


def _refuse_what_is_read(config: AblateConfig, tasks: Sequence[AblationTask]) -> None:
    sources = [config.corpus, *([config.tasks] if config.tasks else [])]
    sources += [Path(file) for task in tasks for file in task.stored["files"]]
    for source in sources:
        if source.resolve().is_relative_to(config.output.resolve()):
            raise ConfigurationError(f"{config.output}: holds {source}, which is read: choose another --output")


def _compare_with_earlier(config: AblateConfig, corpus: Corpus, tasks: Sequence[AblationTask]) -> None:
    """Refuse to mix runs of other options with those in the folder; more rows, seeds and tasks are welcome."""
    device = choose_device(config.device)
    machine = {"device": device.type, "precision": resolve_precision(config.precision, device)}
    now: dict[str, Any] = {
        "options": json.loads(json.dumps(config.shaping() | machine)),
        "corpus": corpus.hash,
        "tasks": {task.name: json.loads(json.dumps(task.stored)) for task in tasks},
        "versions": versions(),
        "asked_for": asked_for(config, [task.name for task in tasks]),
    }
    before = read_ablation(config.output)
    if before:
        rows = differences(before["options"], now["options"])
        if before["corpus"] != now["corpus"]:
            rows.append(f"the contents of {config.corpus} have changed")
        for name, stored in before["tasks"].items():
            if name in now["tasks"]:
                rows += [f"task {name!r}: {row}" for row in differences(stored, now["tasks"][name])]
        if rows:
            raise ConfigurationError(
                f"{config.output}: holds runs with other options ({'; '.join(rows)}): give the same ones, or choose "
                "another --output"
            )
        for row in differences(before["versions"], now["versions"]):
            warn(f"{config.output}: earlier runs were made with another version of {row}")
        now = {**now, "versions": before["versions"], "tasks": {**before["tasks"], **now["tasks"]}}
    write_json(config.output / RECORD, now)


def _run_cells(config: AblateConfig, corpus: Corpus, tasks: Sequence[AblationTask], say: Callable[[str], None]) -> int:
    """Do what is left to do and no other process is at; 0, or the number of the signal that stopped it."""
    cells = cells_of(config)
    total, number, stop = len(cells) * (1 + len(tasks)), 0, StopRequest()
    with stop.listening():  # also while something is measured, which is then finished
        for cell in cells:
            new = False
            cell.folder.mkdir(parents=True, exist_ok=True)
            with locked(cell.lock) as ours:
                if not ours:
                    say(f"{ROWS[cell.row].words}, seed {cell.seed}: left to another process, which is at it")
                for what, folder, do in _runs_of(config, corpus, cell, tasks):
                    number += 1
                    if not ours or measured(folder) is not None:
                        continue
                    say(f"run {number} of {total}: {ROWS[cell.row].words}, seed {cell.seed}: {what}")
                    new = True
                    if stopped_by := do() or (stop.signal if number < total else 0):
                        return stopped_by
            if new and cell is not cells[-1]:  # what is known so far, should something go wrong later
                _report(config, tasks)
    return 0


def _runs_of(
    config: AblateConfig, corpus: Corpus, cell: Cell, tasks: Sequence[AblationTask]
) -> Iterator[tuple[str, Path, Callable[[], int]]]:
    """What is to be done for an encoder: in words, in which folder, and how."""
    yield "pre-training", cell.pretraining, partial(pretrain_cell, config, cell, corpus)
    for task in tasks:
        yield task.name, cell.of_task(task.folder), partial(finetune_cell, config, cell, task)


def _report(config: AblateConfig, tasks: Sequence[AblationTask]) -> Results:
    """Write the table, the picture and the figures of what is finished, here and in other processes."""
    with locked(config.output / LOCK, wait=True):
        results = collect(config, tasks)
        write_json(config.output / FIGURES, results.to_json())
        (config.output / TABLE).write_text(readme(config, results), encoding="utf-8")
        draw(results, config.output / PICTURE)
    return results


def _silent(line: str) -> None:
    pass
