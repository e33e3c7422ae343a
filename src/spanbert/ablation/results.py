"""What the runs of an ablation say together: means, spreads, intervals, and differences that can be told or not.

Two things make a figure uncertain. Another test set would give another one: that is what the bootstrap over examples
(over blocks, for held-out losses) shows, of the mean over seeds, with the same draws for all rows. And another seed
would: the spread between seeds shows that, pooled over the rows that have several (their variance is taken to be the
same), with Student's t for so few. The interval of a difference holds both, where any row has several seeds.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.stats import t as student

from spanbert.ablation.cells import MEASURED_SCHEMES
from spanbert.ablation.config import ROWS, AblateConfig, RowName
from spanbert.ablation.folder import Cell, cells_of, measured
from spanbert.ablation.task_tables import AblationTask
from spanbert.evaluation.bootstrap import LEVEL, Difference, Interval, Resampled, differences_of


@dataclass(frozen=True)
class RowFigures:
    """One figure of a row, over its seeds.

    Attributes:
        seeds: the figure of each finished seed.
        interval: the mean over seeds, and its interval over test examples or held-out blocks.
        spread: standard deviation between seeds; None with one.
    """

    seeds: dict[int, float]
    interval: Interval
    spread: float | None

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        seeds = {str(seed): value for seed, value in self.seeds.items()}
        ends = {"low": self.interval.low, "high": self.interval.high}
        return {"mean": self.interval.value, **ends, "spread": self.spread, "seeds": seeds}


@dataclass(frozen=True)
class Step:
    """From one row to the next, in one figure.

    Attributes:
        before, after: the rows.
        difference: with its interval over test examples alone.
        low, high: its interval with the seeds; that over test examples where nothing is known of seeds.
        knows_seeds: whether the interval holds the seeds.
    """

    before: RowName
    after: RowName
    difference: Difference
    low: float
    high: float
    knows_seeds: bool

    @property
    def can_be_told(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "before": self.before,
            "after": self.after,
            "difference": self.difference.value,
            "low": self.low,
            "high": self.high,
            "includes_seeds": self.knows_seeds,
            "over_test_examples": self.difference.to_json(),
            "can_be_told": self.can_be_told,
        }


@dataclass(frozen=True)
class TaskResult:
    """A task's figure in every row that has a finished seed, and the differences of neighbouring rows."""

    task: AblationTask
    examples: int
    rows: dict[RowName, RowFigures]
    steps: list[Step]
    all_figures: dict[RowName, dict[str, Any]]


@dataclass(frozen=True)
class Results:
    """All that is known so far.

    Attributes:
        pretraining: by row, the measured figures of each finished seed.
        tasks: in the order of the file.
        done, planned: numbers of runs.
    """

    pretraining: dict[RowName, dict[int, dict[str, Any]]]
    tasks: list[TaskResult]
    done: int
    planned: int

    def held_out(self, row: RowName, scheme: str) -> RowFigures:
        """The held-out loss of a row under a scheme."""
        seeds = self.pretraining[row]
        losses = {seed: one["held_out"][scheme]["mlm_loss"] for seed, one in seeds.items()}
        drawn = _mean_of_seeds("mlm_loss", losses, [one["held_out_drawn"][scheme] for one in seeds.values()])
        return _over_seeds(losses, drawn.intervals()["mlm_loss"])

    def to_json(self) -> dict[str, Any]:
        """Everything, as results.json has it."""
        return {
            "finished": self.done == self.planned,
            "runs": {"done": self.done, "planned": self.planned},
            "rows": {row: ROWS[row].words for row in self.pretraining},
            "pretraining": {
                row: {
                    "held_out": {scheme: self.held_out(row, scheme).to_json() for scheme in MEASURED_SCHEMES},
                    "seeds": {str(seed): _without_draws(one) for seed, one in seeds.items()},
                }
                for row, seeds in self.pretraining.items()
            },
            "tasks": [
                {
                    "name": one.task.name,
                    "task": one.task.kind.name,
                    "metric": one.task.metric,
                    "examples": one.examples,
                    "rows": {row: figures.to_json() for row, figures in one.rows.items()},
                    "differences": [step.to_json() for step in one.steps],
                    "figures": one.all_figures,
                }
                for one in self.tasks
            ],
        }


