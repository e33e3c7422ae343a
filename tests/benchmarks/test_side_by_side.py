"""The instrument that measures sides in turn: proof first, medians, records, the page. No test looks at a clock."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


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


CIRCUMSTANCES = {"machine": "m", "load": 0.25, "versions": "v", "date": "d", "commit": "c", "command": "python a"}


def test_sides_take_turns_and_medians_count(bench: SimpleNamespace, tmp_path: Path) -> None:
    said: list[str] = []
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0005])
    results = measure(bench, comparison, say=said.append)
    assert (tmp_path / "log").read_text() == "ABABAB"
    assert (results["ours"].seconds, results["peer"].seconds) == (2.0, 20.0)
    assert results["ours"].rounds == (3.0, 1.0, 2.0)
    assert results["ours"].speed == 3.0
    assert results["ours"].figures == {"right": 5}
    assert len(said) == 1 + 3
    assert said[0] == "fake: loading 2 sides"
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
    with pytest.raises(bench.measuring.RowError, match="the peer"):
        measure(bench, make_comparison(bench, tmp_path / "log", proof))
    assert not (tmp_path / "log").exists()


def test_warming_up_is_not_measured(bench: SimpleNamespace, tmp_path: Path) -> None:
    results = measure(bench, make_comparison(bench, tmp_path / "log", [1.0, 20.0], warm_up=2))
    assert (tmp_path / "log").read_text() == "BB" + "ABABAB"
    assert results["peer"].rounds == (20.0, 90.0, 90.0)


def test_a_side_that_ends_is_named_with_its_last_words(bench: SimpleNamespace, tmp_path: Path) -> None:
    reason = "the peer: ended with 3; --verbose .*the reason why it dies"
    with pytest.raises(bench.measuring.RowError, match=re.compile(reason, re.DOTALL)):
        measure(bench, make_comparison(bench, tmp_path / "log", [], dies=True))


def test_what_is_clearly_worse_than_recorded_is_told(bench: SimpleNamespace, tmp_path: Path) -> None:
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0])
    record = bench.report.record_of(comparison, measure(bench, comparison), CIRCUMSTANCES)
    before = json.loads(json.dumps(record))
    compare = bench.comparing.compare
    assert compare("fake", record, before) == bench.comparing.Compared([], [])
    before["aims"][0]["value"] = 20.0  # it was twice as fast
    before["aims"][1]["value"] = 1.0  # it took half of the time
    before["aims"][2]["value"] = 100.0  # no aim, not judged
    worse = compare("fake", record, before).worse
    assert [(one.aim, one.was, one.now) for one in worse] == [("speed", 20.0, 10.0), ("seconds", 1.0, 2.0)]
    before["aims"][0]["value"], before["aims"][1]["value"] = 11.0, 1.9  # noise
    assert compare("fake", record, before).worse == []


def test_what_is_not_compared_is_said_with_the_reason(bench: SimpleNamespace, tmp_path: Path) -> None:
    comparison = make_comparison(bench, tmp_path / "log", [1.0, 20.0])
    record = bench.report.record_of(comparison, measure(bench, comparison), CIRCUMSTANCES)
    before = json.loads(json.dumps(record))
    before["aims"][0]["value"], before["aims"][1]["value"] = 20.0, 1.0
    compare = bench.comparing.compare
    nothing = compare("fake", record, None)
    assert (nothing.worse, nothing.not_compared) == ([], ["fake: not compared: nothing is recorded"])
    texts = compare("fake", record, before | {"texts": "real data"})
    assert texts.worse == []
    assert texts.not_compared == [
        "fake: not compared: recorded with real data, now the same with and without DATA",
    ]
    elsewhere = compare("fake", record, before | {"machine": "another"})  # ratios hold there, seconds do not
    assert [one.aim for one in elsewhere.worse] == ["speed"]
    assert elsewhere.not_compared == ["fake: not compared: seconds: recorded on another, now on m"]
    one_less = compare("fake", record | {"aims": record["aims"][1:]}, before)
    assert one_less.not_compared == ["fake: not compared: speed: recorded, but not measured now"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"fake": 3}', '{"fake": {"title": "A", "aims": []}}'])
def test_a_damaged_record_is_named(bench: SimpleNamespace, tmp_path: Path, text: str) -> None:
    path = tmp_path / "recorded.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"recorded.json: is damaged .*git checkout"):
        bench.report.read_records(path)


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
    assert "`python a`. Nothing." in text
    assert "m; v; the same with and without DATA; load 0.25 before the run; d, at c." in text


def options_of(real: SimpleNamespace, device: str, data: Path | None, fastcoref: Path | None) -> Any:
    folder = Path("none")
    return real.comparison.Options(data, folder, device, 2, fastcoref, folder)


def test_every_row_can_be_listed_without_data(real: SimpleNamespace) -> None:
    for device in ("cpu", "cuda"):
        comparisons = real.speed.rows_of(options_of(real, device, None, None))
        names = [comparison.name for comparison in comparisons]
        assert len(set(names)) == len(names) > 0
        for comparison in comparisons:
            assert comparison.sources == []
            keys = [side.key for side in comparison.sides]
            assert len(set(keys)) == len(keys)
            for side in comparison.sides:
                assert (BENCHMARKS / "side_by_side" / "sides" / f"{side.module}.py").exists()
                json.dumps(dict(side.settings))


def test_rows_that_read_no_data_are_the_same_without_it(real: SimpleNamespace) -> None:
    with_data = real.speed.rows_of(options_of(real, "cpu", Path("DATA"), None))
    without = real.speed.rows_of(options_of(real, "cpu", None, None))
    for one, other in zip(with_data, without, strict=True):
        if one.name.startswith(("pretraining", "masking", "start")):
            assert one.texts == other.texts
            assert [dict(side.settings) for side in one.sides] == [dict(side.settings) for side in other.sides]
        else:
            assert (one.texts, other.texts) == ("real data", "the sample texts")


def test_the_page_lists_the_files_that_rows_open(real: SimpleNamespace) -> None:
    page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    comparisons = real.speed.rows_of(options_of(real, "cpu", Path("DATA"), None))
    opened = {str(file) for comparison in comparisons for file in comparison.sources}
    assert set(re.findall(r"^    (DATA/\S+)", page, re.MULTILINE)) == opened


def test_what_is_recorded_is_what_the_page_shows(real: SimpleNamespace) -> None:
    records = real.report.read_records(BENCHMARKS / "recorded.json")
    page = (BENCHMARKS.parent / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert records
    assert real.report.body(records) in page


def test_the_recorded_commands_have_what_their_rows_used(real: SimpleNamespace) -> None:
    records = real.report.read_records(BENCHMARKS / "recorded.json")
    options = options_of(real, "cpu", Path("DATA"), Path("PYTHON"))
    for comparison in real.speed.rows_of(options):
        record = records[comparison.name]
        if record["texts"] != "the sample texts" and len(record["sides"]) == len(comparison.sides):
            assert record["command"] == real.speed.command_of(comparison, options)
