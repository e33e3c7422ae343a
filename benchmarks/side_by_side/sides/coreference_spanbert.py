"""Coreference: our model with a random head, our prediction loop, and our training step.

Settings: `job`, `predict`, `train` or `calibrate`; `precision`; `model`, a folder; those of
`coreference_documents.write_documents` and of `coreference_shared`. Units are words.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch

from side_by_side.sides.coreference_documents import write_documents
from side_by_side.sides.coreference_shared import Document, mention_bias, num_links, num_words, read_documents
from side_by_side.worker import Job, serve
from spanbert.finetuning.config import FinetuneConfig
from spanbert.finetuning.data import FinetuneData, TrainingWindows
from spanbert.predicting import Predictor
from spanbert.spans import Span
from spanbert.task_checkpoints import new_task_model
from spanbert.tasks.coreference.config import CoreferenceSettings
from spanbert.tasks.coreference.examples import CoreferenceExample, CoreferencePrediction, sorted_clusters
from spanbert.tasks.coreference.head import SpanBertForCoreference
from spanbert.tasks.coreference.task import CoreferenceResolution
from spanbert.training.devices import (
    choose_device,
    deterministic,
    keep_freed_memory,
    resolve_precision,
)
from spanbert.training.optimizers import make_optimizer, parameter_groups

_MODULE = "coreference_spanbert"


def make_example(number: int, document: Document) -> CoreferenceExample:
    """A document as our task reads it."""
    ends = list(accumulate(len(word) + 1 for word in document["words"]))
    spans = tuple(Span(end - 1 - len(word), end - 1) for word, end in zip(document["words"], ends, strict=True))
    clusters = [
        [Span(spans[first].start, spans[last].end) for first, last in cluster] for cluster in document["clusters"]
    ]
    return CoreferenceExample(str(number), " ".join(document["words"]), sorted_clusters(clusters), spans)


class Side:
    """The task, its model and the documents."""

    def __init__(self, settings: dict[str, Any]) -> None:
        torch.set_num_threads(settings["threads"])
        self.settings = settings
        self.documents = read_documents(settings)
        self.examples = [make_example(number, document) for number, document in enumerate(self.documents)]
        self.task = CoreferenceResolution(CoreferenceSettings())
        if settings["job"] == "train":
            self.task = self.task.learn(self.examples)
        model, self.tokenizer, _ = new_task_model(self.task, settings["model"])
        assert isinstance(model, SpanBertForCoreference)
        self.model = model
        with torch.no_grad():
            model.mentions.output.bias.add_(mention_bias(settings, _MODULE))

    def predictor(self) -> Predictor[CoreferenceExample, CoreferencePrediction]:
        """What `spanbert predict` runs."""
        return Predictor(
            self.model,
            self.task,
            self.tokenizer,
            device="cpu",
            precision=self.settings["precision"],
            threads=self.settings["threads"],
        )

    def prediction(self) -> Job:
        """All documents; kept mentions are counted from the features, linked ones in the clusters."""
        predictor = self.predictor()
        kept = sum(
            len(window.values["slots"])
            for example in self.examples
            for window in self.task.features(example, self.tokenizer, training=False)
        )

        def run() -> dict[str, Any]:
            linked = sum(
                len(cluster) for predicted in predictor.predict(self.examples) for cluster in predicted.clusters
            )
            return {
                "units": num_words(self.documents),
                "kept": kept,
                "linked": linked,
                "precision": predictor.precision,
            }

        return Job(run)

    def training(self) -> Job:
        """One epoch in the steps of `spanbert finetune coreference`; windows are made beforehand."""
        device = choose_device("cpu")
        keep_freed_memory()
        precision = resolve_precision(self.settings["precision"], device)
        config = FinetuneConfig(model=self.settings["model"], output=Path("unused"), **self.task.finetuning)
        windows = TrainingWindows.of(self.task, self.examples, self.tokenizer)
        data = FinetuneData(windows, config.batch_size, config.micro_batch_pieces, seed=0)
        optimizer = make_optimizer(
            parameter_groups(
                self.model,
                weight_decay=config.decay_of_matrices,
                learning_rate=config.learning_rate,
                head_learning_rate=config.head_learning_rate,
            ),
            config,
        )
        num_steps = -(-len(windows.units) // config.batch_size)
        self.model.train()

        def step(number: int) -> None:
            batches = data.micro_batches(number, 0, 1)
            counts = {name: max(1, sum(batch.counts[name] for batch in batches)) for name in batches[0].counts}
            for batch in batches:
                with torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext():
                    output = self.model(batch)
                torch.stack([loss / counts[name] for name, loss in output.losses.items()]).sum().backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        def run() -> dict[str, Any]:
            with deterministic(device):
                for number in range(num_steps):
                    step(number)
            return {"units": num_words(self.documents), "steps": num_steps, "precision": precision}

        return Job(run)

    def calibration(self) -> Job:
        """What to add to the mention scores so that `num_links` mentions have an antecedent."""
        predictor = self.predictor()

        def run() -> dict[str, Any]:
            best = [scored.scores[0]["antecedent_scores"][:, 1:].max(1) for scored in predictor.score(self.examples)]
            last = np.sort(np.concatenate(best))[::-1][num_links(self.documents)]
            return {"units": num_words(self.documents), "mention_bias": -float(last) / 2}  # a pair has the bias twice

        return Job(run)


def load(settings: dict[str, Any]) -> Job:
    """The job that the settings name."""
    write_documents(settings)
    side = Side(settings)
    return {"predict": side.prediction, "train": side.training, "calibrate": side.calibration}[settings["job"]]()


if __name__ == "__main__":
    serve(load)
