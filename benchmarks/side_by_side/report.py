"""Tables of results: for the terminal, and for docs/benchmarks.md from the figures recorded last (recorded.json)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from side_by_side.comparison import Comparison, Results

_BEGIN = "<!-- measured: written by `make benchmarks`, do not edit -->"
_END = "<!-- end of what was measured -->"


def record_of(comparison: Comparison, results: Results, circumstances: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a row, as JSON: enough to write its part of the page again."""
    return {
        "title": comparison.title,
        "does": comparison.does,
        "flop": comparison.flop,
        "unit": comparison.unit,
        "proof": comparison.proof,
        "tolerance": comparison.tolerance,
        "aims": [
            {
                "text": aim.text,
                "unit": aim.unit,
                "value": _significant(aim.figure(results)),
                "least": aim.least,
                "most": aim.most,
                "met": aim.met(aim.figure(results)),
            }
            for aim in comparison.aims
        ],
        "sides": [
            {
                "key": side.key,
                "name": side.name,
                "unit": side.unit,
                "speed": _significant(results[side.key].speed),
                "gflops": _gflops(comparison, side.key, results),
                "seconds": [_significant(seconds) for seconds in results[side.key].rounds],
                "peak_mib": round(results[side.key].peak_mib),
                "loaded_mib": round(results[side.key].loaded_mib),
                "figures": dict(results[side.key].figures),
            }
            for side in comparison.sides
        ],
        "texts": comparison.texts,
        **circumstances,
    }


def _gflops(comparison: Comparison, key: str, results: Results) -> float | None:
    if comparison.flop_per_unit is None or key not in comparison.flop_sides:
        return None
    return _significant(results[key].speed * comparison.flop_per_unit / 1e9)


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def summary(records: Mapping[str, Mapping[str, Any]]) -> str:
    """All aims of some rows, as a Markdown table."""
    lines = ["| what | figure | aim | measured | |", "|---|---|---|---:|---|"]
    for record in records.values():
        for aim in record["aims"]:
            lines.append(
                f"| {record['title']} | {aim['text']} | {_bound(aim)} | {_value(aim['value'], aim['unit'])} | "
                f"{_verdict(aim['met'])} |"
            )
    return "\n".join(lines)


def _bound(aim: Mapping[str, Any]) -> str:
    if aim["least"] is not None:
        return f"at least {_value(aim['least'], aim['unit'])}"
    return "" if aim["most"] is None else f"at most {_value(aim['most'], aim['unit'])}"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "**missed**"


def _value(value: float, unit: str) -> str:
    shown, unit = (value * 100, " %") if unit == "%" else (value, f" {unit}".rstrip())
    digits = 0 if shown == 0 else max(0, 2 - math.floor(math.log10(abs(shown))))
    return f"{shown:,.{min(digits, 3)}f}{unit}"


def details(record: Mapping[str, Any]) -> str:
    """A row: what was done, the sides, the circumstances."""
    parts = [record["does"]]
    if record["proof"]:
        parts.append(f"Before timing, equal within {record['tolerance']:g}: {record['proof']}.")
    if record["flop"]:
        parts.append(f"FLOP: {record['flop']}.")
    header = ["", f"{record['unit']}/s", "GFLOP/s", "seconds of the rounds", "loaded, MiB", "peak above, MiB", ""]
    rows = []
    for side in record["sides"]:
        rows.append(
            [
                side["name"],
                f"{_value(side['speed'], side['unit'] + '/s' if side['unit'] else '')}",
                "" if side["gflops"] is None else f"{side['gflops']:,.0f}",
                ", ".join(f"{seconds:.3g}" for seconds in side["seconds"]),
                f"{side['loaded_mib']:,}",
                f"{side['peak_mib']:,}",
                ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in side["figures"].items()),
            ]
        )
    kept = [number for number, name in enumerate(header) if number == 0 or any(row[number] for row in rows)]
    table = ["| " + " | ".join(header[number] for number in kept) + " |"]
    table.append("|---" + "|---:" * (len(kept) - 1) + "|")
    table += ["| " + " | ".join(row[number] for number in kept) + " |" for row in rows]
    return "\n\n".join([*parts, "\n".join(table), _circumstances(record)])


def _shown(value: object) -> str:
    return f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _circumstances(record: Mapping[str, Any]) -> str:
    load = "" if record["load"] is None else f"load {record['load']:g} before the run; "
    return (
        f"{record['machine']}; {record['versions']}; {record['texts']}; {load}{record['date']}, at {record['commit']}."
    )


def body(records: Mapping[str, Mapping[str, Any]]) -> str:
    """What is measured, for the page: all aims, and a section for each row."""
    sections = [f"## {record['title']}\n\n`{record['command']}`. {details(record)}" for record in records.values()]
    return "\n\n".join([summary(records), *sections])


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The rows recorded so far; none where there is no file.

    Raises:
        SystemExit: the file is damaged.
    """
    if not path.exists():
        return {}
    try:
        records = dict(json.loads(path.read_text(encoding="utf-8")))
        body(records)  # a row that the page cannot show lacks something
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SystemExit(
            f"{path}: is damaged ({type(error).__name__}: {error}); `git checkout {path}` brings back what was "
            "recorded; or remove it, and --record measures all rows anew"
        ) from None
    return records


def write_records(path: Path, records: Mapping[str, Mapping[str, Any]], order: Sequence[str]) -> None:
    """Keep rows, in the order of the benchmarks."""
    ordered = {name: records[name] for name in [*order, *sorted(set(records) - set(order))] if name in records}
    _replace(path, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def write_page(path: Path, records: Mapping[str, Mapping[str, Any]]) -> None:
    """Put the rows into the page, between its two marks.

    Raises:
        SystemExit: the page has no such marks.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise SystemExit(f"{path}: has no lines {_BEGIN!r} and {_END!r} to write between")
    _replace(path, f"{before}{begin}\n\n{body(records)}\n\n{end}{after}")


def _replace(path: Path, text: str) -> None:
    """All of the new text or all of the old, whenever the run is stopped."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
