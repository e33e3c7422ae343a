"""What a classifier learns beside its weights: labels before training; temperature and thresholds after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spanbert.class_weights import balanced_weights
from spanbert.errors import ConfigurationError, InputError
from spanbert.tasks.classification.config import Kind, Settings
from spanbert.tasks.classification.decode import probabilities_of
from spanbert.tasks.classification.examples import Answer, ClassificationExample
from spanbert.tasks.classification.labels import label_order, labels_of
from spanbert.temperature import fit_temperature


def kind_of(answers: Sequence[Answer | None]) -> Kind:
    """What answers are about: numbers, several labels, or one."""
    if any(isinstance(answer, float) for answer in answers):
        return "regression"
    return "multi-label" if any(isinstance(answer, tuple) for answer in answers) else "single-label"


def learn_settings(examples: Sequence[ClassificationExample], settings: Settings) -> Settings:
    """The settings with the kind, the labels and their weights, or the mean and the deviation of the numbers.

    Raises:
        InputError: there are no examples, or all have the same answer.
        ConfigurationError: an option does not fit the kind or is out of range.
    """
    if settings.training_windows < 1:
        raise ConfigurationError(f"--training-windows must be 1 at least, not {settings.training_windows}")
    answers = [example.label for example in examples if example.label is not None]
    if not answers:
        raise InputError("there are no examples with an answer to learn from")
    kind = kind_of(answers) if settings.kind == "auto" else settings.kind
    settings = replace(settings, kind=kind, labels=(), label_weights=(), temperature=1.0, thresholds=())
    if kind == "regression":
        return _learn_values(answers, settings)
    counts = Counter(label for answer in answers for label in labels_of(answer))
    labels = label_order(counts)
    if len(labels) < (2 if kind == "single-label" else 1):
        what = f"have the label {labels[0]!r}" if labels else "have no label"
        raise InputError(
            f"all examples to learn from ({len(answers):,}) {what}: there is nothing to learn. If the file has others, "
            "they are too rare for a split into training and dev set: give more examples, or the dev set with --dev"
        )
    weights: tuple[float, ...] = ()
    if settings.class_weights == "balanced":
        present = [counts[label] for label in labels]
        if kind == "single-label":
            weights = balanced_weights(present)
        else:
            # A label that every text has could not be told from the bias: its weight stays above 0.
            weights = tuple(max(len(answers) - number, 1) / number for number in present)
    return replace(settings, labels=labels, label_weights=weights)


def _learn_values(answers: Sequence[Answer], settings: Settings) -> Settings:
    if settings.class_weights != "none":
        raise ConfigurationError("--class-weights is about labels; with --kind regression there are none")
    values = np.array([answer for answer in answers if isinstance(answer, float)])
    if len(values) < len(answers) or not values.std():
        raise InputError("regression needs numbers, and not all the same")
    return replace(settings, value_mean=float(values.mean()), value_deviation=float(values.std()))


def calibrate_settings(
    logits: npt.NDArray[np.floating], answers: Sequence[Answer | None], settings: Settings
) -> Settings:
    """The settings with the temperature, and with several labels the thresholds, that fit known answers.

    The temperature makes the answers most likely; a threshold is the one with the best F1 of its label.

    Args:
        logits: [E, L].
        answers: E of them.
        settings: with the labels learned.
    """
    if settings.kind == "regression" or not answers:
        return settings
    truth = np.array([[label in labels_of(answer) for label in settings.labels] for answer in answers])  # [E, L]
    known = truth.any(1) if settings.kind == "single-label" else np.ones(len(truth), np.bool_)
    settings = replace(
        settings,
        temperature=fit_temperature(
            lambda temperature: _surprise(logits[known], truth[known], replace(settings, temperature=temperature))
        ),
    )
    if settings.kind == "single-label":
        return settings
    columns = zip(probabilities_of(logits, settings).T, truth.T, strict=True)
    return replace(settings, thresholds=tuple(_best_threshold(column, right) for column, right in columns))


def _surprise(logits: npt.NDArray[np.floating], truth: npt.NDArray[np.bool_], settings: Settings) -> float:
    """Minus the summed log-likelihood of the answers."""
    probabilities = np.clip(probabilities_of(logits, settings), 1e-12, 1 - 1e-12)
    chosen = (
        probabilities[truth] if settings.kind == "single-label" else np.where(truth, probabilities, 1 - probabilities)
    )
    return float(-np.log(chosen).sum())


def _best_threshold(probabilities: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """The threshold with the best F1; half-way between two probabilities, 0.5 where nothing is right."""
    if not right.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + right.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # equal probabilities are on one side
    best = int(np.argmax(f1))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)
