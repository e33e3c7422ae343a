"""What a person sees while a model trains."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from spanbert.training.progress import LineReporter, LiveReporter, Reporter, format_figures, make_reporter, warn

FIGURES = {
    "mlm_loss": 6.1234,
    "sbo_loss": 6.2,
    "grad_norm": 2.1,
    "pieces_per_second": 12345.0,
    "learning_rate": 1e-4,
}


def test_a_reader_that_has_gone_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stderr = os.fdopen(writer, "w", buffering=1)
    monkeypatch.setattr(sys, "stderr", stderr)
    with LineReporter(100, seconds=0) as line_reporter:
        line_reporter.begin(50)
        line_reporter.step(60, FIGURES)
        line_reporter.say("more")
    warn("something")
    with pytest.raises(BrokenPipeError):
        stderr.close()


def test_plain_lines_have_everything_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with LineReporter(100, seconds=0) as reporter:
        reporter.begin(50)
        reporter.step(60, FIGURES)
    line = capsys.readouterr().err
    assert line.startswith("step 60/100  mlm loss 6.123  sbo loss 6.200")
    assert "pieces per second 12,345  learning rate 1.00e-04" in line
    assert line.endswith("0:00:00 left\n")


def test_plain_lines_are_seldom_but_the_last_always_comes(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = LineReporter(100, seconds=3600)
    for step in range(10, 101, 10):
        reporter.step(step, FIGURES)
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()] == ["10/100", "100/100"]


def test_the_live_line_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, width=100, force_terminal=True, color_system=None)
    monkeypatch.setattr("rich.console.Console", lambda **_: console)
    with LiveReporter(4500) as reporter:
        reporter.begin(0)
        reporter.step(2000, FIGURES)
    shown = screen.getvalue()
    for part in ("2000/4500", "left", "pieces/s 12,345", "mlm 6.123", "sbo 6.200"):
        assert part in shown


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with make_reporter(10, quiet=True) as reporter:
        reporter.begin(0)
        reporter.step(1, FIGURES)
        reporter.say("something")
    assert type(reporter) is Reporter
    assert capsys.readouterr() == ("", "")


def test_the_figure_that_decides_comes_first() -> None:
    figures = {"precision": 50.0, "recall": 25.0, "macro_f1": 33.3, "macro_f1/PER": 1.0}
    assert format_figures(figures, deciding="macro_f1") == "macro f1 33.300 | precision 50.000  recall 25.000"
    assert format_figures(figures) == "precision 50.000  recall 25.000  macro f1 33.300"
    assert format_figures({"f1": 1.0}, deciding="f1") == "f1 1.000"
    assert format_figures({"f1": 1.0}, deciding="loss") == "f1 1.000"
