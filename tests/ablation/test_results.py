"""Means, intervals and differences over seeds and test examples, on figures made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from spanbert.ablation.config import AblateConfig, RowName
from spanbert.ablation.folder import Cell
from spanbert.ablation.results import Results, collect
from spanbert.ablation.tables import notes, tables_of, verdict
from spanbert.ablation.task_tables import AblationTask, read_tasks

Make = Callable[..., AblateConfig]


def write(config: AblateConfig, task: AblationTask, row: RowName, values: Sequence[float], noise: Any) -> None:
    """Measured figures of a row: a value for each seed, and the noise of each draw."""
    for seed, value in enumerate(values):
        cell = Cell.of(config.output, row, seed)
        loss = {scheme: {"mlm_loss": 5.0 + seed} for scheme in ("pieces", "spans")}
        drawn = {scheme: (5.0 + seed + noise / 10).tolist() for scheme in loss}
        own = {
            "held_out": loss, "held_out_blocks": 20, "held_out_drawn": drawn, "pieces": 100, "blocks_of_a_step": 4,
            "wall_seconds": 1.0, "cpu_seconds": 2.0, "time_is_whole": True,
        }  # fmt: skip
        figures = {"f1": {"value": value, "low": None, "high": None}}
        tuned = {"examples": 10, "figures": figures, "dev": {}, "drawn": (value + noise).tolist()}
        for folder, content in ((cell.pretraining, own), (cell.of_task(task.folder), tuned)):
            folder.mkdir(parents=True)
            (folder / "measured.json").write_text(json.dumps(content))


@pytest.fixture
def collected(make: Make, tmp_path: Path) -> Callable[..., tuple[AblateConfig, Results]]:
    def collect_rows(rows: Mapping[RowName, Sequence[float]], noise: Any) -> tuple[AblateConfig, Results]:
        config = make(output=tmp_path / "out", rows=tuple(rows), seeds=tuple(map(len, rows.values())))
        task = read_tasks(config, say=lambda line: None)[0]
        for row, values in rows.items():
            write(config, task, row, values, noise)
        return config, collect(config, [task])

    return collect_rows


NOISE = np.random.default_rng(0).normal(0, 3, 1000)


def test_a_difference_that_no_draw_doubts_is_still_one_of_these_seeds(collected: Any) -> None:
    config, results = collected({"spans-nsp": [50.0], "spans": [51.0]}, NOISE)
    (step,) = results.tasks[0].steps
    assert (step.low, step.high) == pytest.approx((1.0, 1.0))  # paired: the same draws move both rows alike
    assert step.can_be_told
    assert verdict(step) == "higher, for these seeds"
    assert any("How much another seed would change is not known" in line for line in notes(config, results))


def test_seeds_that_disagree_take_the_difference_back(collected: Any) -> None:
    _, results = collected({"spans-nsp": [50.0], "spans": [49.0, 51.0, 53.0]}, NOISE)
    figures = results.tasks[0].rows["spans"]
    assert figures.interval.value == pytest.approx(51)
    assert figures.spread == pytest.approx(2)
    (step,) = results.tasks[0].steps
    reach = stats.t.ppf(0.975, 2) * 2 * math.sqrt(1 + 1 / 3)
    assert (step.low, step.high) == pytest.approx((1 - reach, 1 + reach))
    assert verdict(step) == "none that can be told"


def test_a_large_difference_can_be_told_in_either_direction(collected: Any) -> None:
    _, results = collected({"spans": [70.0, 70.1, 69.9], "spans-sbo": [50.0, 50.1, 49.9]}, NOISE)
    (step,) = results.tasks[0].steps
    assert step.knows_seeds
    assert verdict(step) == "lower"
    assert step.high < -19


def test_intervals_are_percentiles_of_the_mean_over_seeds(collected: Any) -> None:
    _, results = collected({"spans": [40.0, 42.0]}, NOISE)
    interval = results.tasks[0].rows["spans"].interval
    assert (interval.low, interval.high) == pytest.approx(tuple(41 + np.quantile(NOISE, [0.025, 0.975])))
    assert results.tasks[0].steps == []
    (figures, held_out, _) = tables_of(results)
    assert "41.00 ± 1.41" in figures.markdown()
    loss = results.held_out("spans", "pieces")
    low, high = 5.5 + np.quantile(NOISE, [0.025, 0.975]) / 10
    assert (loss.interval.low, loss.interval.high) == pytest.approx((low, high))
    assert f"| 5.500 ± 0.707 ({low:.3f} – {high:.3f}) |" in held_out.markdown()
    assert "(20 blocks)" in held_out.title
    assert results.done == results.planned == 4
