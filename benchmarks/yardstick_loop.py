"""The loop of the examples of `transformers` (`run_qa`, `run_ner`, `run_glue`), around a task of the yardstick."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader
from yardstick_tasks import Features, Logits, YardstickTask, load_class


class PlainLoop:
    """A model, its tokenizer and the loop around it.

    Args:
        task: names the class of the model and makes features.
        model: folder of a BERT.
        variant: "padded-" (to the task's maximal length) or "dynamic-" (to the longest of a batch), "fp32" or "bf16"
            (autocast).
        device: where it trains.
        seed: of a head that the folder does not have, and of the order of examples.
        batch_size: windows of a step.
        learning_rate: the highest.
    """

    def __init__(
        self,
        task: YardstickTask,
        model: Path,
        variant: str,
        device: torch.device,
        *,
        seed: int,
        batch_size: int,
        learning_rate: float,
    ) -> None:
        self.task = task
        self.device = device
        self.batch_size = batch_size
        padded, precision = variant.split("-")
        self.padding: str | bool = "max_length" if padded == "padded" else False
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        transformers.set_seed(seed)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model)
        self.tokenizer.add_tokens(list(task.added_pieces))
        labels = {} if task.model_class.endswith("QuestionAnswering") else {"num_labels": task.num_labels}
        self.model = load_class(task.model_class).from_pretrained(model, **labels)
        if task.added_pieces:
            self.model.resize_token_embeddings(len(self.tokenizer))
        self.model.to(device)
        self.optimizer = self._optimizer(learning_rate)

    def _optimizer(self, learning_rate: float) -> torch.optim.Optimizer:
        """AdamW; weight decay not on biases and LayerNorm."""
        plain = [p for name, p in self.model.named_parameters() if "bias" in name or "LayerNorm" in name]
        other = [p for name, p in self.model.named_parameters() if not ("bias" in name or "LayerNorm" in name)]
        groups = [{"params": other, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=learning_rate)

    def schedule(self, steps: int) -> Any:
        """The course of the learning rate over `steps`: 10 % warm-up, then falling to 0."""
        return transformers.get_scheduler("linear", self.optimizer, round(0.1 * steps), steps)

    def loader(self, features: Features, order: Any = None, *, shuffle: bool = False) -> DataLoader[Any]:
        """Batches of the tensors that the model takes; `order` says which features come, and when."""
        inputs = {*self.tokenizer.model_input_names, "labels", "start_positions", "end_positions"}
        rows: Any = [{key: value for key, value in feature.items() if key in inputs} for feature in features]
        collate = transformers.default_data_collator if self.padding else load_class(self.task.collator)(self.tokenizer)
        return DataLoader(rows, batch_size=self.batch_size, shuffle=shuffle, sampler=order, collate_fn=collate)

    def loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """The mean loss of a batch."""
        with self.autocast:
            loss: Tensor = self.model(**{key: value.to(self.device) for key, value in batch.items()}).loss
        return loss

    def step(self, batch: Mapping[str, Tensor], schedule: Any) -> None:
        """One optimiser step."""
        self.loss(batch).backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        schedule.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def predict(self, features: Features) -> Logits:
        """The outputs for every window."""
        self.model.eval()
        logits: Logits = []
        for batch in self.loader(features):
            with self.autocast:
                output = self.model(**{key: value.to(self.device) for key, value in batch.items()})
            names = [name for name in output if name.endswith("logits")]
            logits += zip(*(output[name].float().cpu().numpy() for name in names), strict=True)
        return logits
