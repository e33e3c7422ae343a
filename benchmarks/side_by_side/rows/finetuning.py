"""Fine-tuning of question answering against a plain `transformers` loop, padded in fp32 and dynamic in bf16."""

from __future__ import annotations

from side_by_side.comparison import Aim, Comparison, Options, Side, memory_ratio, speed_ratio

_BATCH_SIZE = 16
_TIMES_PADDED = 8.0
_TIMES_DYNAMIC = 1.5
_STEPS = 12


def comparisons(options: Options) -> list[Comparison]:
    """One row, on a CPU."""
    return [] if options.device == "cuda" else [_comparison(options)]


def _comparison(options: Options) -> Comparison:
    shared = {
        "base": str(options.model),
        "model": str(options.scratch / "finetuning-model"),
        "sources": options.files("qa/squadshifts/new_wiki_v1.0.json.gz"),
        "questions": 2000,
        "batch_size": _BATCH_SIZE,
        "learning_rate": 5e-5,
        "round_steps": _STEPS,
        "total_steps": 1000,
    }
    peer = "finetuning_transformers"
    sides = (
        Side("ours", "spanbert, its defaults (bf16)", "finetuning_spanbert", shared | {"steps": _STEPS}, proves=True),
        Side(
            "dynamic",
            "transformers, dynamic padding, bf16 autocast",
            peer,
            shared | {"variant": "dynamic-bf16", "steps": _STEPS},
            proves=True,
        ),
        Side(
            "padded",
            "transformers, its defaults: padded to 384, fp32",
            peer,
            shared | {"variant": "padded-fp32", "steps": 1},
            proves=True,
        ),
    )
    source = "the sample corpus" if options.data is None else "SQuADShifts new_wiki"
    return Comparison(
        name="finetuning-question-answering",
        title="Fine-tuning, question answering",
        does=(
            f"Optimiser steps over {_BATCH_SIZE} questions of {source}, each in one window of at most 384 pieces, the "
            "same questions in the same order, with the encoder of --model and dropout as its config says (states and "
            "attention) on both sides; forward, backward, clipping, AdamW, schedule. Features are made beforehand on "
            f"both sides, batches are put together within the time. A round is the next {_STEPS} steps, so lengths are "
            "ever new; the padded side, whose shapes never change, takes only the first of each round. The loop of "
            "`transformers` is that of its examples. Rounds show only the beginning of what ever-new shapes cost the "
            "dynamic side: in a whole run of two epochs it grows by gigabytes and slows down. Equal F1 was shown by "
            "whole runs (docs/results.md, Yardstick)"
        ),
        unit="questions",
        sides=sides,
        aims=(
            Aim("speed, padded to 384 in fp32", speed_ratio("ours", "padded"), least=_TIMES_PADDED),
            Aim("speed, dynamic padding in bf16", speed_ratio("ours", "dynamic"), least=_TIMES_DYNAMIC),
            Aim("memory above the loaded model, of the dynamic loop's", memory_ratio("ours", "dynamic"), unit="%"),
        ),
        proof=(
            "loss in fp32 and the norms of four of its gradients, same weights and head, no dropout, over "
            "up to 16 windows of one length: in padded batches the loss of `transformers` also counts the padding"
        ),
        rounds=5,
    )
