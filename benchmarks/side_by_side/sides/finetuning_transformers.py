"""The peer's steps of fine-tuning: the plain loop of the yardstick, padded as setting "variant" says."""

from __future__ import annotations

from typing import Any

import torch
from yardstick_loop import PlainLoop
from yardstick_tasks import TASKS

from side_by_side.sides.finetuning_data import PROVEN_GRADIENTS, order, proven, questions, shared_weights
from side_by_side.worker import Job, serve


def load(settings: dict[str, Any]) -> Job:
    """The model with the shared weights, all features, and the steps of a round, of which this side may take fewer."""
    torch.set_num_threads(settings["threads"])
    file = questions(settings)
    task = TASKS["question-answering"](file, file, None, 0)
    loop = PlainLoop(
        task,
        shared_weights(settings),
        settings["variant"],
        torch.device("cpu"),
        seed=0,
        batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
    )
    features = task.features(loop.tokenizer, task.train, loop.padding, training=True)
    if len(features) != len(task.train):
        raise SystemExit(f"{len(task.train)} questions are {len(features)} windows")
    round_steps = settings["round_steps"]
    schedule = loop.schedule(settings["total_steps"])
    place = 0

    def prove() -> list[float]:
        loop.model.eval()
        lengths = [sum(feature["attention_mask"]) for feature in features]
        chosen = proven(lengths, settings["batch_size"])
        columns = {name: [features[number][name] for number in chosen] for name in features[0]}
        inputs = {name: torch.tensor(column) for name, column in columns.items()}
        unpadded = {name: rows[:, : lengths[chosen[0]]] if rows.ndim > 1 else rows for name, rows in inputs.items()}
        loss = loop.model(**unpadded).loss
        loss.backward()
        parameters = dict(loop.model.named_parameters())
        norms = [float(parameters[name].grad.norm()) for name in PROVEN_GRADIENTS]
        loop.optimizer.zero_grad()
        return [float(loss.detach()), *norms]

    def run() -> float:
        nonlocal place
        size = settings["batch_size"]
        chosen = order(len(features), place + round_steps, size)[place * size :][: settings["steps"] * size]
        loop.model.train()
        for batch in loop.loader(features, chosen):
            loop.step(batch, schedule)
        place += round_steps
        return float(len(chosen))

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
