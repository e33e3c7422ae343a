"""What is measured of a pre-trained model on held-out text."""

from __future__ import annotations

import math
from collections.abc import Mapping


def pretraining_metrics(sums: Mapping[str, float], counts: Mapping[str, float]) -> dict[str, float]:
    """Averages from sums over a validation set.

    `mlm_loss` and `sbo_loss` in nats a piece; `perplexity` is exp(mlm_loss); `mlm_accuracy`, `sbo_accuracy` the share
    of masked pieces that are the highest-scored piece; `exact_span_accuracy` the share of masked spans in which all
    pieces are, by the masked language model; `nsp_loss`, `nsp_accuracy` for next sentences;
    `sbo_beyond_table`, where there are any, the share of span pieces too far into their span for the position table.

    Args:
        sums: summed losses by name, and numbers of right predictions.
        counts: numbers of targets by loss name, and "spans".
    """
    metrics: dict[str, float] = {}
    for name in ("mlm", "sbo", "nsp"):
        if name in sums and counts[name]:
            metrics[f"{name}_loss"] = sums[name] / counts[name]
            metrics[f"{name}_accuracy"] = sums[f"{name}_correct"] / counts[name]
    if "mlm_loss" in metrics:
        metrics["perplexity"] = math.exp(min(metrics["mlm_loss"], 700.0))
        metrics["exact_span_accuracy"] = sums["spans_correct"] / counts["spans"]
    if counts.get("sbo_beyond_table"):
        metrics["sbo_beyond_table"] = counts["sbo_beyond_table"] / (counts["sbo"] + counts["sbo_beyond_table"])
    return metrics
