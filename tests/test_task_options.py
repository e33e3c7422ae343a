"""The command line of verbs whose options depend on a task, and the table of tasks."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Annotated, Any

import pytest
import tyro
from labelled_lines_task import LabelledLines, LineOptions, LineSettings, labelled_lines

from spanbert import cli, tasks
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.task_options import compose_options, model_of, parse_task_command, split_options, task_of_model
from spanbert.tasks import TASKS, find_task

__all__ = ["labelled_lines"]  # a fixture
pytestmark = pytest.mark.usefixtures("labelled_lines")


@dataclass(frozen=True, kw_only=True)
class VerbOptions:
    """Do a thing to a file.

    With care.
    """

    file: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """What to do it to."""

    epochs: float = 3.0
    """How often."""

    def __post_init__(self) -> None:
        if self.epochs <= 0:
            raise ConfigurationError("--epochs must be above 0")


@dataclass(frozen=True, kw_only=True)
class ModelVerbOptions:
    """Ask a model."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """The model."""


@dataclass(frozen=True, kw_only=True)
class PretrainedOptions:
    """Ask a pre-trained model."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """The model."""

    deep: bool = False
    """Ask deeply."""


calls: list[tuple[Any, ...]] = []


def run(*arguments: Any) -> int:
    """The code of every verb here."""
    calls.append(arguments)
    return 0


@pytest.fixture(autouse=True)
def verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    here, code = __name__, f"{__name__}:run"
    calls.clear()
    monkeypatch.setattr(
        cli,
        "VERBS",
        {
            "train": cli.Verb(f"{here}:VerbOptions", code, "train", joins="settings"),
            "look": cli.Verb(f"{here}:VerbOptions", code, "look", joins="data"),
            "ask": cli.Verb(f"{here}:ModelVerbOptions", code, "ask", joins="model"),
            "test": cli.Verb(
                f"{here}:ModelVerbOptions", code, "test", joins="model", pretrained=(f"{here}:PretrainedOptions", code)
            ),
        },
    )


def save_config(folder: Path, ours: Any) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "spanbert": ours}))
    return str(folder)


# The table


def test_a_task_is_found_or_the_nearest_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_task("labelled-lines") is LabelledLines
    monkeypatch.setattr(tasks, "TASKS", TASKS)
    for wrong, right in [
        ("qa", "question-answering"),
        ("NER", "ner"),
        ("relatons", "relations"),
        ("x-y", "ner, coref"),
    ]:
        with pytest.raises(ConfigurationError, match=right):
            find_task(wrong)


def test_other_packages_add_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = EntryPoints(
        [
            EntryPoint("lines", "labelled_lines_task:LabelledLines", tasks.ENTRY_POINT_GROUP),
            EntryPoint("broken", "labelled_lines_task:Nothing", tasks.ENTRY_POINT_GROUP),
        ]
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", entries.select)
    assert find_task("lines") is LabelledLines
    assert tasks.task_names() == ["labelled-lines", "broken", "lines"]
    with pytest.raises(ConfigurationError, match=r"'broken'.*cannot be imported"):
        find_task("broken")


# Composing


def test_options_are_composed_and_split_again() -> None:
    command = parse_task_command(
        VerbOptions, "settings", ["labelled-lines", "a", "--stride", "9", "--label-weights", "x", "2"], program="p"
    )
    assert command.task is LabelledLines
    assert command.config == VerbOptions(file=Path("a"), epochs=7.0), "the task's default"
    assert command.options == LineSettings(stride=9, label_weights={"x": 2.0})
    command = parse_task_command(VerbOptions, "data", ["labelled-lines", "a", "--epochs", "2"], program="p")
    assert (command.config, command.options) == (VerbOptions(file=Path("a"), epochs=2.0), LineOptions())


def test_both_halves_are_checked() -> None:
    composed = compose_options(VerbOptions, LabelledLines, "data")
    with pytest.raises(ConfigurationError, match="--epochs"):
        composed(file=Path("a"), epochs=-1.0)
    with pytest.raises(ConfigurationError, match="--separator"):
        composed(file=Path("a"), separator="")
    assert split_options(composed(file=Path("a"), separator=";"), LineOptions) == LineOptions(separator=";")


def test_names_that_clash_are_a_bug_of_the_task() -> None:
    with pytest.raises(AssertionError, match="both have separator"):
        compose_options(LineOptions, LabelledLines, "data")


def test_help_of_a_task_shows_the_options_of_both(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "labelled-lines", "--help"])
    assert stopped.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "usage: spanbert train labelled-lines" in shown
    for text in ("Do a thing to a file.", "What to do it to.", "between label and text.", "How often. (default: 7.0)"):
        assert text in shown
    assert "Learned" not in shown
    assert "--stride" in shown


def test_what_is_learned_is_no_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "labelled-lines", "a", "--labels", "x"])
    assert stopped.value.code == 2
    file = tmp_path / "run.toml"
    file.write_text("labels = ['x']")
    assert cli.main(["train", "labelled-lines", "a", "--config", str(file)]) == 1
    assert "unknown option 'labels'" in capsys.readouterr().err


def test_a_file_gives_options_of_both_halves(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("file = 'a'\nseparator = ';'\nstride = 7\nepochs = 9\n")
    assert cli.main(["train", "labelled-lines", "--config", str(file), "--stride", "8"]) == 0
    ((config, task, options),) = calls
    assert (config, task) == (VerbOptions(file=Path("a"), epochs=9.0), LabelledLines)
    assert options == LineSettings(separator=";", stride=8)


# Which task


def test_help_without_a_task_lists_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["look", "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "labelled-lines  a label for each line" in shown
    assert "`spanbert look TASK --help`" in shown
    with pytest.raises(SystemExit) as stopped:
        cli.main(["look"])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["labelled-line", "a"], "did you mean 'labelled-lines'"),
        (["--epochs", "2", "labelled-lines", "a"], "name the task first"),
        ([__file__], "is a file or folder; the task comes first"),
    ],
)
def test_a_task_that_is_not_named_right(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["look", *words]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["ask", "test"])
def test_a_model_says_its_task_and_how_its_files_are_read(verb: str, tmp_path: Path) -> None:
    settings = {"separator": ";", "stride": 5, "labels": ["a"]}
    model = save_config(tmp_path / "model", {"task": "labelled-lines", "settings": settings})
    assert cli.main([verb, model]) == 0
    assert calls == [(ModelVerbOptions(model=model), LabelledLines, LineOptions(separator=";"))]
    assert cli.main([verb, "--separator", ",", model]) == 0
    assert calls[1][2] == LineOptions(separator=",")
    file = tmp_path / "ask.toml"
    file.write_text(f"model = {model!r}\n")
    assert cli.main([verb, "--config", str(file)]) == 0
    assert calls[2] == calls[0]


def test_a_model_for_no_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, ours in enumerate([{"task": "pretraining"}, None]):
        model = save_config(tmp_path / str(number), ours)
        assert cli.main(["ask", model]) == 1
        assert "is not fine-tuned" in capsys.readouterr().err
        assert cli.main(["test", "--deep", model]) == 0
        assert calls.pop() == (PretrainedOptions(model=model, deep=True),)


def test_help_without_a_model_says_how_to_see_the_rest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb, further in [("ask", "reads files."), ("test", "only pre-trained")]:
        with pytest.raises(SystemExit) as stopped:
            cli.main([verb, "--help"])
        assert stopped.value.code == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert f"`spanbert {verb} MODEL --help`" in shown
        assert further in shown
    with pytest.raises(SystemExit):
        cli.main(["test", save_config(tmp_path / "model", None), "--help"])
    assert "Ask deeply." in capsys.readouterr().out


def test_a_model_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_config(tmp_path / "other", {"task": "dancing"})
    assert cli.main(["ask", model]) == 1
    assert "not installed here: there is no task 'dancing'" in capsys.readouterr().err
    for number, ours in enumerate(["text", {"task": "labelled-lines", "settings": 3}]):
        assert cli.main(["ask", save_config(tmp_path / str(number), ours)]) == 1
        assert "is not an object" in capsys.readouterr().err
    (tmp_path / "0" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        task_of_model(str(tmp_path / "0"))
    assert cli.main(["ask", str(tmp_path / "none")]) == 1
    assert "is no folder or file here" in capsys.readouterr().err


def test_the_model_among_the_words(tmp_path: Path) -> None:
    model = save_config(tmp_path / "model", {})
    assert model_of(["--threads", "2", model, "file"]) == model
    assert model_of(["name", "file", "--threads", "2"]) == "name"
    assert model_of(["--threads", "2"]) is None
    assert model_of(["--help"]) is None
