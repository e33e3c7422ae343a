"""Fine-tuning in a second or two: a handful of the sample corpus's records, a tiny encoder, a few steps."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import spanbert

TASKS = ("question-answering", "ner", "relations", "classification")
_NUM_RECORDS = {
    "question-answering": (16, 8), "ner": (48, 16), "relations": (16, 8), "classification": (48, 24),
    "coreference": (8, 4),
}  # fmt: skip
"""Records of train.jsonl and dev.jsonl that are taken, evenly spread."""

FILES = {
    "README.md", "config.json", "curves.png", "golden.json", "history.jsonl", "model.safetensors", "run.json",
    "tokenizer.json", "tokenizer_config.json", "vocab.txt",
}  # fmt: skip
"""What a finished run leaves in its folder."""

Files = Callable[[str], tuple[Path, Path]]
"""Task -> train and dev file."""
Tune = Callable[..., spanbert.FinetunedModel]
"""(task, options) -> a model."""

OPTIONS: dict[str, Any] = {
    "steps": 6,
    "save_every": 100,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "max_length": 64,
    "stride": 16,
    "device": "cpu",
    "precision": "fp32",
    "threads": 1,
    "quiet": True,
}
_OF_TASK: dict[str, dict[str, Any]] = {"relations": {"max_pair_distance": 5}}


def write_records(path: Path, records: Iterable[Any]) -> Path:
    """JSON lines; compressed where the name ends in .gz."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read_records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def few_records(task: str, task_files: Callable[[str], Path], folder: Path) -> tuple[Path, Path]:
    """train.jsonl and dev.jsonl of a few records of the sample corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, number in zip(("train.jsonl", "dev.jsonl"), _NUM_RECORDS[task], strict=True):
        records = read_records(task_files(task) / name)
        paths.append(write_records(folder / name, records[:: len(records) // number][:number]))
    return paths[0], paths[1]


def options_for(task: str, **options: Any) -> dict[str, Any]:
    """Options of `spanbert.finetune` for a run of a second."""
    return {**OPTIONS, **_OF_TASK.get(task, {}), **options}


def command(task: str, **options: Any) -> list[str]:
    """The command line of `options_for`."""
    words = ["finetune", task]
    for name, value in options_for(task, **options).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, str(value)]
    return words


def no_picture(rows: object, path: Path, **_: object) -> None:
    """In place of `plot_history`, which takes as long as all else of a run; one test draws."""
    path.write_bytes(b"")


def weights_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights_of(one), weights_of(other)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
