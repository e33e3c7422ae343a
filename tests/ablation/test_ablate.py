"""`spanbert ablate` from end to end: what it makes, does once, goes on with, and refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spanbert.ablation import cells as cells_module
from spanbert.ablation.ablate import ablate
from spanbert.ablation.config import ROWS, AblateConfig
from spanbert.ablation.folder import cells_of
from spanbert.cli import main
from spanbert.durable_files import locked
from spanbert.encoder import SpanBertModel
from spanbert.errors import ConfigurationError
from spanbert.finetuning.data import FinetuneData
from spanbert.info import describe
from spanbert.score import score_file
from spanbert.tasks import find_task
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import PretrainingData

Make = Callable[..., AblateConfig]

SECONDS = {"wall_seconds", "cpu_seconds", "interrupted"}


def command(config: AblateConfig) -> list[str]:
    words = ["ablate", str(config.corpus)]
    defaults = vars(AblateConfig(corpus=config.corpus, output=config.output))
    for name, value in vars(config).items():
        if name == "corpus" or (value == defaults[name] and name != "output"):
            continue
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words += map(str, value) if isinstance(value, tuple) else [str(value)]
    return words


def results_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text(encoding="utf-8")))


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_seconds(inner) for name, inner in value.items() if name not in SECONDS}
    return value


def run_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))


def test_encoders_differ_in_their_row_and_seed_alone(finished: Path) -> None:
    free = {"scheme", "nsp", "sbo", "seed", "batch_size", "output"}
    rest = set()
    for row, seed in [("pieces-nsp", 0), ("spans", 0), ("spans-sbo", 0), ("spans-sbo", 1)]:
        encoder = finished / "rows" / row / f"seed-{seed}" / "pretraining" / "encoder"
        config = run_of(encoder)["config"]
        one = next(value for name, value in ROWS.items() if name == row)
        assert (config["scheme"], config["nsp"], config["sbo"], config["seed"]) == (one.scheme, one.nsp, one.sbo, seed)
        rest.add(json.dumps({name: value for name, value in config.items() if name not in free}))
        assert SpanBertModel.from_pretrained(encoder).config.num_hidden_layers == 1
        assert not (encoder / "checkpoints").exists()
    assert len(rest) == 1
    pieces = [one["pieces"] for row in results_of(finished)["pretraining"].values() for one in row["seeds"].values()]
    assert max(pieces) / min(pieces) < 1.1


def test_all_seeds_hold_out_the_same_documents(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held_out: list[bytes] = []
    original = Corpus.held_out_documents

    def spied(self: Corpus, fraction: float, seed: int) -> Any:
        chosen = original(self, fraction, seed)
        held_out.append(chosen.tobytes())
        return chosen

    monkeypatch.setattr(Corpus, "held_out_documents", spied)
    figures = ablate(make(output=tmp_path / "out", tasks=None, rows=("spans",), seeds=(2,))).figures
    assert len(figures["pretraining"]["spans"]["seeds"]) == 2
    assert len(held_out) > 4
    assert len(set(held_out)) == 1
    corpus = Corpus.open(make(output=tmp_path).corpus)
    assert original(corpus, 0.1, 0).tobytes() != original(corpus, 0.1, 1).tobytes()


def test_figures_are_those_of_the_predictions(finished: Path, tasks_file: Path) -> None:
    task = find_task("ner")
    gold = [located.example for located in task.read(tasks_file.parent / "ner/dev.jsonl", task.data_options())]
    results = results_of(finished)
    entities = results["tasks"][0]
    for row, figures in entities["rows"].items():
        for seed, value in figures["seeds"].items():
            file = finished / "rows" / row / f"seed-{seed}" / "tasks" / "entities" / "predictions.jsonl"
            scores = score_file(task, gold, file, task.data_options(), samples=0)
            assert scores.comparison.figures()["f1"] == pytest.approx(value)
        assert figures["low"] <= figures["mean"] <= figures["high"]
    assert [step["after"] for step in entities["differences"]] == ["spans", "spans-sbo"]
    assert all(step["includes_seeds"] for step in entities["differences"])


def test_what_is_left_is_small_and_for_people(finished: Path) -> None:
    tuned = finished / "rows/spans/seed-0/tasks/which-kind/model"
    assert {path.name for path in tuned.iterdir()} == {"run.json", "history.jsonl", "curves.png"}
    assert run_of(tuned)["metrics"]["dev"]["accuracy"] >= 0
    page = (finished / "README.md").read_text(encoding="utf-8")
    assert "Unfinished" not in page
    assert "15 % of these masked" in page
    assert "dropout 0.1, first weights of 0.02" in page
    for row in ("pieces-nsp", "spans", "spans-sbo"):
        assert f"| {row} | {ROWS[row].words} |" in page  # type: ignore[index]
    assert (finished / "ablation.png").read_bytes().startswith(b"\x89PNG")
    held_out = results_of(finished)["pretraining"]["spans-sbo"]["held_out"]
    assert held_out["pieces"]["mean"] != held_out["spans"]["mean"]
    for figures in held_out.values():
        assert figures["low"] < figures["mean"] < figures["high"]
    assert "drawn" not in (finished / "results.json").read_text(encoding="utf-8"), "the figures alone"


def test_what_is_finished_is_not_done_again(
    make: Make, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = results_of(finished)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("it was finished")

    monkeypatch.setattr(cells_module, "pretrain", forbidden)
    monkeypatch.setattr(cells_module, "finetune_files", forbidden)
    assert main(command(make(output=finished, json=True))) == 0
    assert json.loads(capsys.readouterr().out) == before
    fewer = make(output=finished, rows=("pieces-nsp", "spans-sbo"), seeds=(1,))
    assert main(command(fewer)) == 0
    shown = capsys.readouterr().out
    assert "pieces-nsp → spans-sbo" in shown
    assert "±" not in shown
    with pytest.raises(AssertionError, match="it was finished"):
        ablate(make(output=finished, seeds=(1, 2, 2)))
    ablate(make(output=finished))


def interrupting(owner: type[Any], call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal while the n-th batches of an ablation are made."""
    original, calls = owner.micro_batches, iter(range(1, 1000))

    def micro_batches(self: Any, step: int, rank: int, num_ranks: int) -> Any:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, step, rank, num_ranks)

    monkeypatch.setattr(owner, "micro_batches", micro_batches)


