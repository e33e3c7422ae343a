"""The classification model: an encoder, its pooler, and one linear layer over what the windows of a text say."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanbert.batching import TaskBatch
from spanbert.encoder import SpanBertConfig
from spanbert.task_model import TaskModel
from spanbert.training.contract import StepOutput


class SpanBertForTextClassification(TaskModel):
    """BERT's classifier (Devlin et al. 2019, section 4.1; Joshi et al. 2020, section 4.1): pooled [CLS] -> linear.

    A text of several windows has one pooled state: the mean or the maximum over its windows, or a mean weighted by a
    learned attention. A text of one window has the logits of transformers' BertForSequenceClassification.
    """

    uses_pooler = True
    reads_only_first_pieces = True
    transformers_class = "BertForSequenceClassification"

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        settings = (config.spanbert or {})["settings"]
        self.kind: str = settings["kind"]
        self.windows: str = settings["windows"]
        num_scores = 1 if self.kind == "regression" else len(settings["labels"])
        dropout = config.classifier_dropout
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)
        self.classifier = nn.Linear(config.hidden_size, num_scores)
        if self.windows == "attention":
            self.window_attention = nn.Linear(config.hidden_size, 1, bias=False)
        self.label_weights: list[float] = list(settings["label_weights"])
        self.post_init()  # type: ignore[no-untyped-call]

    def reduce(self, states: Tensor, batch: TaskBatch) -> Tensor:
        """[N, D] states of the pieces -> [B, D] pooled [CLS] states of the windows."""
        assert self.bert.pooler is not None
        pooled: Tensor = self.bert.pooler(states[batch.layout.starts])
        return pooled

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[B, D] pooled states of the windows -> "labels" [E, L], the logits of each text (one column for a number)."""
        texts = self._pool_windows(states, batch.unit_of_window, batch.num_units)  # [E, D]
        return {"labels": self.classifier(self.dropout(texts)).float()}

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """The summed loss "label" over texts: cross-entropy, binary cross-entropy (mean over labels), or the square.

        With balanced weights the cross-entropy of a text is multiplied by num_examples / (L * examples of its label),
        so that weights have mean 1 over the training set: this is torch's weighted mean, but divided by the number of
        texts of a step instead of by the sum of their weights, so that each text weighs the same in every step.
        """
        logits, target = scores["labels"], batch.values["label"]
        weights = logits.new_tensor(self.label_weights) if self.label_weights else None
        if self.kind == "single-label":
            loss = F.cross_entropy(logits, target, weight=weights, reduction="sum")
        elif self.kind == "multi-label":
            each = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")
            loss = each.mean(1).sum()
        else:
            loss = F.mse_loss(logits.squeeze(1), target, reduction="sum")
        return StepOutput({"label": loss}, {})

    def _pool_windows(self, states: Tensor, unit: Tensor, num_units: int) -> Tensor:
        """[B, D] states of windows and [B] their texts, never falling -> [E, D]."""
        if len(states) == num_units and self.windows != "attention":  # which needs a gradient, if only of 0
            return states
        states = states.float()
        if self.windows == "max":
            lowest = states.new_full((num_units, states.shape[1]), float("-inf"))
            return lowest.scatter_reduce(0, unit[:, None].expand_as(states), states, "amax")
        if self.windows == "attention":
            weights = _softmax_within(self.window_attention(states).float().squeeze(1), unit, num_units)  # [B]
        else:
            weights = 1 / torch.bincount(unit, minlength=num_units)[unit]
        return states.new_zeros(num_units, states.shape[1]).index_add(0, unit, states * weights[:, None])


def _softmax_within(scores: Tensor, unit: Tensor, num_units: int) -> Tensor:
    """[B] scores -> [B] shares that sum to 1 within each unit."""
    highest = scores.new_full((num_units,), float("-inf")).scatter_reduce(0, unit, scores.detach(), "amax")
    powers = (scores - highest[unit]).exp()
    return powers / powers.new_zeros(num_units).index_add(0, unit, powers)[unit]
