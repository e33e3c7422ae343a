"""The peer's pre-training step: `transformers` BertForMaskedLM and AdamW; it does MLM only."""

from __future__ import annotations

from typing import Any

import torch
from transformers import BertForMaskedLM

from side_by_side.sides.pretraining_batch import PROVEN_GRADIENTS, masked_batch, shared_weights
from side_by_side.worker import Job, serve


def load(settings: dict[str, Any]) -> Job:
    """The model with the shared weights, and a step over the shared batch, padded as it is: not at all."""
    torch.set_num_threads(settings["threads"])
    device = torch.device(settings["device"])
    dropout = {
        "hidden_dropout_prob": settings["dropout"],
        "attention_probs_dropout_prob": settings["attention_dropout"],
    }
    model = BertForMaskedLM.from_pretrained(shared_weights(settings), attn_implementation="sdpa", **dropout).to(device)
    batch = masked_batch(settings)
    input_ids = batch.pieces.view(settings["blocks"], settings["length"]).to(device)
    labels = torch.full_like(batch.pieces, -100)
    labels[batch.masked[: batch.counts["mlm"]]] = batch.labels[: batch.counts["mlm"]]
    labels = labels.view(settings["blocks"], settings["length"]).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    compute = torch.compile(model) if settings.get("compile") else model

    def prove() -> list[float]:
        model.eval()
        loss = model(input_ids=input_ids, labels=labels).loss
        loss.backward()
        parameters = dict(model.named_parameters())
        norms = [float(parameters[name].grad.norm()) for name in PROVEN_GRADIENTS]
        optimizer.zero_grad(set_to_none=True)
        return [float(loss.detach()), *norms]

    def run() -> float:
        model.train()
        for step in range(settings["steps"]):
            torch.manual_seed(step)
            with torch.autocast(device.type, torch.bfloat16, enabled=settings["precision"] == "bf16"):
                loss = compute(input_ids=input_ids, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return float(settings["steps"] * input_ids.numel())

    return Job(run, prove)


if __name__ == "__main__":
    serve(load)
