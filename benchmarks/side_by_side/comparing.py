"""A new run against the figures recorded last: what is worse, what cannot be compared, what must not be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WORSE = 0.8
"""A figure below this share of the recorded one is told as a regression; noise alone makes a tenth."""

_RATIOS = ("x", "%")


@dataclass(frozen=True)
class Regression:
    """An aim whose figure is clearly worse than the recorded one."""

    comparison: str
    aim: str
    was: float
    now: float


@dataclass(frozen=True)
class Compared:
    """A row beside its record.

    Attributes:
        worse: aims that are clearly worse than they were.
        not_compared: lines that say which figures were not compared, and why.
    """

    worse: list[Regression]
    not_compared: list[str]


def compare(name: str, record: Mapping[str, Any], before: Mapping[str, Any] | None) -> Compared:
    """A row's aims beside the recorded ones; what has no bound is not judged.

    Ratios are compared on any machine; seconds, MiB and speeds only on the same processor with as many threads.
    """
    if before is None:
        return Compared([], [f"{name}: not compared: nothing is recorded"])
    if before["texts"] != record["texts"]:
        return Compared([], [f"{name}: not compared: recorded with {before['texts']}, now {record['texts']}"])
    was = {aim["text"]: aim["value"] for aim in before["aims"]}
    worse, absolute, new = [], [], []
    for aim in record["aims"]:
        if aim["met"] is None:
            continue
        if aim["text"] not in was:
            new.append(aim["text"])
        elif aim["unit"] not in _RATIOS and before["machine"] != record["machine"]:
            absolute.append(aim["text"])
        elif _share(aim, was[aim["text"]]) < WORSE:
            worse.append(Regression(name, aim["text"], was[aim["text"]], aim["value"]))
    now = {aim["text"] for aim in record["aims"]}
    missing = [aim["text"] for aim in before["aims"] if aim["met"] is not None and aim["text"] not in now]
    reasons = (
        (f"recorded on {before['machine']}, now on {record['machine']}", absolute),
        ("not recorded", new),
        ("recorded, but not measured now", missing),
    )
    return Compared(worse, [f"{name}: not compared: {', '.join(texts)}: {why}" for why, texts in reasons if texts])


def _share(aim: Mapping[str, Any], was: float) -> float:
    """How good a figure is, as a share of what it was."""
    now = aim["value"]
    good, bad = (now, was) if aim["least"] is not None else (was, now)
    return float(good / bad) if bad > 0 else 1.0


def options_lacking(command: str, before: Mapping[str, Any] | None) -> list[str]:
    """Options of a row's recorded command that the command of this run does not have."""
    recorded = [] if before is None else before["command"].split()
    return [word for word in recorded if word.startswith("--") and word not in command.split()]
