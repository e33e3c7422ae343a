"""`spanbert finetune TASK`: files in, a model folder out; one seed or several."""

from __future__ import annotations

import gc
import json
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator, PartialState

from spanbert.durable_files import hash_file
from spanbert.errors import ConfigurationError, InputError, TrainingError
from spanbert.example_sets import load_examples
from spanbert.finetuning.config import FinetuneFilesConfig
from spanbert.finetuning.data import PreparedExamples
from spanbert.finetuning.model_card import model_card
from spanbert.finetuning.splits import split
from spanbert.finetuning.training import DEV, FinetuneResult, FinetuneRun
from spanbert.golden import GOLDEN_FILE, make_golden, read_golden_inputs
from spanbert.options import build_options
from spanbert.predicting import Predictor
from spanbert.read_summary import counted
from spanbert.task import UNKNOWN_LABEL, Located, Problem, Task
from spanbert.task_checkpoints import load_task_model, save_task_model
from spanbert.task_options import compose_options, split_options
from spanbert.tasks import find_task
from spanbert.training.devices import make_accelerator
from spanbert.training.fingerprints import differences
from spanbert.training.progress import format_figures, tell
from spanbert.training.record import now, plot_history, read_history, write_json
from spanbert.training.run import (
    check_output,
    config_as_json,
    output_of_our_own,
    read_record,
    shaping_options,
)

AnyTask = Task[Any, Any]


@dataclass(frozen=True)
class FinetunedModel:
    """What `finetune` gave.

    Attributes:
        output: the model folder; `spanbert.load` opens it.
        metrics: the task's figures on the dev set.
        main_metric: the one of them that chose the weights.
        seeds: with several seeds, the figures of each, by seed.
        stopped_by: 0, or the number of the signal after which the run saved its state; no model is written then.
    """

    output: Path
    metrics: dict[str, float]
    main_metric: str
    seeds: dict[int, dict[str, float]]
    stopped_by: int = 0


