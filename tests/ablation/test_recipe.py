"""The recipe for real data: every option in it is one, and every task has the figure it names."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_finetuning import few_records

from spanbert.ablation.config import AblateConfig
from spanbert.ablation.task_tables import read_tasks
from spanbert.options import parse_options, read_toml

RECIPES = Path(__file__).parents[2] / "recipes"


def test_the_recipe_is_understood(
    corpus_folder: Path, task_files: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = tmp_path / "data" / "tasks.toml"
    words = [str(corpus_folder), "--config", str(RECIPES / "ablate-mini.toml"), "--tasks", str(tasks)]
    config = parse_options(AblateConfig, [*words, "--output", "out"], program="spanbert ablate")
    assert (config.steps, config.batch_size, config.dropout) == (4000, 32, 0)
    # The data itself is not here: examples of the sample corpus stand in for it, as far as the readers take them.
    monkeypatch.setattr("spanbert.ablation.task_tables._try_data", lambda *_: None)
    for table in read_toml(RECIPES / "ablate-mini-tasks.toml")["tasks"]:
        train, _ = few_records(table["task"], task_files, tmp_path / table["task"])
        for key in ("train", "dev", "test"):
            if key in table:
                file = tasks.parent / table[key]
                file.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(train, file)
    shutil.copy(RECIPES / "ablate-mini-tasks.toml", tasks)
    found = read_tasks(config, say=lambda line: None)
    assert [task.metric for task in found] == ["f1", "f1", "conll_f1", "accuracy"]
    for task in found:
        assert task.settings.max_length <= config.sequence_length
        example = [
            one.example for one in task.kind.read(tmp_path / task.kind.name / "train.jsonl", task.kind.data_options())
        ]
        assert task.metric in task.kind.compare(example, [None] * len(example), task.settings).figures()
