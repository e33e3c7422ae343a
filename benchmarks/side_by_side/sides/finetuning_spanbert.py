"""Our steps of fine-tuning, as `spanbert finetune question-answering` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from side_by_side.sides.finetuning_data import PROVEN_GRADIENTS, proven, questions, shared_weights
from side_by_side.worker import Job, serve
from spanbert.batching import TaskBatch, collate
from spanbert.example_sets import load_examples
from spanbert.finetuning.config import FinetuneConfig
from spanbert.finetuning.data import FinetuneData, TrainingWindows
from spanbert.task_checkpoints import new_task_model
from spanbert.tasks import find_task
from spanbert.training.contract import TrainingPlan
from spanbert.training.devices import make_accelerator
from spanbert.training.loop import Trainer
from spanbert.training.progress import Reporter


class _Onward:
    """Data of which every round sees the next steps."""

    def __init__(self, data: FinetuneData) -> None:
        self.data = data
        self.start = 0

    @property
    def num_examples(self) -> int:
        """Of an epoch."""
        return self.data.num_examples

    def micro_batches(self, step: int, rank: int, num_ranks: int) -> Sequence[TaskBatch]:
        """Those of a step of the round."""
        return self.data.micro_batches(self.start + step, rank, num_ranks)


def load(settings: dict[str, Any]) -> Job:
    """The model with the shared weights, all windows, and the steps of a round."""
    task_class = find_task("question-answering")
    task = task_class(task_class.settings_class())
    located = load_examples(task_class, questions(settings), task.settings, strict=True, say=lambda line: None)
    examples = [one.example for one in located]
    task = task.learn(examples)
    folder = shared_weights(settings)
    config = FinetuneConfig(
        model=str(folder),
        output=Path("unused"),
        steps=settings["total_steps"],
        batch_size=settings["batch_size"],
        learning_rate=settings["learning_rate"],
        device="cpu",
        threads=settings["threads"],
    )
    accelerator = make_accelerator(config)
    model, tokenizer, _ = new_task_model(task, folder)
    head = {name: value for name, value in load_file(folder / "model.safetensors").items() if "qa_outputs" in name}
    if model.load_state_dict(head, strict=False).unexpected_keys:
        raise SystemExit("the shared head does not fit")
    windows = TrainingWindows.of(task, examples, tokenizer)
    if len(windows.units) != len(examples):
        raise SystemExit(f"{len(examples)} questions are {len(windows.units)} windows")
    data = _Onward(FinetuneData(windows, config.batch_size, config.micro_batch_pieces, seed=0))
    plan = TrainingPlan(data=data, validation={}, hot_modules=(), fingerprint={}, environment={})

    def prove() -> list[float]:
        model.eval()
        chosen = proven([len(window.pieces) for (window,) in windows.units], config.batch_size)
        loss = model(collate([windows.units[number] for number in chosen])).losses["span"] / len(chosen)
        loss.backward()
        parameters = dict(model.named_parameters())
        norms = [float(parameters[name].grad.norm()) for name in PROVEN_GRADIENTS]  # type: ignore[union-attr]
        model.zero_grad(set_to_none=True)
        return [float(loss.detach()), *norms]

    trainer: Trainer | None = None

    def run() -> float:
        nonlocal trainer
        if trainer is None:  # from then on the model computes in bf16, which the proof does not
            trainer = Trainer(model, plan, config, accelerator, Reporter())
        trainer.time_steps(settings["steps"])
        data.start += settings["round_steps"]
        return float(settings["steps"] * config.batch_size)

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
