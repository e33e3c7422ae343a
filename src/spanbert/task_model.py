"""What the models of all tasks share: the encoder, and the way from a batch to a loss or to scores."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from spanbert.batching import TaskBatch
from spanbert.encoder import SpanBertConfig, SpanBertModel, SpanBertPreTrainedModel
from spanbert.training.contract import StepOutput


class TaskModel(SpanBertPreTrainedModel):
    """An encoder under a head.

    A task's model adds its layers in `__init__` (named as in `transformers`, where that has the class), calls
    `self.post_init()` at its end, and has `score` and `loss`. `config.spanbert["settings"]` holds the task's settings.

    Attributes:
        uses_pooler: whether the head takes BERT's pooled [CLS] state; without it the model has no pooler.
        reads_only_first_pieces: whether `reduce` and `score` look at no states but those of the windows' first pieces;
            prediction may leave the others at 0.
        transformers_class: the class that opens the saved folder with the same scores; "BertModel" where there is none.
    """

    uses_pooler = False
    reads_only_first_pieces = False
    transformers_class = "BertModel"

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.bert = SpanBertModel(config, add_pooling_layer=self.uses_pooler)

    def encode(self, batch: TaskBatch) -> Tensor:
        """[N, D] states of a batch's pieces."""
        return self.bert.encode(batch.pieces, batch.layout, batch.segments)

    def reduce(self, states: Tensor, batch: TaskBatch) -> Tensor:
        """[N, D] states -> what `score` needs of them, [n, D].

        In prediction, the windows of a unit that is too long for one pass are encoded in several; their reduced states
        are joined before `score` sees the whole unit. A head that needs only the first piece of every window gives
        these, so that memory stays small for any length.
        """
        return states

    @abstractmethod
    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """Scores from reduced states; every array's first axis is what the task's `score_rows` says of it."""

    @abstractmethod
    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """Summed losses by name; their targets are counted in `batch.counts` under the same names."""

    def score_in_fp32(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """`score`, outside autocast: in bf16 a score of 8 is only known to 0.03. A head whose products are large may
        turn autocast on again for these."""
        with torch.autocast(states.device.type, enabled=False):
            return self.score(states.float(), batch)

    def forward(self, batch: TaskBatch) -> StepOutput:
        """The losses of a batch with targets."""
        scores = self.score_in_fp32(self.reduce(self.encode(batch), batch), batch)
        with torch.autocast(batch.pieces.device.type, enabled=False):
            return self.loss(scores, batch)