def collect(config: AblateConfig, tasks: Sequence[AblationTask]) -> Results:
    """Read what the finished runs measured.

    Raises:
        CheckpointError: a file of figures is damaged.
    """
    cells = cells_of(config)
    pretraining: dict[RowName, dict[int, dict[str, Any]]] = {}
    for row in config.rows:
        found = {cell.seed: measured(cell.pretraining) for cell in cells if cell.row == row}
        finished = {seed: one for seed, one in found.items() if one is not None}
        if finished:
            pretraining[row] = finished
    results = [_of_task(config, task, cells) for task in tasks]
    done = sum(map(len, pretraining.values())) + sum(len(row.seeds) for one in results for row in one.rows.values())
    return Results(pretraining, results, done, len(cells) * (1 + len(tasks)))


def _of_task(config: AblateConfig, task: AblationTask, cells: Sequence[Cell]) -> TaskResult:
    rows: dict[RowName, RowFigures] = {}
    drawn: dict[RowName, Resampled] = {}
    figures: dict[RowName, dict[str, Any]] = {}
    num_examples = 0
    for row in config.rows:
        found = {cell.seed: measured(cell.of_task(task.folder)) for cell in cells if cell.row == row}
        finished = {seed: one for seed, one in found.items() if one is not None}
        if not finished:
            continue
        num_examples = next(iter(finished.values()))["examples"]
        values = {seed: float(one["figures"][task.metric]["value"]) for seed, one in finished.items()}
        drawn[row] = _mean_of_seeds(task.metric, values, [one["drawn"] for one in finished.values()])
        rows[row] = _over_seeds(values, drawn[row].intervals()[task.metric])
        figures[row] = {str(seed): {"test": one["figures"], "dev": one["dev"]} for seed, one in finished.items()}
    names = list(rows)
    steps = [_step(task.metric, before, after, drawn, rows) for before, after in pairwise(names)]
    return TaskResult(task, num_examples, rows, steps, figures)


def _mean_of_seeds(figure: str, values: Mapping[int, float], drawn: Sequence[Sequence[float | None]]) -> Resampled:
    """The mean over seeds of a figure, over all examples and in every draw of them."""
    means = np.array(drawn, dtype=float).mean(0)  # None becomes NaN
    return Resampled({figure: statistics.mean(values.values())}, means[:, None])


def _over_seeds(values: Mapping[int, float], interval: Interval) -> RowFigures:
    numbers = list(values.values())
    return RowFigures(dict(values), interval, statistics.stdev(numbers) if len(numbers) > 1 else None)


def _without_draws(one: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured of an encoder, without the thousands of figures behind its intervals."""
    return {name: value for name, value in one.items() if name != "held_out_drawn"}


def _step(
    metric: str,
    before: RowName,
    after: RowName,
    drawn: Mapping[RowName, Resampled],
    rows: Mapping[RowName, RowFigures],
) -> Step:
    difference = differences_of(drawn[before], drawn[after])[metric]
    reach = seed_reach(list(rows.values()), rows[before], rows[after])
    if reach is None:
        return Step(before, after, difference, difference.low, difference.high, knows_seeds=False)
    value = difference.value
    # Errors of two independent kinds: their squares add up, to each side.
    low = value - math.hypot(value - difference.low, reach)
    high = value + math.hypot(difference.high - value, reach)
    return Step(before, after, difference, low, high, knows_seeds=True)


def seed_reach(rows: Sequence[RowFigures], before: RowFigures, after: RowFigures) -> float | None:
    """How far other seeds could move the difference of two rows' means, at 95 %; None where no row has several."""
    several = [row for row in rows if row.spread is not None]
    freedom = sum(len(row.seeds) - 1 for row in several)
    if not freedom:
        return None
    variance = sum((row.spread or 0.0) ** 2 * (len(row.seeds) - 1) for row in several) / freedom
    quantile = float(student.ppf(0.5 + LEVEL / 2, freedom))
    return quantile * math.sqrt(variance * (1 / len(before.seeds) + 1 / len(after.seeds)))
