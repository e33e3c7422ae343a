"""The report of an evaluation: one HTML file with figures, curves, confusions, calibration and the worst errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spanbert.evaluation.bootstrap import Interval
from spanbert.evaluation.calibration import calibration_of
from spanbert.evaluation.page import page
from spanbert.evaluation.plots import calibration_svg, curves_svg
from spanbert.evaluation.tables import format_figure, format_interval, split_by_label
from spanbert.evaluation.text_marking import marked_html
from spanbert.read_summary import counted
from spanbert.task import Comparison, ExampleT, Explanation, PredictionT, Task
from spanbert.visible_text import escaped, escaped_attribute

MOST_LABELS = 20
"""Labels that the confusion matrix shows; the rarer ones share a row and a column."""
_REST = "all others"
_MOST_CONFUSIONS = 8


def write_report(
    path: str | Path,
    *,
    title: str,
    task: Task[ExampleT, PredictionT],
    examples: Sequence[ExampleT],
    predictions: Sequence[PredictionT | None],
    comparison: Comparison,
    intervals: Mapping[str, Interval],
    history: Sequence[Mapping[str, Any]] | None = None,
    worst: int = 30,
) -> Path:
    """Write the report of an evaluation as one HTML file that needs no other file and no network.

    Args:
        path: the file, replaced where it exists; in a folder that exists, `report.html`.
        title: what was measured: the model and the data.
        task: with the model's settings.
        examples: E examples with known answers.
        predictions: E predictions.
        comparison: of these.
        intervals: figures by name, from `intervals_of`.
        history: the training curves, rows as `read_history` gives them.
        worst: how many of the worst errors are shown.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    file = Path(path)
    if file.is_dir():
        file /= "report.html"
    sections = {
        "Figures": _figures(task.main_metric, intervals),
        "Labels": _labels(intervals),
        "Confusions": _confusions(comparison.confusions()),
        "Calibration": _calibration(comparison),
        "Training": _training(history or [], task.main_metric),
        "Worst errors": _worst(task, examples, predictions, comparison, worst),
    }
    sections = {heading: content for heading, content in sections.items() if content}
    links = "".join(f'<a href="#{_anchor(heading)}">{heading}</a>' for heading in sections)
    missing = sum(prediction is None for prediction in predictions)
    counts = counted(len(examples), "example") + (f", {missing:,} without a prediction" if missing else "")
    body = [
        f"<header><h1>{escaped(title)}</h1>",
        f'<p class="soft">{escaped(task.name)}: {escaped(task.summary)}. {counts}.</p>',
        f"<nav>{links}</nav></header><main>",
        *(f'<section id="{_anchor(name)}"><h2>{name}</h2>{content}</section>' for name, content in sections.items()),
        '</main><footer class="note">Written by spanbert. This page loads nothing from elsewhere.</footer>',
    ]
    file.write_text(page(title, "\n".join(body)), encoding="utf-8")
    return file


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")


# Figures


def _figures(main_metric: str, intervals: Mapping[str, Interval]) -> str:
    names, _ = split_by_label(intervals)
    main = intervals.get(main_metric)
    parts = []
    if main is not None:
        said = format_interval(main_metric, main)
        parts.append(
            f'<p class="main">{format_figure(main_metric, main.value)} <small>{_spoken(main_metric)}'
            f"{f', 95 % interval {said}' if said else ''}</small></p>"
        )
    rows = [
        [_spoken(name), format_figure(name, intervals[name].value), format_interval(name, intervals[name])]
        for name in names
    ]
    parts.append(_table(["", "figure", "95 % interval"], rows))
    if any(interval.low is not None for interval in intervals.values()):
        parts.append('<p class="note">Intervals by the bootstrap over examples.</p>')
    explained = "; ".join(
        f"<b>{_spoken(word)}</b>: {meaning}"
        for word, meaning in _MEANINGS.items()
        if any(word in name for name in names)
    )
    parts.append(f'<p class="note">{explained}.</p>' if explained else "")
    return "".join(parts)


_MEANINGS = {
    "macro": "the mean over labels, rare ones counting as much as frequent ones",
    "micro": "over all answers together, so that frequent labels count most",
    "overlap": "right label, and at least one character in common with the right answer",
    "boundaries": "right first and last character, whatever the label",
    "has_ans": "of the questions that have an answer",
    "no_ans": "of the questions that have none",
    "best": "with the threshold that suits these very data, so it flatters",
    "threshold": "the probability of no answer above which none is given",
}
"""Part of a figure's name -> what it means, for those whose names do not say it."""


def _labels(intervals: Mapping[str, Interval]) -> str:
    _, labels = split_by_label(intervals)
    if not labels:
        return ""
    figures = list(dict.fromkeys(figure for names in labels.values() for figure in names))
    rows = []
    for label, names in labels.items():
        found = {name: intervals[f"{name}/{label}"] for name in names}
        cells = [format_figure(name, found[name].value) if name in found else "" for name in figures]
        last = found.get(figures[-1])
        rows.append([escaped(label), *cells, format_interval(figures[-1], last) if last else ""])
    return _table(["label", *map(_spoken, figures), f"95 % interval of {_spoken(figures[-1])}"], rows)


