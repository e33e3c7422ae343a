"""Figures as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from spanbert.evaluation.bootstrap import Difference, Interval, is_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def split_by_label(names: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Names of figures as those of the whole, and for each label its own: "f1/PER" is the figure "f1" of "PER"."""
    overall: list[str] = []
    labels: dict[str, list[str]] = {}
    for name in names:
        figure, slash, label = name.partition("/")
        if slash:
            labels.setdefault(label, []).append(figure)
        else:
            overall.append(name)
    return overall, labels


def format_figure(name: str, value: float, *, like: float | None = None) -> str:
    """Two places after the point for percentages, four for what stays within 1, none for what is counted.

    Args:
        name: of the figure; "total" and "HasAns_total" are counts.
        value: the figure, or an end of its interval.
        like: the figure whose number of places is taken, for the ends of its interval.
    """
    if is_count(name):
        return f"{value:,.0f}"
    measure = abs(value if like is None else like)
    return f"{value:.2f}" if measure > 1 or measure == 0 else f"{value:.4f}"


def format_interval(name: str, interval: Interval) -> str:
    """`84.31 – 88.02`; empty where there is none."""
    if interval.low is None or interval.high is None:
        return ""
    low, high = (format_figure(name, end, like=interval.value) for end in (interval.low, interval.high))
    return f"{low} – {high}"


def print_figures(console: Console, title: str, intervals: Mapping[str, Interval]) -> None:
    """Print figures with their intervals, and a table by label where there are labels."""
    from rich.table import Table
    from rich.text import Text

    overall, labels = split_by_label(intervals)
    with_intervals = any(interval.low is not None for interval in intervals.values())
    console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("figure", justify="right")
    if with_intervals:
        table.add_column("95 % interval", justify="right")
    for name in overall:
        cells: list[str | Text] = [Text(name.replace("_", " ")), format_figure(name, intervals[name].value)]
        table.add_row(*cells, *([format_interval(name, intervals[name])] if with_intervals else []))
    console.print(table)
    if labels:
        console.print()
        console.print(_label_table(intervals, labels))
    console.print()


def print_differences(console: Console, title: str, differences: Mapping[str, Difference]) -> None:
    """Print how far one set of predictions is above another; figures by label are left out."""
    from rich.table import Table
    from rich.text import Text

    console.print(Text(title, style="bold"), soft_wrap=True)
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for header in ("difference", "95 % interval", "p-value"):
        table.add_column(header, justify="right")
    for name in split_by_label(differences)[0]:
        difference = differences[name]
        table.add_row(
            Text(name.replace("_", " ")),
            f"{difference.value:+.2f}",
            f"{difference.low:+.2f} – {difference.high:+.2f}",
            f"{difference.p_value:.3f}",
        )
    console.print(table)
    console.print()


def _label_table(intervals: Mapping[str, Interval], labels: Mapping[str, list[str]]) -> Table:
    """A row for each label; the interval is that of the last figure, which is the one that sums the others up."""
    from rich.table import Table
    from rich.text import Text

    figures = list(dict.fromkeys(figure for names in labels.values() for figure in names))
    last = figures[-1]
    with_intervals = any(intervals[f"{last}/{label}"].low is not None for label in labels if last in labels[label])
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("label")
    for figure in figures:
        table.add_column(figure.replace("_", " "), justify="right")
    if with_intervals:
        table.add_column(f"95 % interval of {last.replace('_', ' ')}", justify="right")
    for label, names in labels.items():
        cells = [format_figure(name, intervals[f"{name}/{label}"].value) if name in names else "" for name in figures]
        if with_intervals:
            cells.append(format_interval(last, intervals[f"{last}/{label}"]) if last in names else "")
        table.add_row(Text(label), *cells)
    return table
