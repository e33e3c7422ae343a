"""What is learned on a development set: a temperature, how likely "no answer" is, and when to leave a question open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spanbert.task import Scored
from spanbert.tasks.question_answering.config import QuestionAnsweringSettings
from spanbert.tasks.question_answering.decode import NUM_CANDIDATES, Candidates, find_candidates, sigmoid, softmax
from spanbert.tasks.question_answering.examples import QuestionExample
from spanbert.tasks.question_answering.matching import Matching
from spanbert.tasks.question_answering.metrics import gold_texts, match_best, matching_for, sweep
from spanbert.temperature import fit_temperature

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def calibrate_settings(
    scored: Sequence[Scored[QuestionExample]], settings: QuestionAnsweringSettings
) -> QuestionAnsweringSettings:
    """Fit temperature, no-answer probability and no-answer threshold to questions whose answers are known.

    The temperature comes from the answerable questions. The two about "no answer" need a model that saw unanswerable
    questions in training, and a development set with both kinds; otherwise they stay as they are.
    """
    known = [item for item in scored if item.example.answers is not None]
    if not known:
        return settings
    matching = matching_for([item.example for item in known], settings)
    found = [find_candidates(item, settings.max_answer_length) for item in known]
    golds = [gold_texts(item.example, matching) for item in known]
    has_answer: BoolArray = np.array([bool(item.example.answers) for item in known])
    can_answer: BoolArray = np.array([bool(candidates.answers) for candidates in found])
    fitted = settings
    if (has_answer & can_answer).any():
        chosen = np.flatnonzero(has_answer & can_answer)
        temperature = temperature_of(*_table([found[i] for i in chosen], [golds[i] for i in chosen], matching))
        fitted = replace(fitted, temperature=temperature)
    if settings.abstains and has_answer[can_answer].any() and not has_answer[can_answer].all():
        margins = np.array([candidates.margin for candidates in found])
        slope, bias = fit_no_answer(margins[can_answer], ~has_answer[can_answer])
        f1 = np.array(
            [
                match_best(matching, texts, candidates.answers[0].text)[1] if candidates.answers else 0.0
                for texts, candidates in zip(golds, found, strict=True)
            ]
        )
        threshold = best_threshold(margins, f1, has_answer, can_answer)
        fitted = replace(fitted, no_answer_slope=slope, no_answer_bias=bias, no_answer_threshold=threshold)
    return fitted


def _table(
    found: Sequence[Candidates], golds: Sequence[Sequence[str]], matching: Matching
) -> tuple[FloatArray, BoolArray]:
    """[E, K] scores of the candidates, minus infinity where there are fewer, and whether each is right."""
    scores = np.full((len(found), NUM_CANDIDATES), -np.inf)
    right = np.zeros((len(found), NUM_CANDIDATES), np.bool_)
    for row, (candidates, texts) in enumerate(zip(found, golds, strict=True)):
        for column, answer in enumerate(candidates.answers):
            scores[row, column] = answer.score
            right[row, column] = any(matching.exact(gold, answer.text) for gold in texts)
    return scores, right


def temperature_of(scores: FloatArray, right: BoolArray) -> float:
    """The temperature under which the right answers are likeliest.

    Where none of the candidates is right, the likelihood is that of the best one being wrong.

    Args:
        scores: [E, K] of the candidates, best first, minus infinity where there are fewer.
        right: [E, K].
    """
    any_right = right.any(axis=1)

    def surprise(temperature: float) -> float:
        shares = softmax(scores / temperature)
        mass = np.where(any_right, (shares * right).sum(axis=1), 1 - shares[:, 0])
        return float(-np.log(np.maximum(mass, 1e-12)).sum())

    return fit_temperature(surprise)


def fit_no_answer(margins: FloatArray, unanswerable: BoolArray) -> tuple[float, float]:
    """Logistic regression of "no answer" on the margin (Platt scaling), by Newton's method.

    A weak pull to slope 1 and bias 0 keeps both finite where the two kinds are told apart without a mistake.

    Returns:
        Slope, above 0, and bias.
    """
    inputs = np.stack((margins, np.ones(len(margins))), axis=1)
    prior, pull = np.array([1.0, 0.0]), 0.1
    weights = prior.copy()

    def surprise(candidate: FloatArray) -> float:
        logits = inputs @ candidate
        likelihood = np.logaddexp(0.0, logits) - unanswerable * logits
        return float(likelihood.sum() + pull / 2 * ((candidate - prior) ** 2).sum())

    for _ in range(100):
        probabilities = sigmoid(inputs @ weights)
        gradient = inputs.T @ (probabilities - unanswerable) + pull * (weights - prior)
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs + pull * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while surprise(weights - step) > surprise(weights) and np.abs(step).max() > 1e-9:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-9:
            break
    return max(float(weights[0]), 1e-3), float(weights[1])


def best_threshold(margins: FloatArray, f1: FloatArray, has_answer: BoolArray, can_answer: BoolArray) -> float:
    """The margin above which leaving a question without an answer gives the best F1 (SQuAD 2.0's search).

    It lies midway between the last margin that still gets an answer and the next, so that rounding decides nothing.
    """
    order = np.argsort(margins, kind="stable")
    _, index = sweep(f1[order], has_answer[order], can_answer[order], np.ones(len(order), np.int64))
    finite = margins[order][np.isfinite(margins[order])]
    if index < 0:
        return float(finite[0]) - 1.0
    if index + 1 >= len(finite):
        return float(finite[-1]) + 1.0
    return float(finite[index] + finite[index + 1]) / 2
