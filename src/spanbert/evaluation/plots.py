"""The pictures of a report as SVG that fits any page: text stays text, and black is the colour of the page's text."""

from __future__ import annotations

import html
import io
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from spanbert.evaluation.calibration import NUM_BINS, Calibration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#010203"
"""Drawn with this, and then replaced by the text colour of the page, which differs in dark mode."""
_COLOURS = ("#3478c6", "#d9661f", "#2f9e63", "#a457b8", "#b8860b", "#5f7d8c")  # to be seen on white and on black
_WIDTH, _HEIGHT = 4.6, 3.1  # inches of a panel


def curves_svg(history: Sequence[Mapping[str, Any]], main_metric: str) -> str | None:
    """The training curves: losses in one panel, the task's main metric on the dev set in the other.

    Args:
        history: rows `{"step": 10, "set": "training", "loss": 0.4}`, as a run's history.jsonl has them.
        main_metric: the figure that chose the best checkpoint.

    Returns:
        SVG, None where there is nothing to draw.
    """
    curves: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in history:
        for name, value in row.items():
            if name not in {"step", "set"} and isinstance(value, int | float) and math.isfinite(value):
                curves[str(row.get("set", "")), name].append((row["step"], value))
    panels = {
        "loss": [key for key in curves if key[1].endswith("loss")],
        main_metric.replace("_", " "): [key for key in curves if key[1] == main_metric],
    }
    panels = {title: keys for title, keys in panels.items() if keys}
    if not panels:
        return None
    with _drawing() as figure:
        figure.set_size_inches(_WIDTH * len(panels), _HEIGHT)
        for axes, (title, keys) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
            for number, key in enumerate(keys):
                steps, values = zip(*curves[key], strict=True)
                style: dict[str, Any] = {"marker": "o", "markersize": 3} if len(steps) < 30 else {}
                name = key[0] if len({set_name for set_name, _ in keys}) == len(keys) else f"{key[0]}: {key[1]}"
                axes.plot(steps, values, label=name, color=_COLOURS[number % len(_COLOURS)], linewidth=1.4, **style)
            axes.set_title(title)
            axes.set_xlabel("optimiser steps")
            _finish(axes)
        ends = ", ".join(f"{key[0]} {key[1]} {curves[key][-1][1]:.4g}" for keys in panels.values() for key in keys)
        return _svg(figure, f"Training curves; at the end: {ends}")


def calibration_svg(calibration: Calibration) -> str:
    """Share of right predictions by their probability, over how many there are."""
    filled = calibration.numbers > 0
    with _drawing() as figure:
        figure.set_size_inches(_WIDTH, _HEIGHT * 1.3)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle="--", alpha=0.6, label="perfect")
        above.plot(
            calibration.confidence[filled],
            calibration.accuracy[filled],
            color=_COLOURS[0],
            marker="o",
            markersize=4,
            linewidth=1.4,
            label="this model",
        )
        above.set_ylabel("share that is right")
        above.set_xlim(0, 1)
        above.set_ylim(0, 1.02)
        _finish(above)
        centres = (np.arange(NUM_BINS) + 0.5) / NUM_BINS
        below.bar(centres, calibration.numbers, width=0.9 / NUM_BINS, color=_COLOURS[0])
        below.set_xlabel("probability of the prediction")
        below.set_ylabel("number")
        _finish(below, legend=False)
        points = "; ".join(
            f"{number:,} predictions around {confidence:.0%}: {accuracy:.0%} right"
            for number, confidence, accuracy in zip(
                calibration.numbers[filled], calibration.confidence[filled], calibration.accuracy[filled], strict=True
            )
        )
        return _svg(figure, f"Calibration: {points}")


@contextmanager
def _drawing() -> Iterator[Figure]:
    """A figure whose lines and text are ink on nothing; to be saved inside."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ink = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "grid.color")
    settings: Any = dict.fromkeys(ink, _INK) | {
        "font.size": 9,
        "axes.titlesize": 10,
        "legend.fontsize": 8,
        "text.parse_math": False,
        "svg.fonttype": "none",  # text is text: the page's own fonts draw it, and it can be searched
        "svg.hashsalt": "spanbert",  # the same figures give the same file
    }
    with matplotlib.rc_context(settings):
        figure = Figure(layout="constrained", facecolor="none")
        FigureCanvasAgg(figure)
        yield figure


def _finish(axes: Axes, *, legend: bool = True) -> None:
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(alpha=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if legend:
        axes.legend(frameon=False)


def _svg(figure: Figure, description: str) -> str:
    """The figure as an element of a page, with a description for those who do not see it."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    said = html.escape(description)
    return svg.replace("<svg", f'<svg role="img" aria-label="{said}"', 1)