def finetune(task: str, **options: Any) -> FinetunedModel:
    """Fine-tune a model for a task.

    Args:
        task: "question-answering", "ner", "coreference", "relations", "classification", or the name of another
            package's task.
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
    if PartialState().is_main_process:
        print(f"{config.output}: {DEV}: {format_figures(result.metrics, deciding=result.main_metric)}")
        if len(result.seeds) > 1:
            print(spread(result.seeds))
    return 0


def finetune_files(config: FinetuneFilesConfig, task: AnyTask) -> FinetunedModel:
    """Fine-tune a model on files; see `finetune`."""
    files = [path for path in (config.train, config.dev) if path is not None]
    check_output(config, [*files, *([config.golden] if config.golden else []), Path(config.model)])
    accelerator = make_accelerator(config)  # joins the other processes, if there are any
    is_main = accelerator.is_main_process
    say = tell if is_main and not config.quiet else _silent
    golden = task.golden_examples() if config.golden is None else read_golden_inputs(task, config.golden)
    untaught = task
    task, train, dev = _read(config, task, say)
    data = {
        "task": task.name,
        "files": {str(path): hash_file(path) for path in files},
        "examples": {"train": len(train), DEV: len(dev)},
        "settings": config_as_json(untaught.settings),
    }
    if config.resume and (finished := _finished(config, data)) is not None:
        say(f"{config.output}: this run is finished")
        return finished
    first = FinetuneRun(task, _configs(config)[0])
    examples = PreparedExamples.of(task, train, dev, first.tokenizer)
    # An earlier run is overwritten only now, when all that was asked for has been found to make sense.
    with _disk_errors(config.output), output_of_our_own(config) if is_main else nullcontext():
        if config.seeds == 1:
            result = _finish(config, first.train(examples, data), golden)
        else:
            del first  # each seed makes its own model, and only one is in memory at a time
            result = _several_seeds(config, task, accelerator, examples, data, golden, say)
        accelerator.wait_for_everyone()
    accelerator.end_training()
    if not result.stopped_by and not result.metrics[result.main_metric]:
        say(
            f"warning: {result.main_metric.replace('_', ' ')} is 0 on the dev set: no answer there is right, perhaps "
            "none was given. More --epochs, or a higher --learning-rate or --head-learning-rate may help; `spanbert "
            "evaluate` shows the answers"
        )
    return result


def _read(
    config: FinetuneFilesConfig, task: AnyTask, say: Callable[[str], None]
) -> tuple[AnyTask, Sequence[Any], Sequence[Any]]:
    """The task with what it learns from the training examples, these, and the dev examples."""
    located = load_examples(type(task), config.train, task.settings, strict=config.strict, say=say)
    examples = [one.example for one in located]
    if config.dev is None:
        train, dev = split(task, examples, config.dev_share, seed=config.seed)
        say(
            f"{config.train}: {counted(len(train), 'example')} to learn from, {len(dev):,} split off to validate "
            f"(seed {config.seed})"
        )
        task = task.learn(train)
        chosen = set(map(id, dev))
        if unknown := _unknown_label(task, [one for one in located if id(one.example) in chosen]):
            say(f"{config.train}, line {unknown.line}: {unknown.detail}: it was split off and counts as wrong")
        return task, train, dev
    located = load_examples(type(task), config.dev, task.settings, strict=config.strict, say=say)
    task = task.learn(examples)
    if unknown := _unknown_label(task, located):
        if config.strict:
            raise InputError(
                f"{unknown.kind}: {unknown.detail}. None of it is in {config.train}: bring examples of it, or take it "
                "out",
                source=str(config.dev),
                line=unknown.line,
            )
        say(
            f"{config.dev}, line {unknown.line}: {unknown.detail}: {config.train} has none of it, so it counts as "
            "wrong (others like it are not shown)"
        )
    dev = [one.example for one in located]
    seen = set(map(_content, examples))
    num_seen = sum(_content(one) in seen for one in dev)
    if 2 * num_seen > len(dev):
        say(
            f"warning: {num_seen:,} of {counted(len(dev), 'example')} of {config.dev} are in {config.train} too: the "
            "figures say little of other texts"
        )
    return task, examples, dev


def _content(example: Any) -> str:
    """An example without its id."""
    return json.dumps({name: value for name, value in example.to_json().items() if name != "id"}, sort_keys=True)


def _unknown_label(task: AnyTask, located: Sequence[Located[Any]]) -> Problem | None:
    return next((problem for problem in task.check(located, task.settings) if problem.kind == UNKNOWN_LABEL), None)


def _finished(config: FinetuneFilesConfig, data: Mapping[str, Any]) -> FinetunedModel | None:
    """What a finished run in the output folder gave; None where there is none.

    Raises:
        ConfigurationError: it was another run.
    """
    record = read_record(config.output)
    if record.get("status") != "finished":
        return None
    shaping = ("task", "files", "settings")
    before = shaping_options(record.get("config", {})) | {name: record.get(name) for name in shaping}
    asked = shaping_options(config_as_json(config)) | {name: data[name] for name in shaping}
    if before != asked:
        rows = differences(before, asked)
        raise ConfigurationError(
            f"{config.output}: this run is finished, and was made with other options ({'; '.join(rows)}): choose "
            "another --output, or replace it with --overwrite"
        )
    seeds = {int(seed): values for seed, values in record.get("seeds", {}).items()}
    return FinetunedModel(config.output, record["metrics"][DEV], record["main_metric"], seeds)


def _configs(config: FinetuneFilesConfig) -> list[FinetuneFilesConfig]:
    """The options of each seed's run; with several, each has a folder of its own inside the output folder."""
    if config.seeds == 1:
        return [config]
    return [
        replace(config, seeds=1, seed=seed, output=config.output / f"seed-{seed}", overwrite=False)
        for seed in range(config.seed, config.seed + config.seeds)
    ]


