"""What the tests of fine-tuning share: files of a few records, and a run of a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_finetuning import Files, Tune, few_records, no_picture, options_for

import spanbert


@pytest.fixture(scope="module")
def files(task_files: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A function that gives train and dev file of a task, a few records each."""
    made: dict[str, tuple[Path, Path]] = {}

    def files_(task: str) -> tuple[Path, Path]:
        if task not in made:
            made[task] = few_records(task, task_files, tmp_path_factory.mktemp("data"))
        return made[task]

    return files_


@pytest.fixture
def tune(encoder_folder: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tune:
    """A function that fine-tunes in Python; keywords override."""
    monkeypatch.setenv("SPANBERT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("spanbert.finetuning.finetune.plot_history", no_picture)

    def tune_(task: str = "classification", **options: Any) -> spanbert.FinetunedModel:
        train, dev = files(task)
        given = {"model": str(encoder_folder), "train": train, "dev": dev, "output": tmp_path / "model", **options}
        return spanbert.finetune(task, **options_for(task, **given))

    return tune_
