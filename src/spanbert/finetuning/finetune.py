"""`spanbert finetune TASK`: files in, a model folder out; one seed or several."""

from __future__ import annotations

import json
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spanbert.durable_files import hash_file
from spanbert.errors import InputError
from spanbert.example_sets import load_examples
from spanbert.finetuning.config import FinetuneFilesConfig
from spanbert.finetuning.model_card import model_card
from spanbert.finetuning.splits import split
from spanbert.finetuning.training import DEV, FinetuneResult, finetune_examples
from spanbert.golden import GOLDEN_FILE, make_golden, read_golden_inputs
from spanbert.options import build_options
from spanbert.predicting import Predictor
from spanbert.task import UNKNOWN_LABEL, Task
from spanbert.task_checkpoints import save_task_model
from spanbert.task_options import compose_options, split_options
from spanbert.tasks import find_task
from spanbert.training.progress import format_figures
from spanbert.training.record import now, plot_history, read_history, write_json
from spanbert.training.run import check_output, config_as_json

AnyTask = Task[Any, Any]


@dataclass(frozen=True)
class FinetunedModel:
    """What `finetune` gave.

    Attributes:
        output: the model folder; `spanbert.load` opens it.
        metrics: the task's figures on the dev set.
        seeds: with several seeds, the figures of each, by seed.
        stopped_by: 0, or the number of the signal after which the run saved its state; no model is written then.
    """

    output: Path
    metrics: dict[str, float]
    seeds: dict[int, dict[str, float]]
    stopped_by: int = 0


def finetune(task: str, **options: Any) -> FinetunedModel:
    """Fine-tune a model for a task.

    Args:
        task: "question-answering", "ner", "relations", "classification", or the name of another package's task.
        options: those of `spanbert finetune TASK --help`, with `_` for `-`.

    Raises:
        ConfigurationError: there is no such task or option (the nearest right name is told), or options contradict
            each other.
        InputError: a file cannot be read, or nothing can be learned from it.
        CheckpointError: the model to start from cannot be used.
        TrainingError: the loss is not a number, or the disk is full.

    Example:
        >>> finetune("classification", model="my-model", train="train.tsv", output="sentiment").metrics["accuracy"]
    """
    task_class = find_task(task)
    composed = compose_options(FinetuneFilesConfig, task_class, "settings")
    config = build_options(composed, {**task_class.finetuning, **options}, what=f"finetune({task!r})")
    settings = split_options(config, task_class.settings_class)
    return finetune_files(split_options(config, FinetuneFilesConfig), task_class(settings))


def run(config: FinetuneFilesConfig, task: type[AnyTask], settings: Any) -> int:
    """The verb: 0, or 128 + n after signal n."""
    result = finetune_files(config, task(settings))
    if result.stopped_by:
        return 128 + result.stopped_by
    print(f"{config.output}: {DEV}: {format_figures(result.metrics)}")
    if len(result.seeds) > 1:
        print(spread(result.seeds))
    return 0


def finetune_files(config: FinetuneFilesConfig, task: AnyTask) -> FinetunedModel:
    """Fine-tune a model on files; see `finetune`."""
    files = [path for path in (config.train, config.dev, config.golden) if path is not None]
    check_output(config, [*files, Path(config.model)])
    say = _silent if config.quiet else _say
    if config.resume and (finished := _finished(config.output)) is not None:
        say(f"{config.output}: this run is finished")
        return finished
    train, dev = _read(config, task, say)
    data = {
        "files": {str(path): hash_file(path) for path in files},
        "examples": {"train": len(train), DEV: len(dev)},
        "settings": config_as_json(task.settings),
    }
    if config.seeds == 1:
        result = finetune_examples(task, train, dev, config, data=data)
        return FinetunedModel(config.output, _finish(config, result), {}, result.stopped_by)
    return _several_seeds(config, task, train, dev, data, say)


def _finished(output: Path) -> FinetunedModel | None:
    """What a finished run gave; None where there is none."""
    path = output / "run.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if record.get("status") != "finished":
        return None
    seeds = {int(seed): values for seed, values in record.get("seeds", {}).items()}
    return FinetunedModel(output, record["metrics"][DEV], seeds)


