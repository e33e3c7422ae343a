"""What is wrong with a file, for people and for machines: by kind, all counted, the first few shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from spanbert.read_summary import counted
from spanbert.task import Problem

MOST_SHOWN = 20


def by_kind(problems: Sequence[Problem]) -> dict[str, list[Problem]]:
    """Problems by kind, the most frequent kind first, each in order of lines."""
    kinds: dict[str, list[Problem]] = {}
    for problem in sorted(problems, key=lambda problem: problem.line):
        kinds.setdefault(problem.kind, []).append(problem)
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))


def problem_lines(problems: Sequence[Problem], *, most: int | None = MOST_SHOWN) -> Iterator[str]:
    """A line for each kind and, indented, one for each problem; at most `most` of a kind, None shows all."""
    for kind, cases in by_kind(problems).items():
        left_out = sum(case.skipped for case in cases)
        used = len(cases) - left_out
        fates = [f"{left_out:,} left out"] * (left_out > 0) + [f"{used:,} used all the same"] * (used > 0)
        yield f"{kind}: {counted(len(cases), 'record')} ({', '.join(fates)})"
        for case in cases[:most]:
            yield f"  line {case.line:,}: {case.detail}" if case.line else f"  {case.detail}"
        if most is not None and len(cases) > most:
            yield f"  ... and {len(cases) - most:,} more"


def problems_json(problems: Sequence[Problem], *, most: int | None = MOST_SHOWN) -> list[dict[str, Any]]:
    """By kind its number, how many are left out, and the first `most` cases (None: all)."""
    return [
        {
            "kind": kind,
            "number": len(cases),
            "left_out": sum(case.skipped for case in cases),
            "cases": [{"line": case.line or None, "detail": case.detail} for case in cases[:most]],
        }
        for kind, cases in by_kind(problems).items()
    ]
