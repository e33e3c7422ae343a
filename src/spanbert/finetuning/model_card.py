"""The README.md that a fine-tuned model carries: what it is, how it was made, how far to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanbert.evaluation.tables import format_figure, split_by_label
from spanbert.finetuning.training import DEV, FinetuneResult

_PIPELINES = {
    "question-answering": "question-answering",
    "ner": "token-classification",
    "classification": "text-classification",
}


def model_card(name: str, result: FinetuneResult, record: Mapping[str, Any]) -> str:
    """The text of a model card.

    Args:
        name: of the model.
        result: of its training.
        record: of the finished run.
    """
    task, config, machine = result.task, record["config"], record["machine"]
    in_transformers = result.model.transformers_class
    opens = (
        f"Plain `transformers` opens it as `{in_transformers}` with the same scores for texts of one window."
        if in_transformers != "BertModel"
        else "Plain `transformers` has no class for its head and opens the bare encoder (`BertModel`)."
    )
    return f"""{_front_matter(task.name)}
# {name}

A model for {task.name} ({record["parameters"]:,} parameters), fine-tuned from `{config["model"]}` with
[spanbert](https://pypi.org/project/spanbert/) {record["versions"].get("spanbert", "")}.

    import spanbert
    model = spanbert.load("{name}")

{opens}

## Training

| | |
|---|---|
| command | `{record["command"]}` |
| data | {_data(record)} |
| seed | {record.get("best_seed", config["seed"])} |
| batch | {config["batch_size"]} |
| learning rate | {_rates(record)}, {config["schedule"]}, warm-up {config["warmup"]:.0%} |
| {_length(config)} |
| machine | {machine["device_name"]}, {machine["processes"]} process(es), {machine["precision"]} |
| started, ended | {record["started"]}, {record["ended"]} |
| versions | {", ".join(f"{package} {number}" for package, number in record["versions"].items())} |

## Dev set

{_figures(result.metrics)}
The dev set also chose the checkpoint, thresholds and temperatures, so these figures are a little too good; measure on
a test set with `spanbert evaluate {name} FILE`.
{_curves(record)}{_seeds(record, task.main_metric)}
## Limits

The model knows the labels and the kind of text it was trained on, with their errors and prejudices. Probabilities are
calibrated on the dev set; on other text they are too high. It has had no other check than the figures above.
"""


def _rates(record: Mapping[str, Any]) -> str:
    head = record["head_learning_rate"]
    return f"{record['learning_rate']:.3g}" + ("" if head is None else f" (head {head:.3g})")


def _front_matter(task: str) -> str:
    """What the hub reads of a card."""
    pipeline = _PIPELINES.get(task)
    lines = ("library_name: transformers", *([f"pipeline_tag: {pipeline}"] if pipeline else []))
    return "".join(f"{line}\n" for line in ("---", *lines, f"tags: [spanbert, bert, {task}]", "---"))


def _data(record: Mapping[str, Any]) -> str:
    files = ", ".join(f"`{path}` (SHA-256 {digest[:12]})" for path, digest in record.get("files", {}).items())
    counts = ", ".join(f"{number:,} {name}" for name, number in record["examples"].items())
    return f"{counts} examples; {files}" if files else f"{counts} examples"


def _curves(record: Mapping[str, Any]) -> str:
    """A run on examples in memory leaves no curves beside its model."""
    return "`curves.png` shows the course of the training.\n" if "files" in record else ""


def _length(config: Mapping[str, Any]) -> str:
    return f"epochs | {config['epochs']:g}" if config["steps"] is None else f"steps | {config['steps']:,}"


def _figures(metrics: Mapping[str, float]) -> str:
    """A table of the figures of the whole, and one with a row for each label where there are labels."""
    overall, labels = split_by_label(metrics)
    rows = "".join(f"| {name.replace('_', ' ')} | {format_figure(name, metrics[name])} |\n" for name in overall)
    table = f"| {DEV} | |\n|---|---|\n{rows}"
    if not labels:
        return table
    names = list(dict.fromkeys(name for found in labels.values() for name in found))
    table += f"\n| label | {' | '.join(name.replace('_', ' ') for name in names)} |\n|{'---|' * (len(names) + 1)}\n"
    for label, found in labels.items():
        cells = [format_figure(name, metrics[f"{name}/{label}"]) if name in found else "" for name in names]
        table += f"| {label.replace('|', '&#124;')} | {' | '.join(cells)} |\n"
    return table


def _seeds(record: Mapping[str, Any], metric: str) -> str:
    seeds: Mapping[str, Mapping[str, float]] = record.get("seeds", {})
    if not seeds:
        return ""
    values = ", ".join(f"{figures[metric]:.2f} (seed {seed})" for seed, figures in seeds.items())
    return f"\n{len(seeds)} seeds were trained and the best one was kept: {metric} {values}.\n"
