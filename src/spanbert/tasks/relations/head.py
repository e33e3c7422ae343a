"""The models: a classifier over [CLS], or over the boundaries of the two spans."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spanbert.batching import TaskBatch
from spanbert.encoder import SpanBertConfig
from spanbert.span_representations import boundary_representation
from spanbert.task_model import TaskModel
from spanbert.tasks.relations.features import UNKNOWN
from spanbert.training.contract import StepOutput


class _RelationModel(TaskModel):
    """What both have in common: the loss, and labels from the task's settings."""

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        assert config.spanbert is not None
        self.settings = config.spanbert["settings"]
        self.num_relations = len(self.settings["labels"])
        dropout = getattr(config, "classifier_dropout", None)
        self.dropout = nn.Dropout(config.hidden_dropout_prob if dropout is None else dropout)

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Cross-entropy, summed over the pairs whose label is known, each times the weight of its label."""
        logits, labels = scores["relations"], batch.values["labels"]
        label_weights = self.settings["label_weights"]
        weights = logits.new_tensor(label_weights) if label_weights else None
        loss = F.cross_entropy(logits, labels, weight=weights, reduction="sum", ignore_index=UNKNOWN)
        return StepOutput({"relations": loss}, {"relations_right": (logits.argmax(1) == labels).sum()})


class SpanBertForRelations(_RelationModel):
    """[CLS] of a window with one marked pair -> scores of relations (Joshi et al. 2019, section 4.1).

    Pooler and classifier are those of `BertForSequenceClassification`, which opens the saved folder with the same
    scores.
    """

    uses_pooler = True
    transformers_class = "BertForSequenceClassification"

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.classifier = nn.Linear(config.hidden_size, self.num_relations)
        self.post_init()  # type: ignore[no-untyped-call]

    def reduce(self, states: Tensor, batch: TaskBatch) -> Tensor:
        """[N, D] -> [B, D] states of [CLS]."""
        return states.index_select(0, batch.layout.starts)

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[B, D] -> relations [P, L]."""
        assert self.bert.pooler is not None
        of_pairs = states.index_select(0, batch.window_of_row("pairs"))  # a window without a pair has no row
        return {"relations": self.classifier(self.dropout(self.bert.pooler(of_pairs)))}


class SpanBertForSpanRelations(_RelationModel):
    """The boundaries of the two spans of each pair -> scores of relations.

    The states at the first and last piece of both spans, or at their markers or type tokens, go through one hidden
    layer. Where the text is not marked, types are learned vectors that are added to it.
    """

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.hidden = nn.Linear(4 * width, width)
        num_types = len(self.settings["entity_types"]) if self.settings["entities"] == "plain" else 0
        self.head_types = nn.Embedding(num_types + 1, width) if num_types else None
        self.tail_types = nn.Embedding(num_types + 1, width) if num_types else None
        self.classifier = nn.Linear(width, self.num_relations)
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """[N, D] -> relations [P, L]."""
        head_first, head_last, tail_first, tail_last = batch.positions["pairs"].unbind(1)
        head = boundary_representation(states, head_first, head_last)  # [P, 2 D]
        tail = boundary_representation(states, tail_first, tail_last)
        hidden = self.hidden(torch.cat((head, tail), dim=1))  # [P, D]
        if self.head_types is not None and self.tail_types is not None:
            head_type, tail_type = batch.values["types"].unbind(1)
            hidden = hidden + self.head_types(head_type) + self.tail_types(tail_type)
        return {"relations": self.classifier(self.dropout(F.gelu(hidden)))}
