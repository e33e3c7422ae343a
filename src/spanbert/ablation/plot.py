"""The picture of an ablation: a panel for each task, and one for each held-out loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spanbert.ablation.cells import MEASURED_SCHEMES
from spanbert.ablation.config import ROWS, RowName
from spanbert.ablation.results import Results, RowFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(results: Results, path: Path) -> None:
    """Draw the picture; nothing where no run is finished.

    Args:
        results: what is known so far.
        path: where to save it; the ending says the format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = list(results.pretraining)
    if not rows:
        return
    panels: list[tuple[str, Mapping[RowName, RowFigures]]] = [
        (f"{one.task.name}\n{one.task.metric.replace('_', ' ')} (more is better)", one.rows)
        for one in results.tasks
        if one.rows
    ]
    for scheme in MEASURED_SCHEMES:
        losses = {row: results.held_out(row, scheme) for row in rows}
        panels.append((f"held-out loss, {scheme} masked\nnats a piece (less is better)", losses))
    figure = Figure(figsize=(2.4 + 2.9 * len(panels), 1.3 + 0.5 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, figures) in zip(
        figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True
    ):
        _panel(axes, rows, figures, title)
    figure.savefig(path, dpi=130)


def _panel(axes: Axes, rows: list[RowName], figures: Mapping[RowName, RowFigures], title: str) -> None:
    for place, row in enumerate(rows):
        if row not in figures:
            continue
        one = figures[row]
        if one.interval.low is not None and one.interval.high is not None:
            axes.plot([one.interval.low, one.interval.high], [place, place], color="tab:blue", linewidth=5, alpha=0.3)
        axes.plot(one.interval.value, place, marker="|", markersize=14, color="tab:blue")
        axes.plot(
            list(one.seeds.values()), [place] * len(one.seeds), linestyle="", marker="o", markersize=4, color="black"
        )
    axes.set_yticks(range(len(rows)), [ROWS[row].words for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)  # the first row is at the top
    axes.set_title(title, fontsize="medium")
    axes.grid(axis="x", alpha=0.3)