def _several_seeds(
    config: FinetuneFilesConfig,
    task: AnyTask,
    accelerator: Accelerator,
    examples: PreparedExamples,
    data: Mapping[str, Any],
    golden: Sequence[Any],
    say: Callable[[str], None],
) -> FinetunedModel:
    """A run for each seed; the one that is best on the dev set becomes the model."""
    is_main = accelerator.is_main_process
    record: dict[str, Any] = {"verb": "finetune", "status": "running", "config": config_as_json(config), **data}
    if is_main:
        write_json(config.output / "run.json", record)
    done: dict[int, FinetunedModel] = {}
    for one in _configs(config):
        say(f"seed {one.seed}")
        result = _finished(one, data) if config.resume else None
        if result is None:
            gc.collect()  # the engine ties a model into cycles
            result = _finish(one, FinetuneRun(task, one).train(examples, data), golden)
            accelerator.wait_for_everyone()
        done[one.seed] = result
        if result.stopped_by:
            if is_main:
                write_json(config.output / "run.json", record | {"status": "interrupted", "ended": now()})
            return FinetunedModel(config.output, {}, task.main_metric, {}, result.stopped_by)
    best = max(done, key=lambda seed: done[seed].metrics[task.main_metric])
    seeds = {seed: result.metrics for seed, result in done.items()}
    if is_main:
        _keep_best(config, best, seeds)
    return FinetunedModel(config.output, done[best].metrics, task.main_metric, seeds)


def _keep_best(config: FinetuneFilesConfig, best: int, seeds: Mapping[int, Mapping[str, float]]) -> None:
    """Copy the model of the best seed to the output folder, with a card that tells of all."""
    source, output = config.output / f"seed-{best}", config.output
    record = read_record(source) | {
        "config": config_as_json(config),
        "best_seed": best,
        "seeds": {str(seed): metrics for seed, metrics in seeds.items()},
        "ended": now(),
    }
    shutil.copytree(source, output, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run.json", "README.md"))
    model, task, tokenizer = load_task_model(source)
    result = FinetuneResult(model, task, tokenizer, dict(seeds[best]), record)
    (output / "README.md").write_text(model_card(output.resolve().name, result, record), encoding="utf-8")
    write_json(output / "run.json", record)


def _finish(config: FinetuneFilesConfig, result: FinetuneResult, golden: Sequence[Any]) -> FinetunedModel:
    """Write the model, its card, its curves and its record, all in the main process."""
    given = FinetunedModel(config.output, result.metrics, result.task.main_metric, {}, result.stopped_by)
    if not PartialState().is_main_process:
        return given
    output = config.output
    _draw_curves(output, result.task)
    record = result.record | {
        "status": "interrupted" if result.stopped_by else "finished",
        "ended": now(),
        "metrics": {DEV: result.metrics},
        "main_metric": result.task.main_metric,
    }
    if not result.stopped_by:
        card = model_card(output.resolve().name, result, record)
        files = {"README.md": card, GOLDEN_FILE: _golden(config, result, golden)}
        save_task_model(result.model, result.task, result.tokenizer, output, extra_files=files)
    write_json(output / "run.json", record)
    if not result.stopped_by:  # what is left to resume is of no use once the record says that the model is there
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
    return given


def _draw_curves(output: Path, task: AnyTask) -> None:
    history = output / "history.jsonl"
    rows = read_history(history) if history.exists() else []
    if rows:
        losses = sorted({name for row in rows for name in row if name.endswith("_loss")})
        panels = [losses, [task.main_metric], ["learning_rate"]]
        plot_history(rows, output / "curves.png", title=f"{task.name}: {output.resolve().name}", panels=panels)


def _golden(config: FinetuneFilesConfig, result: FinetuneResult, inputs: Sequence[Any]) -> str:
    predictor = Predictor(
        result.model,
        result.task,
        result.tokenizer,
        device=result.record["machine"]["device"],
        precision=result.record["machine"]["precision"],
        threads=config.threads,
    )
    return make_golden(predictor, inputs)


def spread(seeds: Mapping[int, Mapping[str, float]]) -> str:
    """Mean and standard deviation over seeds of each figure that is not of a single label, a line each."""
    lines = [f"over {len(seeds)} seeds: mean, standard deviation, and each"]
    for name in next(iter(seeds.values())):
        values = [figures[name] for figures in seeds.values() if name in figures]
        if "/" not in name and len(values) == len(seeds):
            each = "  ".join(f"{value:.2f}" for value in values)
            lines.append(
                f"{name.replace('_', ' '):<20} {statistics.mean(values):7.2f}  {statistics.stdev(values):6.2f}   {each}"
            )
    return "\n".join(lines)


@contextmanager
def _disk_errors(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"{output}: cannot be written: {error.strerror or error}; make room and go on with --resume"
        ) from error


def _silent(line: str) -> None:
    pass
