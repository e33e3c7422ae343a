"""The command benchmarks/speed.py: what it refuses, what it records, and how it ends; its rows here are made up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = {"machine": "m", "load": 0.0, "versions": "v", "date": "d", "commit": "c"}


@pytest.fixture
def speed(bench: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the command; gives its status, or the error that it ends with."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    monkeypatch.setattr(bench.speed, "circumstances", lambda device, threads: HERE)
    monkeypatch.setattr(bench.speed, "small_model", lambda: model)
    monkeypatch.setattr(bench.speed, "_CORES", 2)

    def run(*words: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["speed.py", *words])
        with pytest.raises(SystemExit) as end:
            bench.speed.main()
        return end.value.code

    return run


def recorded(bench: SimpleNamespace) -> dict[str, Any]:
    records: dict[str, Any] = json.loads((bench.folder / "benchmarks" / "recorded.json").read_text())
    return records


def data_folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "texts").mkdir(parents=True)
    (tmp_path / "data" / "texts" / "all.txt").write_text("text")
    return tmp_path / "data"


def test_a_row_that_fails_does_not_stop_the_others(
    bench: SimpleNamespace, speed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speed("--only", "first", "fails", "last", "--record") == 1
    told = capsys.readouterr()
    assert "FAILED: fails: ours: ended with 3" in told.err
    assert "the reason why it dies" in told.err
    assert told.err.rstrip().endswith("FAILED: fails")
    assert list(recorded(bench)) == ["first", "last"]
    assert "Title of last" in (bench.folder / "docs" / "benchmarks.md").read_text()


def test_the_page_keeps_its_order_whatever_was_run(bench: SimpleNamespace, speed: Any) -> None:
    for words in (["--only", "last"], ["--device", "cuda"], ["--only", "other-python", "first"]):
        assert speed("--record", *words) == 0
    assert list(recorded(bench)) == ["first", "last", "other-python", "on-gpu"]


def test_good_records_are_not_spoiled(
    bench: SimpleNamespace, speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(data_folder(tmp_path))]
    bench.speed.check = lambda chosen, options: None  # no fastcoref here
    rows = ["--only", "first", "last", "other", "--record"]
    assert speed(*rows, *data, "--fastcoref-python", sys.executable) == 0
    before = recorded(bench)
    assert before["last"]["command"] == "python benchmarks/speed.py --only last --data DATA"
    assert before["other-python"]["command"].endswith("--only other-python --fastcoref-python PYTHON")
    bench.speed.circumstances = lambda device, threads: HERE | {"date": "later"}
    capsys.readouterr()
    assert speed(*rows) == 0
    told = capsys.readouterr().err
    assert "last: will not be recorded: its record was made with --data\n" in told
    assert "other-python: will not be recorded: its record was made with --fastcoref-python\n" in told
    assert "last: not compared: recorded with real data, now the sample texts" in told
    assert told.rstrip().endswith("NOT RECORDED: last, other-python")
    assert {name: record["date"] for name, record in recorded(bench).items()} == {
        "first": "later",
        "last": "d",
        "other-python": "d",
    }


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--record", "--quick"], "--record goes with none of --quick, --threads"),
        (["--record", "--threads", "1"], "--record goes with none of --quick, --threads"),
        (["--threads", "0"], "argument --threads: 0: not a number of threads"),
        (["--threads", "-2"], "argument --threads: -2: not a number of threads"),
    ],
)
def test_options_that_make_no_sense(
    speed: Any, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert speed(*words) == 2
    assert told in capsys.readouterr().err


def test_unknown_rows_are_errors_that_name_the_nearest(speed: Any) -> None:
    assert "did you mean last" in speed("--only", "first", "lost")
    assert "no row's name begins so" in speed("--only", "")
    assert "no such row with this --device" in speed("--only", "on-gpu")
    assert "these --threads" in speed("--only", "first", "--threads", "1")


def test_what_is_missing_is_told_before_anything_runs(
    speed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    everything = speed("--data", str(empty), "--model", str(empty), "--fastcoref-python", str(tmp_path / "python"))
    for line, told in zip(
        everything.splitlines(),
        (f"last: needs {empty}/texts/all.txt", f"--model {empty}: has no config.json", "cannot be run: No such file"),
        strict=True,
    ):
        assert told in line
    assert "cannot import fastcoref: ModuleNotFoundError" in speed("--fastcoref-python", sys.executable)
    assert "loading" not in capsys.readouterr().err


def test_a_gpu_that_is_not_there_is_told(bench: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SystemExit, match="--device cuda: torch does not find it"):
        bench.circumstances.machine("cuda", 2)


def test_a_busy_machine_is_told_and_noted(
    bench: SimpleNamespace, speed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.speed.circumstances = lambda device, threads: HERE | {"load": 1.5}
    assert speed("--only", "first", "--record") == 0
    assert "WARNING: load 1.5" in capsys.readouterr().err
    assert recorded(bench)["first"]["load"] == 1.5


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals as Unix has them")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_leaves_neither_processes_nor_files(
    bench: SimpleNamespace, tmp_path: Path, number: signal.Signals
) -> None:
    scratch, pid = tmp_path / "scratch", bench.folder / "pid"
    scratch.mkdir()
    folder = bench.folder / "benchmarks"
    # A made-up small BERT: --record refuses --model.
    code = f"""
import importlib.util, runpy, sys, types
found = types.SimpleNamespace(submodule_search_locations=[{str(tmp_path)!r}])
importlib.util.find_spec = lambda name, package=None: found
sys.argv = ["speed.py", "--only", "first", "hangs", "--record"]
sys.path.insert(0, {str(folder)!r})
runpy.run_path({str(folder / "speed.py")!r}, run_name="__main__")
"""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=environment, text=True) as process:
        while not pid.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in told
    assert f"stopped by {number.name}" in told
    assert list(scratch.glob("benchmarks-*")) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert list(recorded(bench)) == ["first"]


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_asks_for_what_it_was_told() -> None:
    def command(*words: str) -> str:
        done = subprocess.run(
            ["make", "--dry-run", "benchmarks", *words], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return done.stdout[done.stdout.index("benchmarks/speed.py") :]

    assert "--quick" in command("QUICK=1")
    assert "--record" in command("QUICK=0")
    assert "--record" in command()
    assert '--data "my data"' in command("DATA=my data")