def test_an_interrupted_ablation_goes_on_to_the_same_figures(
    make: Make, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(output=tmp_path / "out", quiet=False)
    with monkeypatch.context() as patch:
        interrupting(PretrainingData, 3, patch)  # in the first step of the second encoder
        assert main(command(config)) == 128 + signal.SIGINT
    told = capsys.readouterr()
    assert "run 4 of 12: spans, single sequences, seed 0: pre-training" in told.err
    assert "3 of 12 runs are done; the same command goes on" in told.err
    assert not told.out
    page = (config.output / "README.md").read_text(encoding="utf-8")
    assert "**Unfinished**: 3 of 12 runs are done." in page
    assert not results_of(config.output)["finished"]
    with monkeypatch.context() as patch:
        interrupting(FinetuneData, 3, patch)
        assert main(command(config)) == 128 + signal.SIGINT
    assert main(command(config)) == 0
    assert "Entities" in capsys.readouterr().out
    assert without_seconds(results_of(config.output)) == without_seconds(results_of(finished))
    assert results_of(config.output)["pretraining"]["spans"]["seeds"]["0"]["interrupted"] == 1
    assert results_of(config.output)["pretraining"]["spans"]["seeds"]["0"]["time_is_whole"]


def test_a_signal_while_a_run_is_prepared_is_not_lost(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = cells_module.pretrain

    def interrupted(*options: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return original(*options)

    config = make(output=tmp_path / "out", tasks=None, rows=("spans",), seeds=(1,))
    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "pretrain", interrupted)
        assert main(command(config)) == 128 + signal.SIGINT
    assert results_of(config.output)["runs"] == {"done": 0, "planned": 1}
    assert main(command(config)) == 0


def test_processes_share_a_folder(
    make: Make, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make(output=tmp_path / "out", quiet=False)
    of_another = cells_of(config)[1]
    of_another.folder.mkdir(parents=True)
    shutil.copy(finished / "ablation.json", config.output)
    with locked(of_another.lock) as ours:
        assert ours
        assert main(command(config)) == 0
        told = capsys.readouterr().err
        assert "spans, single sequences, seed 0: left to another process, which is at it" in told
        assert "9 of 12 runs are done; another process is at it, and shows all when it ends" in told
        assert list(of_another.folder.iterdir()) == [of_another.lock]
        assert describe(config.output)["status"] == "running"
    assert not results_of(config.output)["finished"]
    of_another.lock.touch()  # the other process was killed
    assert main(command(config)) == 0
    assert without_seconds(results_of(config.output)) == without_seconds(results_of(finished))
    assert not list(config.output.rglob(".lock"))


def test_a_signal_in_the_last_step_of_a_run_is_not_lost(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(output=tmp_path / "out", tasks=None, rows=("spans", "spans-sbo"), seeds=(1,), steps=1)
    with monkeypatch.context() as patch:
        interrupting(PretrainingData, 1, patch)
        assert main(command(config)) == 128 + signal.SIGINT
    results = results_of(config.output)
    assert (results["runs"], list(results["pretraining"])) == ({"done": 1, "planned": 2}, ["spans"])
    assert main(command(config)) == 0
    assert results_of(config.output)["finished"]


def test_time_of_a_killed_session_is_not_passed_off_as_whole(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*_: object, **__: object) -> None:
        raise Killed

    config = make(output=tmp_path / "out", tasks=None, rows=("spans",), seeds=(1,))
    with monkeypatch.context() as patch:
        patch.setattr(cells_module, "pretrain", dies)
        with pytest.raises(Killed):
            ablate(config)
    figures = ablate(config).figures["pretraining"]["spans"]["seeds"]["0"]
    assert figures["wall_seconds"] > 0
    assert not figures["time_is_whole"]
    page = (config.output / "README.md").read_text(encoding="utf-8")
    assert "at least" in page
    assert "No tasks were given" in page


def test_other_options_are_refused(make: Make, finished: Path, tasks_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"other options \(steps: was 2, now 3\)"):
        ablate(make(output=finished, steps=3))
    folder = tmp_path / "tasks"
    shutil.copytree(tasks_file.parent, folder)
    other = folder / "tasks.toml"
    other.write_text(tasks_file.read_text().replace("learning_rate = 3e-3", "learning_rate = 1e-3"))
    with pytest.raises(ConfigurationError, match=r"task 'Entities': .*learning_rate: was 0.003, now 0.001"):
        ablate(make(output=finished, tasks=other))
    with (tasks_file.parent / "ner/train.jsonl").open("r+", encoding="utf-8") as file:
        text = file.read()
        file.write("\n")
    try:
        with pytest.raises(ConfigurationError, match=r"task 'Entities': the contents of .*train.jsonl have changed"):
            ablate(make(output=finished))
    finally:
        (tasks_file.parent / "ner/train.jsonl").write_text(text, encoding="utf-8")


def test_folders_of_others_are_refused(
    make: Make, corpus_folder: Path, tasks_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty and holds no ablation"):
        ablate(make(output=tmp_path))
    with pytest.raises(ConfigurationError, match=r"is a file; --output names a folder"):
        ablate(make(output=tmp_path / "notes.txt"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigurationError, match="runs in one process"):
        ablate(make(output=tmp_path / "other"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ("spans", "spans")}, "each row once"),
        ({"rows": ("span",)}, "there is no row 'span'"),
        ({"seeds": (1, 2)}, "2 numbers for 3 rows"),
        ({"seeds": (0,)}, "at least 1"),
        ({"samples": 0}, "--samples is at least 1"),
        ({"held_out": 0.0}, "--held-out"),
        ({"steps": 0}, "--steps"),
        ({"width": 33}, "cannot be split"),
        ({"sequence_length": 128}, "--max-positions"),
    ],
)
def test_options_out_of_range_are_refused(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(output=Path("out"), **options)


def test_rows_have_their_own_numbers_of_seeds(corpus_folder: Path) -> None:
    config = AblateConfig(corpus=corpus_folder, output=Path("out"), seed=5)
    assert {row: list(seeds) for row, seeds in config.seeds_of_rows.items()} == {
        "pieces-nsp": [5], "words-nsp": [5], "spans-nsp": [5], "spans": [5, 6, 7], "spans-sbo": [5, 6, 7],
    }  # fmt: skip
    order = [(cell.row, cell.seed) for cell in cells_of(config)]
    assert order[:5] == [(row, 5) for row in ROWS]
    assert order[5:] == [("spans", 6), ("spans-sbo", 6), ("spans", 7), ("spans-sbo", 7)]
