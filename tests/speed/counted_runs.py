"""A fine-tuning run of a second, with everything that torch computed in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from operation_counter import LiveMost, Lookup, OperationCounter, when_called
from tiny_finetuning import no_picture, read_records, write_records

import spanbert
from spanbert.example_sets import load_examples
from spanbert.predicting import Predictor
from spanbert.task import Window
from spanbert.task_model import TaskModel

LAYERS, HEADS, WIDTH, WIDE = 2, 2, 32, 56

TASKS = ("question-answering", "ner", "relations", "classification", "coreference")
EPOCHS = 2
BATCH_SIZE = {"question-answering": 8, "ner": 16, "relations": 16, "classification": 16, "coreference": 1}
STRIDE = {"question-answering": 64, "ner": 64, "relations": 64, "classification": 64, "coreference": 0}
_NUM_RECORDS = {
    "question-answering": (24, 16), "ner": (48, 32), "relations": (12, 8), "classification": (48, 32),
    "coreference": (6, 4),
}  # fmt: skip
_OPTIONS: dict[str, dict[str, Any]] = {"relations": {"max_pair_distance": 4}, "coreference": {"hidden_size": 16}}


@dataclass(frozen=True)
class Run:
    """What a run computed, and what it had to compute.

    Attributes:
        counter: of the whole run: training, validations, calibration, stored answers.
        num_validations: dev figures in its curves.
        num_steps: optimiser steps.
        most_windows: the most windows that were in memory after any step.
    """

    task: str
    output: Path
    train: Path
    dev: Path
    counter: OperationCounter
    num_validations: int
    num_steps: int
    most_windows: int

    @cached_property
    def predictor(self) -> Predictor[Any, Any]:
        loaded = spanbert.load(self.output, device="cpu", precision="fp32", threads=1, golden="skip")
        return loaded.predictor

    def with_batches_of(self, pieces: int) -> Predictor[Any, Any]:
        mine = self.predictor
        return Predictor(
            mine.model, mine.task, mine.tokenizer, device="cpu", precision="fp32", threads=1, batch_pieces=pieces
        )

    def examples(self, path: Path) -> list[Any]:
        task = self.predictor.task
        return [one.example for one in load_examples(type(task), path, task.settings, strict=True, say=print)]

    def windows(self, examples: Iterable[Any]) -> list[Window]:
        """Those of prediction."""
        task, tokenizer = self.predictor.task, self.predictor.tokenizer
        return [window for one in examples for window in task.features(one, tokenizer, training=False)]

    def units(self) -> list[Sequence[Window]]:
        """Those of training."""
        task, tokenizer = self.predictor.task, self.predictor.tokenizer
        return [unit for one in self.examples(self.train) for unit in task.training_units(one, tokenizer)]

    def encoded(self, counter: OperationCounter) -> list[Lookup]:
        """The batches that went through the encoder."""
        vocabulary = self.predictor.model.config.vocab_size
        return [one for one in counter.lookups if one.table == vocabulary]


def num_pieces(windows: Iterable[Window]) -> int:
    return sum(len(window.pieces) for window in windows)


def finetune_and_count(task: str, encoder: Path, files: Path, folder: Path, patch: pytest.MonkeyPatch) -> Run:
    """Fine-tune on some of the sample corpus's records, evenly spread."""
    patch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)
    paths = []
    for name, number in zip(("train.jsonl", "dev.jsonl"), _NUM_RECORDS[task], strict=True):
        records = read_records(files / name)
        paths.append(write_records(folder / name, records[:: len(records) // number][:number]))
    live = LiveMost(Window)
    steps: list[None] = []

    def after_step() -> None:
        steps.append(None)
        if len(steps) % 5 == 2:  # looking takes long
            live.look()

    counter = OperationCounter()
    handle = when_called(TaskModel, after_step)
    try:
        with counter:
            result = spanbert.finetune(
                task,
                model=str(encoder), train=paths[0], dev=paths[1], output=folder / "model",
                epochs=float(EPOCHS), batch_size=BATCH_SIZE[task], max_length=256, stride=STRIDE[task],
                save_every=10_000, log_every=1, micro_batch_pieces=1 << 20,
                device="cpu", precision="fp32", threads=1, quiet=True, **_OPTIONS.get(task, {}),
            )  # fmt: skip
    finally:
        handle.remove()
    history = [json.loads(line) for line in (result.output / "history.jsonl").read_text().splitlines()]
    return Run(
        task, result.output, paths[0], paths[1], counter,
        num_validations=sum(row["set"] == "dev" for row in history),
        num_steps=max(row["step"] for row in history),
        most_windows=live.most,
    )  # fmt: skip
