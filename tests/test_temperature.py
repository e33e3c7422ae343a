from __future__ import annotations

import numpy as np
import pytest

from spanbert.temperature import fit_temperature


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_temperature_that_scores_were_sharpened_by_is_found(scale: float) -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5000, 4)) * 2
    odds = np.exp(logits)
    labels = np.array([generator.choice(4, p=row / row.sum()) for row in odds])

    def surprise(temperature: float) -> float:
        scaled = logits * scale / temperature
        return float((np.log(np.exp(scaled).sum(1)) - scaled[np.arange(5000), labels]).sum())

    assert fit_temperature(surprise) == pytest.approx(scale, rel=0.05)


def test_nothing_known_leaves_one() -> None:
    assert fit_temperature(lambda temperature: 0.0) == pytest.approx(1.0, abs=0.01)


def test_few_answers_without_a_mistake_do_not_make_the_model_certain() -> None:
    def surprise(temperature: float) -> float:  # five answers, each two above the other
        return 5 * float(np.log1p(np.exp(-2 / temperature)))

    assert 0.3 < fit_temperature(surprise) < 1
