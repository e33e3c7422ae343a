"""The model of question answering: for every piece, how well an answer begins and ends there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spanbert.batching import TaskBatch
from spanbert.encoder import SpanBertConfig
from spanbert.task_model import TaskModel
from spanbert.training.contract import StepOutput
from spanbert.unpadded import UnpaddedLayout


class SpanBertForQuestionAnswering(TaskModel):
    """A linear layer over the states of the pieces (Devlin et al. 2019, section 4.2; Joshi et al. 2019, 4.1).

    Attributes:
        qa_outputs: states -> start and end score, as in `transformers`' BertForQuestionAnswering.
    """

    transformers_class = "BertForQuestionAnswering"

    def __init__(self, config: SpanBertConfig) -> None:
        super().__init__(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()  # type: ignore[no-untyped-call]

    def score(self, states: Tensor, batch: TaskBatch) -> dict[str, Tensor]:
        """States of all pieces [N, D] -> "start" and "end" [N]."""
        scores = self.qa_outputs(states)
        return {"start": scores[:, 0], "end": scores[:, 1]}

    def loss(self, scores: dict[str, Tensor], batch: TaskBatch) -> StepOutput:
        """ "span": the mean of two cross entropies, of the first and the last piece, over all pieces of the window.

        `batch.positions["answer"]` [B, 2] has the places of the two; a window where they are negative has no loss.
        The figure "span_correct" counts windows in which both have the highest score.
        """
        answer = batch.positions["answer"]
        known = answer[:, 0] >= 0
        loss = scores["start"].new_zeros(())
        correct = known
        for column, name in enumerate(("start", "end")):
            target = answer[:, column].clamp(min=0)
            padded = _to_windows(scores[name], batch.layout)
            surprise = padded.logsumexp(1) - scores[name][target]
            loss = loss + torch.where(known, surprise, 0.0).sum() / 2
            correct = correct & (padded.argmax(1) == target - batch.layout.starts)
        return StepOutput({"span": loss}, {"span_correct": correct.sum()})


def _to_windows(scores: Tensor, layout: UnpaddedLayout) -> Tensor:
    """[N] -> [B, T], minus infinity where a window has ended."""
    padded = layout.to_windows(layout.to_rows(scores))
    return padded if layout.mask is None else padded.masked_fill(~layout.mask[:, 0, 0], float("-inf"))
