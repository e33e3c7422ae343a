"""What is learned on a development set."""

from __future__ import annotations

import math

import numpy as np
import pytest

from spanbert.task import Scored, Window
from spanbert.tasks.question_answering.calibration import best_threshold, fit_no_answer, temperature_of
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.examples import Answer, QuestionExample
from spanbert.tasks.question_answering.features import Place
from spanbert.tasks.question_answering.task import QuestionAnswering

CONTEXT = "red blue green grey pink"
OFFSETS = np.array([[0, 3], [4, 8], [9, 14], [15, 19], [20, 24]])
WORDS = CONTEXT.split()


def question(number: int, right: int | None, strength: float, null: float) -> Scored[QuestionExample]:
    """A question with [CLS], five words and one-word answers, scored by a generator of its own."""
    answers = (
        () if right is None else (Answer(text=WORDS[right], start=int(OFFSETS[right, 0]), end=int(OFFSETS[right, 1])),)
    )
    example = QuestionExample(id=str(number), question="?", contexts=(CONTEXT,), answers=answers)
    window = Window(pieces=np.arange(6), place=Place(0, 1, OFFSETS, 0))
    start = np.random.default_rng(number).normal(size=6).astype(np.float32) * 2
    start[0] = null
    if right is not None:
        start[1 + right] += strength
    return Scored(example, [window], [{"start": start, "end": np.zeros(6, np.float32)}])


def dev_set(*, unanswerable: bool) -> list[Scored[QuestionExample]]:
    generator = np.random.default_rng(1)
    questions = []
    for number in range(300):
        right = None if unanswerable and number % 3 == 0 else int(generator.integers(5))
        questions.append(question(number, right, 2.0, float(generator.normal() + (1 if right is None else -4))))
    return questions


def test_a_temperature_gives_back_the_odds_that_scores_were_drawn_with() -> None:
    generator = np.random.default_rng(0)
    scores = -np.sort(-generator.normal(size=(4000, 8)) * 3, axis=1)
    odds = np.exp(scores / 2.5)
    cumulated = (odds / odds.sum(1, keepdims=True)).cumsum(1)
    right = np.arange(8) == (generator.random((4000, 1)) > cumulated).sum(1, keepdims=True)
    assert temperature_of(scores, right) == pytest.approx(2.5, rel=0.05)


def test_no_answer_probabilities_give_back_the_line_that_labels_were_drawn_with() -> None:
    generator = np.random.default_rng(0)
    margins = generator.normal(size=5000) * 3
    unanswerable = generator.random(5000) < 1 / (1 + np.exp(-(0.7 * margins - 1.2)))
    slope, bias = fit_no_answer(margins, unanswerable)
    assert (slope, bias) == (pytest.approx(0.7, abs=0.05), pytest.approx(-1.2, abs=0.1))
    apart = fit_no_answer(np.array([-5.0, -4.0, 4.0, 5.0]), np.array([False, False, True, True]))
    assert all(map(math.isfinite, apart))
    assert apart[0] > 0
    assert fit_no_answer(np.array([1.0, -1.0] * 20), np.array([False, True] * 20))[0] > 0


@pytest.mark.parametrize("seed", range(5))
def test_no_other_threshold_gives_a_better_f1(seed: int) -> None:
    generator = np.random.default_rng(seed)
    margins = np.round(generator.normal(size=40), 1) if seed else generator.normal(size=40)
    has_answer = generator.random(40) < 0.6
    f1 = np.where(has_answer, generator.random(40), 0.0)

    def total(threshold: float) -> float:
        open_ = margins > threshold
        return float(np.where(open_, ~has_answer, f1).sum())

    found = best_threshold(margins, f1, has_answer, np.ones(40, np.bool_))
    others = [total(float(x)) for x in np.linspace(-6, 6, 1000)]
    # Where margins are equal, the official search counts some of them as answered and others not.
    assert total(found) >= max(others) - (1e-9 if seed == 0 else 1.0)


def test_never_or_always_answering_can_be_best() -> None:
    margins, everything = np.array([0.0, 1.0]), np.ones(2, np.bool_)
    assert best_threshold(margins, np.ones(2), everything, everything) > 1
    assert best_threshold(margins, np.zeros(2), ~everything, everything) < 0
    with_nothing = np.array([0.0, np.inf])
    assert best_threshold(with_nothing, np.ones(2), everything, everything) == 1.0


def test_calibrated_decisions_reach_the_best_f1_and_probabilities_are_true() -> None:
    questions = dev_set(unanswerable=True)
    plain = QuestionAnswering(QuestionAnsweringSettings(max_answer_length=1)).learn([one.example for one in questions])
    assert (plain.settings.abstains, plain.main_metric) == (True, "best_f1")
    fitted = plain.calibrate(questions)
    golds = [one.example for one in questions]
    comparison = fitted.compare(golds, [fitted.decode(one) for one in questions], fitted.settings)
    figures = comparison.figures()
    assert figures["f1"] == pytest.approx(figures["best_f1"])
    before = plain.compare(golds, [plain.decode(one) for one in questions], plain.settings).figures()
    assert figures["f1"] > before["f1"] + 5
    assert figures["best_f1"] == pytest.approx(before["best_f1"])
    confidences = comparison.confidences()
    assert confidences is not None
    for low, high in ((0.3, 0.6), (0.6, 0.8), (0.8, 1.0)):
        inside = (confidences[0] >= low) & (confidences[0] < high)
        assert inside.sum() > 15
        assert confidences[0][inside].mean() == pytest.approx(confidences[1][inside].mean(), abs=0.12)


def test_a_model_that_never_saw_an_unanswerable_question_always_answers() -> None:
    answerable = dev_set(unanswerable=False)
    task = QuestionAnswering(QuestionAnsweringSettings()).learn([one.example for one in answerable])
    assert (task.settings.abstains, task.main_metric) == (False, "f1")
    fitted = task.calibrate(dev_set(unanswerable=True))
    assert fitted.settings.temperature != 1
    assert fitted.settings.no_answer_threshold == 0
    predictions = [fitted.decode(one) for one in dev_set(unanswerable=True)]
    assert all(one.text and one.no_answer_probability is None for one in predictions)


def test_nothing_is_learned_where_nothing_is_known() -> None:
    unknown = [
        Scored(QuestionExample(id="a", question="?", contexts=(CONTEXT,)), one.windows, one.scores)
        for one in dev_set(unanswerable=False)[:3]
    ]
    task = QuestionAnswering(QuestionAnsweringSettings(abstains=True))
    assert task.calibrate(unknown).settings == task.settings
    assert task.calibrate([]).settings == task.settings
    only_open = [question(n, None, 0.0, 1.0) for n in range(5)]
    assert task.calibrate(only_open).settings == task.settings
