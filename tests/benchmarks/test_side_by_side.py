"""The instrument that measures sides in turn: proof first, medians, records, the page. No test looks at a clock."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"

FAKE_SIDE = """
import os
from side_by_side.worker import Job, serve

def load(settings):
    print("libraries print this")
    if settings.get("dies"):
        raise SystemExit(3)
    rounds = iter(settings["seconds"])
    def run():
        with open(settings["log"], "a") as log:
            log.write(settings["name"])
        return {"seconds": next(rounds), "units": 6, "right": 5}
    return Job(run, lambda: settings["proof"], warm_up=settings.get("warm_up", 0))

serve(load)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A copy of the instrument with a side more, whose seconds and proof the test decides."""
    folder = tmp_path_factory.mktemp("benchmarks")
    shutil.copytree(BENCHMARKS / "side_by_side", folder / "side_by_side", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "side_by_side" / "sides" / "fake.py").write_text(FAKE_SIDE)
    sys.path.insert(0, str(folder))
    try:
        yield SimpleNamespace(
            **{name: importlib.import_module(f"side_by_side.{name}") for name in ("comparison", "measuring", "report")}
        )
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "side_by_side"]:
            del sys.modules[name]


def make_comparison(bench: SimpleNamespace, log: Path, peer_proof: list[float], **peer: Any) -> Any:
    settings = {"log": str(log), "proof": [1.0, 20.0], "name": "A", "seconds": [3.0, 1.0, 2.0, 9.0, 9.0]}
    other = settings | {"proof": peer_proof, "name": "B", "seconds": [30.0, 10.0, 20.0, 90.0, 90.0]} | peer
    return bench.comparison.Comparison(
        name="fake",
        title="A fake",
        does="Nothing.",
        unit="texts",
        sides=(
            bench.comparison.Side("ours", "ours", "fake", settings, proves=True),
            bench.comparison.Side("peer", "the peer", "fake", other, proves=True),
        ),
        aims=(
            bench.comparison.Aim("speed", bench.comparison.speed_ratio("ours", "peer"), least=4.0),
            bench.comparison.Aim("seconds", lambda results: results["ours"].seconds, most=1.5, unit="s"),
            bench.comparison.Aim("told only", lambda results: 0.5, unit="%"),
        ),
        flop="2 a text",
        flop_per_unit=2e9,
        flop_sides=("ours",),
        proof="two numbers",
        rounds=3,
    )


def measure(bench: SimpleNamespace, comparison: Any, **options: Any) -> Any:
    return bench.measuring.measure(
        comparison, **({"threads": 1, "quick": False, "verbose": False, "say": lambda line: None} | options)
    )


CIRCUMSTANCES = {"machine": "m", "versions": "v", "date": "d", "commit": "c", "texts": "real data"}


def test_sides_take_turns_and_medians_count(bench: SimpleNamespace, tmp_path: Path) -> None:
    said: list[str] = []
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0005])
    results = measure(bench, comparison, say=said.append)
    assert (tmp_path / "log").read_text() == "ABABAB"
    assert (results["ours"].seconds, results["peer"].seconds) == (2.0, 20.0)
    assert results["ours"].rounds == (3.0, 1.0, 2.0)
    assert results["ours"].speed == 3.0
    assert results["ours"].figures == {"right": 5}
    assert len(said) == 3
    record = bench.report.record_of(comparison, results, CIRCUMSTANCES)
    assert [(aim["text"], aim["value"], aim["met"]) for aim in record["aims"]] == [
        ("speed", 10.0, True),
        ("seconds", 2.0, False),
        ("told only", 0.5, None),
    ]
    assert [side["gflops"] for side in record["sides"]] == [6.0, None]


@pytest.mark.parametrize("proof", [[1.0, 20.1], [1.0], [1.0, float("nan")]])
def test_nothing_is_timed_before_both_sides_compute_the_same(
    bench: SimpleNamespace, tmp_path: Path, proof: list[float]
) -> None:
    with pytest.raises(SystemExit, match="fake"):
        measure(bench, make_comparison(bench, tmp_path / "log", proof))
    assert not (tmp_path / "log").exists()


def test_warming_up_is_not_measured(bench: SimpleNamespace, tmp_path: Path) -> None:
    results = measure(bench, make_comparison(bench, tmp_path / "log", [1.0, 20.0], warm_up=2))
    assert (tmp_path / "log").read_text() == "BB" + "ABABAB"
    assert results["peer"].rounds == (20.0, 90.0, 90.0)


def test_a_side_that_ends_is_named(bench: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="the peer: ended with 3; --verbose"):
        measure(bench, make_comparison(bench, tmp_path / "log", [], dies=True))


def test_what_is_clearly_worse_than_recorded_is_told(bench: SimpleNamespace, tmp_path: Path) -> None:
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0])
    record = bench.report.record_of(comparison, measure(bench, comparison), CIRCUMSTANCES)
    before = json.loads(json.dumps(record))
    assert bench.report.regressions("fake", record, None) == []
    assert bench.report.regressions("fake", record, before) == []
    before["aims"][0]["value"] = 20.0  # it was twice as fast
    before["aims"][1]["value"] = 1.0  # it took half of the time
    before["aims"][2]["value"] = 100.0  # no aim, not judged
    worse = bench.report.regressions("fake", record, before)
    assert [(one.aim, one.was, one.now) for one in worse] == [("speed", 20.0, 10.0), ("seconds", 1.0, 2.0)]
    assert bench.report.regressions("fake", record, before | {"texts": "the sample texts"}) == []
    before["aims"][0]["value"], before["aims"][1]["value"] = 11.0, 1.9  # noise
    assert bench.report.regressions("fake", record, before) == []


def test_the_page_is_written_from_the_records(bench: SimpleNamespace, tmp_path: Path) -> None:
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0])
    record = bench.report.record_of(comparison, measure(bench, comparison), CIRCUMSTANCES)
    recorded, page = tmp_path / "recorded.json", tmp_path / "page.md"
    bench.report.write_records(recorded, {"other": record, "fake": record}, ["fake", "unknown"])
    assert list(bench.report.read_records(recorded)) == ["fake", "other"]
    page.write_text("# Title\n")
    with pytest.raises(SystemExit, match="between"):
        bench.report.write_page(page, bench.report.read_records(recorded))
    page.write_text(f"# Title\n\n{bench.report._BEGIN}\nis replaced\n{bench.report._END}\n\nBelow.\n")
    bench.report.write_page(page, bench.report.read_records(recorded))
    text = page.read_text()
    assert text.startswith("# Title\n")
    assert text.endswith("\n\nBelow.\n")
    assert "is replaced" not in text
    assert "| A fake | speed | at least 4.00 x | 10.0 x | met |" in text
    assert "| A fake | seconds | at most 1.50 s | 2.00 s | **missed** |" in text
    assert "| A fake | told only |  | 50.0 % |  |" in text
    assert "| ours | 3.00 | 6 | 3, 1, 2 |" in text
    assert text.count("## A fake") == 2


def test_every_row_can_be_listed_without_data(bench: SimpleNamespace, tmp_path: Path) -> None:
    rows = importlib.import_module("side_by_side.rows")
    for device in ("cpu", "cuda"):
        options = bench.comparison.Options(None, tmp_path, device, 2, None, tmp_path)
        comparisons = [comparison for make in rows.ROWS for comparison in make(options)]
        names = [comparison.name for comparison in comparisons]
        assert len(set(names)) == len(names) > 0
        for comparison in comparisons:
            keys = [side.key for side in comparison.sides]
            assert len(set(keys)) == len(keys)
            for side in comparison.sides:
                assert (BENCHMARKS / "side_by_side" / "sides" / f"{side.module}.py").exists()
                json.dumps(dict(side.settings))


def test_what_is_recorded_is_what_the_page_shows() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        report = importlib.import_module("side_by_side.report")
        records = report.read_records(BENCHMARKS / "recorded.json")
        page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
        assert records
        assert report.summary(records) in page
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in [name for name in sys.modules if name.partition(".")[0] == "side_by_side"]:
            del sys.modules[name]
