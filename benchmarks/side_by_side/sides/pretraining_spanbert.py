"""Our pre-training step: MLM and SBO, clipping, AdamW, as `spanbert pretrain` takes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from side_by_side.sides.pretraining_batch import PROVEN_GRADIENTS, masked_batch, shared_weights
from side_by_side.worker import Job, serve
from spanbert.tasks.pretraining.head import HeadSettings, SpanBertForPreTraining
from spanbert.training.config import TrainingConfig
from spanbert.training.devices import compile_in_place, deterministic, keep_freed_memory
from spanbert.training.optimizers import make_optimizer, parameter_groups
from spanbert.training.progress import warn


def load(settings: dict[str, Any]) -> Job:
    """The model with the shared weights, and a step over the shared batch."""
    torch.set_num_threads(settings["threads"])
    device = torch.device(settings["device"])
    if device.type == "cpu":
        keep_freed_memory()
    sbo = {"format": 1, "task": "pretraining", "sbo_positions": HeadSettings().sbo_positions, "nsp": False}
    dropout = {
        "hidden_dropout_prob": settings["dropout"],
        "attention_probs_dropout_prob": settings["attention_dropout"],
    }
    torch.manual_seed(0)
    model = SpanBertForPreTraining.from_pretrained(shared_weights(settings), spanbert=sbo, **dropout).to(device)
    batch = masked_batch(settings).to(device)
    config = TrainingConfig(output=Path("unused"))
    optimizer = make_optimizer(
        parameter_groups(model, weight_decay=config.decay_of_matrices, learning_rate=config.learning_rate), config
    )
    if settings.get("compile"):
        compile_in_place(list(model.bert.encoder.layer), device, warn)

    def prove() -> list[float]:
        model.eval()
        loss = model(batch).losses["mlm"] / batch.counts["mlm"]
        loss.backward()
        parameters = dict(model.named_parameters())
        norms = [float(parameters[name].grad.norm()) for name in PROVEN_GRADIENTS]  # type: ignore[union-attr]
        optimizer.zero_grad(set_to_none=True)
        return [float(loss.detach()), *norms]

    def run() -> float:
        model.train()
        with deterministic(device):
            for step in range(settings["steps"]):
                torch.manual_seed(step)
                with torch.autocast(device.type, torch.bfloat16, enabled=settings["precision"] == "bf16"):
                    output = model(batch)
                torch.stack([loss / batch.counts[name] for name, loss in output.losses.items()]).sum().backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return float(settings["steps"] * batch.counts["pieces"])

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
