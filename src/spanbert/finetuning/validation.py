"""Measuring a model while it is fine-tuned, by the task's own figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

import numpy as np
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from spanbert.predicting import Predictor
from spanbert.task import ExampleT, PredictionT, Task, Window
from spanbert.tokenization import PieceTokenizer


class TaskValidation(Generic[ExampleT, PredictionT]):
    """Predicts examples with known answers and compares.

    Args:
        task: with its settings as they are during training.
        tokenizer: the model's.
        items: the whole set, each example with its windows, so that these are made once and not for each validation.
        limit: most examples that are predicted, evenly spread.
        batch_pieces: as for `Predictor`.
    """

    def __init__(
        self,
        task: Task[ExampleT, PredictionT],
        tokenizer: PieceTokenizer,
        items: Sequence[tuple[ExampleT, Sequence[Window]]],
        *,
        limit: int,
        batch_pieces: int,
    ) -> None:
        chosen = np.unique(np.linspace(0, len(items) - 1, min(limit, len(items))).round().astype(np.int64))
        self._items = [items[number] for number in chosen.tolist()]
        self.examples = [example for example, _ in self._items]
        self._task, self._tokenizer, self._batch_pieces = task, tokenizer, batch_pieces

    def __call__(self, model: nn.Module, accelerator: Accelerator) -> dict[str, float]:
        """The task's figures under thresholds that fit these examples, as those of the finished model will.

        They are the same in every process; each process scores its share.
        """
        predictor = predictor_in_training(
            model, self._task, self._tokenizer, accelerator, batch_pieces=self._batch_pieces
        )
        rank, ranks = accelerator.process_index, accelerator.num_processes
        mine = list(predictor.score_windows(self._items[rank::ranks]))
        scored: list[Any] = mine
        if ranks > 1:
            scored = [None] * len(self.examples)
            for number, part in gather_object([(rank, mine)]):
                scored[number::ranks] = part
        task = self._task.calibrate(scored)
        return task.compare(self.examples, [task.decode(one) for one in scored], task.settings).figures()


def predictor_in_training(
    model: nn.Module,
    task: Task[ExampleT, PredictionT],
    tokenizer: PieceTokenizer,
    accelerator: Accelerator,
    *,
    batch_pieces: int,
) -> Predictor[ExampleT, PredictionT]:
    """A predictor on the device and in the precision of a run."""
    bare: Any = accelerator.unwrap_model(model)
    return Predictor(
        bare,
        task,
        tokenizer,
        device="cuda" if accelerator.device.type == "cuda" else "cpu",
        precision="bf16" if accelerator.mixed_precision == "bf16" else "fp32",
        batch_pieces=batch_pieces,
    )
