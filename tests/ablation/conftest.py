"""An ablation of seconds: encoders of one layer, two steps, two tasks of a handful of examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tiny_finetuning import few_records, no_picture

from spanbert.ablation.ablate import ablate
from spanbert.ablation.config import AblateConfig

TASKS = """
[[tasks]]
name = "Entities"
task = "ner"
train = "ner/train.jsonl"
dev = "ner/dev.jsonl"
test = "ner/dev.jsonl"
metric = "f1"
steps = 2
max_length = 64
stride = 16
learning_rate = 3e-3

[[tasks]]
name = "Which kind?"
task = "classification"
train = "classification/train.jsonl"
test = "classification/dev.jsonl"
metric = "accuracy"
steps = 2
max_length = 64
stride = 16
"""


@pytest.fixture(scope="module", autouse=True)
def no_curves() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)
        patch.setattr("spanbert.tasks.pretraining.pretrain.plot_history", no_picture)
        yield


@pytest.fixture(scope="session")
def tasks_file(task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two tasks, beside their data."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in ("ner", "classification"):
        few_records(task, task_files, folder / task)
    (folder / "tasks.toml").write_text(TASKS, encoding="utf-8")
    return folder / "tasks.toml"


Make = Callable[..., AblateConfig]


@pytest.fixture(scope="session")
def make(corpus_folder: Path, tasks_file: Path) -> Make:
    """A function that makes the options of an ablation of seconds; keywords override."""

    def config(**options: Any) -> AblateConfig:
        defaults: dict[str, Any] = {
            "corpus": corpus_folder, "tasks": tasks_file, "rows": ("pieces-nsp", "spans", "spans-sbo"),
            "seeds": (1, 1, 2), "layers": 1, "width": 32, "heads": 2, "sequence_length": 64, "max_positions": 64,
            "batch_size": 4, "steps": 2, "held_out": 0.1, "samples": 20, "device": "cpu", "precision": "fp32",
            "threads": 1, "quiet": True,
        }  # fmt: skip
        return AblateConfig(**{**defaults, **options})

    return config


@pytest.fixture(scope="session")
def finished(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an ablation that nobody disturbed."""
    return ablate(make(output=tmp_path_factory.mktemp("ablation") / "done")).output
