"""The yardstick's other side: the same job through `spanbert`, and the scorer that both sides share."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spanbert.example_sets import load_examples
from spanbert.finetuning.config import FinetuneConfig
from spanbert.finetuning.data import TrainingWindows
from spanbert.finetuning.training import finetune_examples
from spanbert.predicting import Predictor
from spanbert.spans import spans_from_tags
from spanbert.task import Task
from spanbert.tasks import find_task
from spanbert.training.record import read_history

_DEV_EXAMPLES = 32
"""Training examples on which the loop validates, once at the end: the plain loop chooses no checkpoint, so ours has
none to choose from, and what it would learn from a dev set (temperatures, thresholds) is not used."""

_SETTINGS: dict[str, dict[str, Any]] = {"classification": {"header": False, "text_column": "0", "label_column": "1"}}
"""How the files of the comparison are read, where the defaults do not fit."""


def make_task(name: str, **settings: Any) -> Task[Any, Any]:
    """A task of `spanbert` for the files of the comparison."""
    task_class = find_task(name)
    return task_class(task_class.settings_class(**_SETTINGS.get(name, {}), **settings))


def read_examples(task: Task[Any, Any], path: Path, limit: int | None) -> list[Any]:
    """The first examples of a file; problems are told on stderr."""

    def say(line: str) -> None:
        print(line, file=sys.stderr)

    located = load_examples(type(task), path, task.settings, strict=False, say=say)
    return [one.example for one in located[:limit]]


def figures_of(name: str, test: Path, answers: Sequence[Any]) -> dict[str, float]:
    """The official figures of the plain loop's answers, which are in the order of the test file."""
    task = make_task(name)
    gold = read_examples(task, test, None)[: len(answers)]
    if len(gold) != len(answers):
        raise SystemExit(f"{test}: {len(answers)} answers for {len(gold)} examples")
    records = [_record(name, example, answer) for example, answer in zip(gold, answers, strict=True)]
    return _rounded(task, gold, [task.prediction(record) for record in records])


def _record(name: str, example: Any, answer: Any) -> dict[str, Any]:
    """The JSON of a prediction."""
    if name == "question-answering":
        return {"id": example.id, "text": answer}
    if name == "classification":
        return {"id": example.id, "label": answer}
    if name == "ner":
        if len(answer) != len(example.words):
            raise SystemExit(f"{example.id}: {len(answer)} tags for {len(example.words)} words")
        entities = [
            {"start": example.words[start].start, "end": example.words[end - 1].end, "label": label}
            for start, end, label in spans_from_tags(answer)
        ]
        return {"id": example.id, "entities": entities}
    head, tail = (
        {"index": number, "start": entity.start, "end": entity.end, "text": example.text[entity.start : entity.end]}
        for number, entity in enumerate(example.entities)
    )
    relation = {"head": head, "tail": tail, "relation": answer, "probability": 1.0}
    return {"id": example.id, "relations": [relation], "pairs": {"judged": 1}}


def _rounded(task: Task[Any, Any], gold: Sequence[Any], predicted: Sequence[Any]) -> dict[str, float]:
    figures = task.compare(gold, predicted, task.settings).figures()
    return {name: round(value, 2) for name, value in figures.items() if "/" not in name}


def run_spanbert(options: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune, predict and score with `spanbert`; the record has the same fields as the plain loop's."""
    begin = time.perf_counter()
    _, _, precision = options.variant.partition("-")
    task = make_task(options.task, **({"max_length": options.max_length} if options.max_length else {}))
    train = read_examples(task, options.train, options.train_limit)
    test = read_examples(task, options.test, options.test_limit)
    with tempfile.TemporaryDirectory() as folder:
        config = FinetuneConfig(
            model=str(options.model),
            output=Path(folder) / "run",
            epochs=options.epochs,
            steps=options.max_steps,
            learning_rate=options.learning_rate,
            batch_size=options.batch_size,
            seed=options.seed,
            device=options.device,
            precision=precision or "auto",  # type: ignore[arg-type]
            log_every=1,
            validate_every=1_000_000,
        )
        record: dict[str, Any] = {"preparation_seconds": round(time.perf_counter() - begin, 1)}
        begin = time.perf_counter()
        result = finetune_examples(task, train, train[:_DEV_EXAMPLES], config)
        seconds = time.perf_counter() - begin
        history = read_history(config.output / "history.jsonl")
    rates = [row["pieces_per_second"] for row in history if "pieces_per_second" in row]
    task = task.learn(train)
    windows = TrainingWindows.of(task, train, result.tokenizer)
    warm = 2 if options.max_steps and options.max_steps > 2 else 0
    rate = 1 / statistics.mean(1 / rate for rate in rates[warm:])
    if options.max_steps is not None:
        seconds = windows.num_pieces * options.epochs / rate
    record |= {
        "training_windows": len(windows.units),
        "training_seconds": round(seconds, 1),
        "extrapolated": options.max_steps is not None,
        "steps": len(rates),
        "training_pieces_per_second": round(rate),
        "precision": result.record["machine"]["precision"],
    }
    if options.max_steps is None or options.predict:
        begin = time.perf_counter()
        predictor = Predictor(
            result.model, task, result.tokenizer, device=options.device, precision=record["precision"]
        )
        predicted = list(predictor.predict(test))
        record["prediction_seconds"] = seconds = round(time.perf_counter() - begin, 1)
        record["prediction_pieces_per_second"] = round(_num_pieces(task, test, result.tokenizer) / seconds)
        record["figures"] = _rounded(task, test, predicted)
    return record


def _num_pieces(task: Task[Any, Any], examples: Sequence[Any], tokenizer: Any) -> int:
    return sum(
        len(window.pieces) for example in examples for window in task.features(example, tokenizer, training=False)
    )
