"""The file of tasks: what is wrong with it is said before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spanbert.ablation.config import AblateConfig
from spanbert.ablation.task_tables import read_tasks
from spanbert.errors import ConfigurationError

Make = Callable[..., AblateConfig]


def silent(line: str) -> None:
    pass


def test_tasks_have_options_of_finetune_and_paths_beside_the_file(make: Make, tasks_file: Path) -> None:
    config = make(output=Path("out"))
    entities, kinds = read_tasks(config, say=silent)
    assert (entities.name, entities.folder, entities.metric) == ("Entities", "entities", "f1")
    assert (kinds.folder, kinds.settings.max_length) == ("which-kind", 64)
    assert entities.test == tasks_file.parent / "ner/dev.jsonl"
    options = entities.finetuning(config, model=Path("encoder"), output=Path("none"), seed=3)
    assert (options.train, options.dev) == (tasks_file.parent / "ner/train.jsonl", tasks_file.parent / "ner/dev.jsonl")
    assert (options.learning_rate, options.steps, options.seed, options.resume) == (3e-3, 2, 3, False)
    assert options.epochs == 5, "the task's own default"
    assert kinds.options["dev"] is None
    assert read_tasks(make(output=Path("out"), tasks=None), say=silent) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("stride = 16", "strode = 16", r"tasks.toml, task 1 \('Entities'\): unknown option 'strode': .* 'stride'"),
        ("steps = 2", "steps = 'two'", r"task 1 .*steps = 'two' is not a value that this option takes"),
        ("steps = 2", "steps = 0", r"task 1 .*--steps must be above 0"),
        ('metric = "f1"', "", r"task 1 .*metric is missing"),
        ('metric = "f1"', 'metrics = "f1"', r"metric is missing; is 'metrics' meant for it\?"),
        ('metric = "f1"', 'metric = "f11"', r"metric: ner has no figure 'f11': did you mean 'f1'\?"),
        ('task = "ner"', 'task = "net"', r"task 1 .*'net'.*ner"),
        ("steps = 2", "seeds = 2", r"'seeds' is not for a task"),
        ("max_length = 64", "max_length = 65", r"max_length 65 is more than --max-positions 64"),
        ('name = "Which kind?"', 'name = "entities!"', r"task 2 .*'Entities' stands before it"),
        ('name = "Which kind?"', 'name = "?"', r"no letter and no digit"),
        ('test = "ner/dev.jsonl"', 'test = "ner/test.jsonl"', r"there is no file .*test.jsonl"),
        ("[[tasks]]", "[[task]]", r"unknown key 'task'"),
        ("[[tasks]]", "", r"unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(
    make: Make, tasks_file: Path, old: str, new: str, message: str
) -> None:
    text = tasks_file.read_text(encoding="utf-8")
    assert old in text
    wrong = tasks_file.parent / "wrong" / "tasks.toml"
    wrong.parent.mkdir(exist_ok=True)
    text = text.replace("ner/", "../ner/").replace("classification/", "../classification/")
    old, new = old.replace("ner/", "../ner/"), new.replace("ner/", "../ner/")
    wrong.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_tasks(make(output=Path("out"), tasks=wrong), say=silent)


def test_a_file_without_tasks_is_refused(make: Make, tmp_path: Path) -> None:
    empty = tmp_path / "tasks.toml"
    for text, message in [("", r"has no table \[\[tasks\]\]"), ("tasks = 1", "has no table"), ("[[", "not a TOML")]:
        empty.write_text(text)
        with pytest.raises(ConfigurationError, match=message):
            read_tasks(make(output=Path("out"), tasks=empty), say=silent)
