"""From what a file says to an answer: label names, lists of them, numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable

from spanbert.tasks.classification.config import DataOptions
from spanbert.tasks.classification.examples import Answer


def parse_answer(value: object, options: DataOptions) -> Answer:
    """The answer that a column or a JSON value stands for; white space around a label is not part of it.

    Raises:
        ValueError: it stands for none, given `options.kind`.
    """
    if options.kind == "regression":
        return _number(value)
    listed = isinstance(value, list)
    if options.kind == "multi-label" or (options.kind == "auto" and (listed or options.label_separator is not None)):
        return tuple(dict.fromkeys(_name(item) for item in _items(value, options.label_separator)))
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"{len(value)} labels where one is needed; or say --kind multi-label")
        value = value[0]
    return _name(value)


def _items(value: object, separator: str | None) -> list[object]:
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return [value]
    return [item for item in (value.split(separator) if separator else [value]) if item.strip()]


def _name(value: object) -> str:
    match value:
        case str():
            name = value.strip()
        case bool():
            name = "true" if value else "false"
        case float() if not math.isfinite(value):
            raise ValueError(f"a label must be a string or a number, not {value}")
        case int() | float():
            name = str(value)
        case _:
            raise ValueError(f"a label must be a string or a number, not {type(value).__name__}")
    if not name:
        raise ValueError("the label is empty")
    return name


def _number(value: object) -> float:
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{value!r} is not a finite number, which regression needs")


def label_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Different labels sorted: by value where all are numbers, else by code points."""
    names = set(labels)
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))


def labels_of(answer: Answer | None) -> tuple[str, ...]:
    """The label or labels of an answer; none for a number and for what is not known."""
    if isinstance(answer, str):
        return (answer,)
    return answer if isinstance(answer, tuple) else ()