def _spoken(name: str) -> str:
    return escaped(name.replace("_", " "))


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of HTML cells; empty columns at its end are left out."""
    while len(headers) > 1 and not any(row[len(headers) - 1] for row in rows):
        headers = headers[:-1]
    head = "".join(f'<th scope="col">{header}</th>' for header in headers)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1 : len(headers)])}</tr>'
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


# Pictures


def _confusions(confusions: Mapping[tuple[str, str], int] | None) -> str:
    if not confusions:
        return ""
    totals: Counter[str] = Counter()
    for (right, found), number in confusions.items():
        totals[right] += number
        totals[found] += number
    shown = [label for label, _ in totals.most_common(MOST_LABELS)]
    cells: Counter[tuple[str, str]] = Counter()
    for (right, found), number in confusions.items():
        cells[right if right in shown else _REST, found if found in shown else _REST] += number
    columns = shown + [_REST] * (len(totals) > len(shown))
    rows = []
    for right in columns:
        of_row = [cells[right, found] for found in columns]
        tds = "".join(
            _heat_cell(number, sum(of_row), right, found) for number, found in zip(of_row, columns, strict=True)
        )
        rows.append(f'<tr><th scope="row" title="{escaped_attribute(right)}">{escaped(right)}</th>{tds}</tr>')
    head = "".join(f'<th scope="col" title="{escaped_attribute(name)}">{escaped(name)}</th>' for name in columns)
    wrong = sorted(((n, pair) for pair, n in confusions.items() if pair[0] != pair[1] and n), key=lambda item: -item[0])
    listed = "".join(
        f"<li>{escaped(right)} taken for {escaped(found)}: {number:,}</li>"
        for number, (right, found) in wrong[:_MOST_CONFUSIONS]
    )
    return (
        '<p class="note">Rows: right answers. Columns: predictions. Colour: share of the row.'
        f"{' (none): there is no such answer on this side.' if '(none)' in columns else ''}</p>"
        '<div class="scroll"><table class="heat" aria-label="Right answers by predictions">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        + (f"<p>Most frequent confusions:</p><ol>{listed}</ol>" if listed else "")
    )


def _heat_cell(number: int, total: int, right: str, found: str) -> str:
    share = number / total if total else 0.0
    kind = ' class="diagonal"' if right == found else ""
    return (
        f'<td{kind} style="background: rgba(var(--heat), {0.75 * share:.2f})">{f"{number:,}" if number else "·"}</td>'
    )


def _calibration(comparison: Comparison) -> str:
    confidences = comparison.confidences()
    calibration = None if confidences is None else calibration_of(*confidences)
    if calibration is None:
        return ""
    return (
        f"<p>Expected calibration error: <strong>{100 * calibration.error:.2f}</strong> percentage points over "
        f"{counted(int(calibration.numbers.sum()), 'prediction')} in ten bins. Below the diagonal the model is too "
        "sure of itself, above it too hesitant.</p>"
        + calibration_svg(calibration).replace("<svg", '<svg class="narrow"', 1)
    )


def _training(history: Sequence[Mapping[str, Any]], main_metric: str) -> str:
    return curves_svg(history, main_metric) or ""


# Errors


def _worst(
    task: Task[ExampleT, PredictionT],
    examples: Sequence[ExampleT],
    predictions: Sequence[PredictionT | None],
    comparison: Comparison,
    most: int,
) -> str:
    badness = comparison.badness()
    order = [int(number) for number in np.argsort(-badness, kind="stable") if badness[number] > 0]
    if not most:
        return ""
    if not order:
        return "<p>None: every prediction is right.</p>"
    chosen = order[:most]
    cards = "".join(
        _card(examples[number].id, rank, _explanation(task, examples[number], predictions[number]))
        for rank, number in enumerate(chosen, 1)
    )
    shown = f"{len(chosen):,} of {counted(len(order), 'example')} with an error" if len(chosen) < len(order) else "All"
    return f'<p class="soft">{shown}, confident mistakes first.</p>{_LEGEND}{cards}'


_LEGEND = (
    '<p class="note"><mark class="right">right</mark> predicted and right · '
    '<mark class="wrong">wrong</mark> predicted and wrong · '
    '<mark class="missed">missed</mark> right answer that was not predicted · '
    '<span class="cut">…</span> text left out</p>'
)


def _explanation(task: Task[ExampleT, PredictionT], example: ExampleT, prediction: PredictionT | None) -> Explanation:
    if prediction is None:
        return Explanation(text=task.text_of(example), marks=(), gold="", predicted="(no prediction)")
    return task.explain(example, prediction)


def _card(name: str, rank: int, shown: Explanation) -> str:
    return "".join(_card_parts(name, rank, shown))


def _card_parts(name: str, rank: int, shown: Explanation) -> Iterator[str]:
    yield f"<article><h3>{rank}. <bdi>{escaped(name)}</bdi></h3>"
    if shown.question is not None:
        yield f'<p class="question" dir="auto">{marked_html(shown.question, ())}</p>'
    yield f'<div class="text" dir="auto">{marked_html(shown.text, shown.marks)}</div><dl>'
    for title, answer in (("right", shown.gold), ("predicted", shown.predicted)):
        if answer:
            yield f'<dt>{title}</dt><dd dir="auto">{marked_html(answer, ())}</dd>'
    yield "</dl></article>"