def _several_seeds(
    config: FinetuneFilesConfig,
    task: AnyTask,
    train: Sequence[Any],
    dev: Sequence[Any],
    data: Mapping[str, Any],
    say: Callable[[str], None],
) -> FinetunedModel:
    """A run for each seed in a folder of its own; the one that is best on the dev set becomes the model."""
    record: dict[str, Any] = {"verb": "finetune", "status": "running", "config": config_as_json(config), **data}
    config.output.mkdir(parents=True, exist_ok=True)
    write_json(config.output / "run.json", record)
    metrics: dict[int, dict[str, float]] = {}
    best: FinetuneResult | None = None
    for seed in range(config.seed, config.seed + config.seeds):
        say(f"seed {seed}")
        one = replace(config, seeds=1, seed=seed, output=config.output / f"seed-{seed}")
        result = finetune_examples(task, train, dev, one, data=data)
        metrics[seed] = _finish(one, result)
        if result.stopped_by:
            return FinetunedModel(config.output, {}, metrics, result.stopped_by)
        if best is None or result.metrics[task.main_metric] > best.metrics[task.main_metric]:
            best = result
    assert best is not None  # there is one seed at least
    best.record["seeds"] = {str(seed): values for seed, values in metrics.items()}
    return FinetunedModel(config.output, _finish(config, best), metrics)


def _finish(config: FinetuneFilesConfig, result: FinetuneResult) -> dict[str, float]:
    """Write the model, its card, its curves and its record; the figures on the dev set."""
    output = config.output
    history = output / "history.jsonl"
    rows = read_history(history) if history.exists() else []
    if rows:
        main = result.task.main_metric
        losses = sorted({name for row in rows for name in row if name.endswith("_loss")})
        panels = [losses, [main], ["learning_rate"]]
        plot_history(rows, output / "curves.png", title=f"{result.task.name}: {output.resolve().name}", panels=panels)
    record = result.record | {
        "status": "interrupted" if result.stopped_by else "finished",
        "ended": now(),
        "metrics": {DEV: result.metrics},
    }
    if not result.stopped_by:
        card = model_card(output.resolve().name, result, record)
        files = {"README.md": card, GOLDEN_FILE: _golden(config, result)}
        save_task_model(result.model, result.task, result.tokenizer, output, extra_files=files)
        # What is left to resume is of no use once the model is there.
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    write_json(output / "run.json", record)
    return result.metrics


def _golden(config: FinetuneFilesConfig, result: FinetuneResult) -> str:
    task = result.task
    inputs = task.golden_examples() if config.golden is None else read_golden_inputs(task, config.golden)
    predictor = Predictor(
        result.model,
        task,
        result.tokenizer,
        device=result.record["machine"]["device"],
        precision=result.record["machine"]["precision"],
        threads=config.threads,
    )
    return make_golden(predictor, inputs)


def spread(seeds: Mapping[int, Mapping[str, float]]) -> str:
    """Mean and standard deviation of each figure over seeds, a line each."""
    lines = [f"over {len(seeds)} seeds: mean, standard deviation, and each"]
    names = list(next(iter(seeds.values())))
    for name in names:
        values = [figures[name] for figures in seeds.values() if name in figures]
        each = "  ".join(f"{value:.2f}" for value in values)
        lines.append(f"{name:<20} {statistics.mean(values):7.2f}  {statistics.stdev(values):6.2f}   {each}")
    return "\n".join(lines)


def _read(
    config: FinetuneFilesConfig, task: AnyTask, say: Callable[[str], None]
) -> tuple[Sequence[Any], Sequence[Any]]:
    located = load_examples(type(task), config.train, task.settings, strict=config.strict, say=say)
    examples = [one.example for one in located]
    if config.dev is None:
        train, dev = split(task, examples, config.dev_share, seed=config.seed)
        say(
            f"{config.train}: {len(train):,} examples to learn from, {len(dev):,} split off to validate "
            f"(seed {config.seed})"
        )
        return train, dev
    located = load_examples(type(task), config.dev, task.settings, strict=config.strict, say=say)
    for problem in task.check(located, task.learn(examples).settings):
        if problem.kind == UNKNOWN_LABEL:
            raise InputError(
                f"{problem.kind}: {problem.detail}. None of it is in {config.train}: bring examples of it, or take it out",
                source=str(config.dev),
                line=problem.line,
            )
    return examples, [one.example for one in located]


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _silent(line: str) -> None:
    pass
