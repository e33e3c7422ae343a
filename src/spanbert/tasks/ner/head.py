"""The models of entity recognition: tags of words (linear, CRF, BiLSTM-CRF) and labels of spans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import initialization

from spanbert.batching import TaskBatch
from spanbert.encoder import SpanBertConfig
from spanbert.task_model import TaskModel
from spanbert.tasks.ner.crf import LinearChainCrf
from spanbert.training.contract import StepOutput

_FIRST_LOGIT = -4.0
"""Where the scores of spans begin: nearly all spans are no entities."""


class SpanBertForTokenClassification(TaskModel):
    """A linear layer over the state of each word's first piece (Devlin et al. 2019, section 5.3).

    `transformers` opens it as a BertForTokenClassification, whose logits at first pieces are these scores.
    """

    transformers_class = "BertForTokenClassification"

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(_dropout(config))
        self.classifier = nn.Linear(config.hidden_size, _num_tags(config))
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[N, D] -> "tags" [n, L], logits of the tags of each word."""
        words = states.index_select(0, batch.positions["words"])
        return {"tags": self.classifier(self.dropout(words))}

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Cross-entropy of each word's tag, times the weight of its label, or of O."""
        logits = scores["tags"]
        weights = None
        if label_weights := _label_weights(self.config):
            outside, *inside = label_weights
            weights = logits.new_tensor([outside, *(weight for weight in inside for _ in "BI")])
        loss = F.cross_entropy(logits, batch.values["targets"], weight=weights, reduction="sum")
        return StepOutput({"tags": loss}, {})


class SpanBertForCrfTagging(TaskModel):
    """A linear-chain CRF over the words, on a linear layer, or on an LSTM in both directions and a linear layer.

    The LSTM (Huang et al. 2015) reads the words that a window decides about; its states have the encoder's width.
    """

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(_dropout(config))
        self.lstm: nn.LSTM | None = None
        if _settings(config)["head"] == "bilstm-crf":
            self.lstm = nn.LSTM(config.hidden_size, config.hidden_size // 2, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(config.hidden_size // 2 * 2 if self.lstm else config.hidden_size, _num_tags(config))
        self.crf = LinearChainCrf(_num_tags(config))
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[N, D] -> "tags" [n, L], emissions, and "transitions" [B, L + 2, L], the CRF's table for each window."""
        words = self.dropout(states.index_select(0, batch.positions["words"]))
        if self.lstm is not None:
            words = self.dropout(self._read(words, batch))
        table = self.crf.table()
        return {"tags": self.classifier(words), "transitions": table.expand(len(batch.rows["words"]), -1, -1)}

    def _read(self, words: Tensor, batch: TaskBatch) -> Tensor:
        """[n, D] states of words -> [n, D], the LSTM's."""
        assert self.lstm is not None
        lengths = torch.from_numpy(batch.rows["words"])
        lengths = lengths[lengths > 0]
        if not len(lengths):
            return words.new_zeros((0, self.classifier.in_features))
        padded = nn.utils.rnn.pad_sequence(words.split(lengths.tolist()), batch_first=True)
        packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=False)
        output, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)  # [windows, words, D]
        keep = torch.arange(output.shape[1]) < lengths[:, None]
        read: Tensor = output[keep.to(output.device)]
        return read

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Negative log-likelihood of each window's tags; a window that is no text's first or last has an open end."""
        lengths = torch.from_numpy(batch.rows["words"])
        loss = self.crf.loss(scores["tags"], batch.values["targets"], lengths, batch.values["edges"])
        return StepOutput({"tags": loss}, {})


class SpanBertForSpanClassification(TaskModel):
    """Every span of words up to a width by itself: a logistic score for each label.

    A span is represented by the states of its first and its last piece and an embedding of its width, as in
    Lee et al. 2017 (section 4) without the attended head, and goes through one hidden layer.
    """

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        settings = _settings(config)
        width = config.hidden_size
        self.dropout = nn.Dropout(_dropout(config))
        # A linear layer over the two states and the width, side by side, is the sum of three: so the two large
        # products are computed once a piece, not once a span.
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width, bias=False)
        self.width_embeddings = nn.Embedding(int(settings["max_entity_width"]), width)
        self.span_classifier = nn.Linear(width, len(settings["labels"]))
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[N, D] -> "spans" [S, K], the logits of each span's labels."""
        states = self.dropout(states)
        left, right = batch.positions["spans"].unbind(1)
        spans = self.first(states).index_select(0, left) + self.last(states).index_select(0, right)
        hidden = self.dropout(F.gelu(spans + self.width_embeddings(batch.values["widths"])))
        return {"spans": self.span_classifier(hidden)}

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Binary cross-entropy of each span and label, summed over labels; a span that has the label counts as often
        as the label's weight says."""
        logits, targets = scores["spans"], batch.values["targets"]
        label_weights = _label_weights(self.config)
        weights = logits.new_tensor(label_weights) if label_weights else None
        loss = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weights, reduction="sum")
        return StepOutput({"spans": loss}, {})

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if module in (self.first, self.last, self.span_classifier):
            # BERT's 0.02, twice in a row, gives all spans the same score: too little to learn from in a few epochs.
            initialization.normal_(module.weight, std=module.in_features**-0.5)
        if module is self.span_classifier:
            initialization.constant_(module.bias, _FIRST_LOGIT)


def _settings(config: SpanBertConfig) -> Mapping[str, Any]:
    """The task's settings (`EntitySettings`) as config.json has them."""
    settings: Mapping[str, Any] = (config.spanbert or {})["settings"]
    return settings


def _label_weights(config: SpanBertConfig) -> Sequence[float]:
    """`EntitySettings.label_weights`; none in models that were saved before there was such a setting."""
    weights: Sequence[float] = _settings(config).get("label_weights", ())
    return weights


def _num_tags(config: SpanBertConfig) -> int:
    return 1 + 2 * len(_settings(config)["labels"])


def _dropout(config: SpanBertConfig) -> float:
    dropout = config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
    return float(dropout)
