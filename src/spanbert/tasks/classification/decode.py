"""From the scores of a text to what is said of it, with probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spanbert.tasks.classification.config import Settings
from spanbert.tasks.classification.examples import ClassificationPrediction, LabelProbability


def probabilities_of(logits: npt.NDArray[np.floating], settings: Settings) -> npt.NDArray[np.float64]:
    """[..., L] logits -> [..., L] probabilities: of labels that exclude each other, or of each label by itself."""
    scaled = np.asarray(logits, np.float64) / settings.temperature
    if settings.kind == "multi-label":
        return np.asarray(1 / (1 + np.exp(-np.clip(scaled, -500, 500))))
    powers = np.exp(scaled - scaled.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def decode_scores(example_id: str, logits: npt.NDArray[np.floating], settings: Settings) -> ClassificationPrediction:
    """The prediction for a text with `logits` [L]."""
    if settings.kind == "regression":
        value = float(logits[0]) * settings.value_deviation + settings.value_mean
        return ClassificationPrediction(id=example_id, label=value)
    probabilities = probabilities_of(logits, settings)
    order = np.argsort(-probabilities, kind="stable")
    pairs = tuple(LabelProbability(settings.labels[number], float(probabilities[number])) for number in order)
    if settings.kind == "single-label":
        return ClassificationPrediction(id=example_id, label=pairs[0].label, probabilities=pairs)
    thresholds = settings.thresholds or (0.5,) * len(settings.labels)
    chosen = tuple(settings.labels[number] for number in order if probabilities[number] >= thresholds[number])
    return ClassificationPrediction(id=example_id, label=chosen, probabilities=pairs)
