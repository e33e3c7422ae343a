"""The README.md that a pre-trained model carries: what it is, how it was made, how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_model_card(path: Path, record: Mapping[str, Any]) -> None:
    """Write a model card from a run's record.

    Args:
        path: the file.
        record: the contents of the finished run's `run.json`.
    """
    config, corpus, machine = record["config"], record["corpus"], record["machine"]
    counts = corpus["counts"]
    start = f"continued from `{config['init_from']}`" if config["init_from"] else "trained from scratch"
    text = f"""---
library_name: transformers
pipeline_tag: fill-mask
tags: [spanbert, bert, fill-mask]
---

# {path.parent.name}

A SpanBERT encoder ({record["parameters"]:,} parameters), {start} with [spanbert](https://pypi.org/project/spanbert/)
{record["versions"].get("spanbert", "")}, which implements Joshi et al. 2019.

    from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer
    model = AutoModelForMaskedLM.from_pretrained("{path.parent.name}")

{_heads_note(config)}
## Training

| | |
|---|---|
| command | `{record["command"]}` |
| text | {counts["num_documents"]:,} documents, {counts["num_words"]:,} words, {counts["num_pieces"]:,} pieces |
| masking | {config["scheme"]}, preset {config["preset"]}, a budget of {config["budget"]:.0%} of the pieces |
| sequence length | {config["sequence_length"]} |
| batch | {config["batch_size"]} blocks |
| learning rate | {config["learning_rate"]:g}, {config["schedule"]}, warm-up {config["warmup"]:.0%} |
| seed | {config["seed"]} |
| machine | {machine["device_name"]}, {machine["processes"]} process(es), {machine["precision"]} |
| started, ended | {record["started"]}, {record["ended"]} |
| versions | {", ".join(f"{name} {number}" for name, number in record["versions"].items())} |

Hashes of the text's files stand in `run.json`.

## Held-out text

{_metrics_table(record["metrics"])}
Losses are in nats a masked piece, under masks that never change. `curves.png` shows how they fell.

## Limits

The model knows what its text says, in the words of its text, with its errors and its prejudices, and no more. It
has had no other check than the figures above.
"""
    path.write_text(text, encoding="utf-8")


def _heads_note(config: Mapping[str, Any]) -> str:
    notes = []
    if config["sbo"] and config["scheme"] != "pieces":
        notes.append(
            "Masked spans are predicted from their own states and from their boundaries. `transformers` reports the\n"
            "span boundary head (`cls.sbo.*`) as unexpected: it has no place for it. `spanbert fill` uses it.\n"
        )
    if not config["nsp"]:
        source = "as it came from the first model" if config["init_from"] else "random"
        notes.append(f"The pooler (`bert.pooler`) is not trained, but {source}: do not use `pooler_output`.\n")
    return "\n".join(notes)


def _metrics_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    if not metrics:
        return "Nothing was held out.\n"
    names = list(dict.fromkeys(name for values in metrics.values() for name in values if name != "step"))
    head = "| | " + " | ".join(name.replace("_", " ") for name in names) + " |\n"
    rule = "|---" * (len(names) + 1) + "|\n"
    rows = "".join(
        f"| {set_name} | " + " | ".join(f"{values[name]:.3f}" if name in values else "–" for name in names) + " |\n"
        for set_name, values in metrics.items()
    )
    return head + rule + rows
