"""The report of an evaluation: whole, safe, and the same every time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_lines_task import Guess, LabelledLines, Line, LineComparison, LineSettings

from spanbert.evaluation.bootstrap import Interval, intervals_of
from spanbert.evaluation.calibration import calibration_of
from spanbert.evaluation.report import write_report

HISTORY = [
    *({"step": step, "set": "training", "loss": 1 / step} for step in range(1, 50)),
    *({"step": step, "set": "dev", "accuracy": float(step), "loss": 0.5} for step in (10, 20)),
]


def report(path: Path, texts: Sequence[str], guesses: Sequence[Guess | None], **options: Any) -> str:
    examples = [Line(f"id-{number}", text, "<good>" if number % 2 else "bad") for number, text in enumerate(texts)]
    comparison = LineComparison(examples, guesses)
    given = {"title": "a & b", "history": HISTORY, "intervals": intervals_of(comparison, samples=20)} | options
    task = LabelledLines(LineSettings())
    file = write_report(path, task=task, examples=examples, predictions=guesses, comparison=comparison, **given)
    return file.read_text(encoding="utf-8")


class Structure(HTMLParser):
    """The elements of a page; fails where one is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_has_all_its_parts(tmp_path: Path) -> None:
    texts = ["first text", "second text", "third", "fourth"]
    page = report(tmp_path, texts, [Guess("bad", 0.9), Guess("bad", 0.6), Guess("<good>", 0.8), None])
    assert (tmp_path / "report.html").is_file()
    for heading in ("Figures", "Labels", "Confusions", "Calibration", "Training", "Worst errors"):
        assert f"<h2>{heading}</h2>" in page
    assert "a &amp; b" in page
    assert "4 examples, 1 without a prediction" in page
    assert "25.00" in page
    order = [page.index(f"<bdi>id-{number}</bdi>") for number in (2, 1, 3)]
    assert order == sorted(order), "the most confident mistake comes first"
    assert "id-0" not in page
    structure = Structure(page)
    svgs = [attributes for tag, attributes in structure.seen if tag == "svg"]
    assert len(svgs) == 2
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in svgs)


def test_a_report_loads_nothing_and_runs_nothing(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
    page = report(tmp_path / "r.html", [evil, evil + "\x00\ud800"], [Guess(evil, 0.9), Guess(evil, 0.8)], title=evil)
    structure = Structure(page)
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in structure.seen}
    for _, attributes in structure.seen:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        for name in ("href", "xlink:href"):
            assert (attributes.get(name) or "#").startswith("#")
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_the_same_evaluation_gives_the_same_report(tmp_path: Path) -> None:
    first, second = (report(tmp_path / name, ["x", "y"], [Guess("bad"), Guess("bad")]) for name in ("1", "2"))
    assert first == second


def test_what_there_is_nothing_of_is_left_out(tmp_path: Path) -> None:
    page = report(tmp_path / "r.html", ["x", "y"], [Guess("bad"), Guess("<good>")], history=None)
    assert "every prediction is right" in page
    assert "<h2>Training" not in page
    page = report(tmp_path / "r.html", ["x", "y"], [None, None], history=[], worst=0)
    for heading in ("Confusions", "Calibration", "Worst errors"):
        assert f"<h2>{heading}" not in page


def test_many_labels_share_a_row(tmp_path: Path) -> None:
    guesses = [Guess(f"label-{number}") for number in range(60)]
    page = report(tmp_path / "r.html", ["x"] * 60, guesses, worst=5)
    assert "all others" in page
    assert page.count('<th scope="col" title=') == 21
    assert "5 of 60 examples with an error" in page


def test_figures_whose_names_do_not_say_it_are_explained_where_they_appear(tmp_path: Path) -> None:
    guesses = [Guess("bad"), Guess("(none)")]
    page = report(tmp_path / "r.html", ["x", "y"], guesses, intervals={"overlap_f1": Interval(50.0)})
    assert "<b>overlap</b>: right label, and" in page
    assert "<b>macro</b>" not in page
    assert "(none): there is no such answer" in page
    page = report(tmp_path / "r.html", ["x", "y"], guesses[:1] * 2, intervals={"best_f1_threshold": Interval(0.5)})
    assert "<b>best</b>: " in page
    assert "<b>threshold</b>: " in page
    assert "(none)" not in page


def test_calibration() -> None:
    confidences = np.array([0.8] * 10 + [0.35] * 10 + [1.0, 0.0, np.nan])
    right = np.array([True] * 8 + [False] * 2 + [True] * 5 + [False] * 5 + [True, False, True])
    calibration = calibration_of(confidences, right)
    assert calibration is not None
    assert calibration.numbers.tolist() == [1, 0, 0, 10, 0, 0, 0, 10, 0, 1]
    assert calibration.error == pytest.approx(10 / 22 * 0.15)
    assert calibration_of(np.array([np.nan]), np.array([True])) is None
