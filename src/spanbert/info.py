"""`spanbert info`: what a model, a corpus, a run or an ablation is, without loading it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase
from typing import Annotated, Any

import tyro

from spanbert.durable_files import is_locked
from spanbert.errors import CheckpointError, InputError

# Part of a model -> how the names of its tensors begin.
_PARTS = {
    "embeddings": "bert.embeddings.",
    "encoder": "bert.encoder.",
    "pooler": "bert.pooler.",
    "masked_piece_head": "cls.predictions.",
    "span_boundary_head": "cls.sbo.",
    "next_sentence_head": "cls.seq_relationship.",
}
_HEADS = {
    "masked_piece_head": "masked pieces",
    "span_boundary_head": "span boundaries",
    "next_sentence_head": "next sentence",
}
_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "vocab_size",
)
_MAX_LIST_WIDTH = 80
_RUN_KEYS = ("verb", "status", "command", "started", "ended", "parameters", "versions", "machine", "metrics")


@dataclass(frozen=True, kw_only=True)
class InfoConfig:
    """Describe a model, a corpus, a run or an ablation."""

    path: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PATH")]
    """A folder of a model, a corpus, a run or an ablation, a checkpoint file, or a model's name on the hub, fetched if
    need be."""

    json: bool = False
    """Print JSON, with the whole record of a run."""


def run(config: InfoConfig) -> int:
    """Print the description to stdout; the exit status is 0."""
    description = describe(config.path)
    if config.json:
        print(json.dumps(description, indent=2, ensure_ascii=False))
    else:
        _print(description)
    return 0


def describe(path: str | Path) -> dict[str, Any]:
    """What `spanbert info` shows, as JSON values; `kind` is "model", "corpus", "run" or "ablation".

    A folder that holds a model and the run it comes from is a model, with the run under `run`.

    Raises:
        InputError: a folder that is none of these.
        CheckpointError: a model is damaged, not BERT's, or not on the hub; the record of an ablation is damaged.
        CorpusError: a corpus is damaged.
    """
    folder = Path(path)
    if not folder.is_dir():
        return _describe_model(path)
    from spanbert.ablation.folder import describe_ablation
    from spanbert.tasks.pretraining.corpus import Corpus, read_manifest

    if read_manifest(folder) is not None:
        return Corpus.open(folder).describe()
    if (ablation := describe_ablation(folder)) is not None:
        return ablation
    record = _describe_run(folder) if (folder / "run.json").is_file() else None
    if any((folder / name).is_file() for name in ("config.json", "bert_config.json")):
        return _describe_model(path) | ({"run": record} if record else {})
    if record is None:
        raise InputError(
            f"{path} is no model (config.json), no corpus (manifest.json), no run (run.json) and no ablation "
            f"(ablation.json); it holds {_listed(sorted(file.name for file in folder.iterdir()))}"
        )
    return record


# Models


def _describe_model(path: str | Path) -> dict[str, Any]:
    from spanbert.checkpoint_sources import open_source
    from spanbert.key_maps import TIED

    with open_source(path) as source:
        entries = {source.key_map.to_ours(name): entry for name, entry in source.tensors.items()}
        entries = {name: entry for name, entry in entries.items() if name not in TIED and "float" in entry.dtype}
        parameters = {
            part: sum(entry.num_values for name, entry in entries.items() if name.startswith(prefix))
            for part, prefix in _PARTS.items()
        }
        others = [name for name in entries if not name.startswith(tuple(_PARTS.values()))]
        parameters["other_tasks"] = sum(entries[name].num_values for name in others)
        bias = entries.get("bert.pooler.dense.bias")
        table = entries.get("cls.sbo.position_embeddings.weight")
        ours = source.config.get("spanbert") or {}
        is_tuned = ours.get("task", "pretraining") != "pretraining"
        description: dict[str, Any] = {
            "kind": "model",
            "path": str(path),
            "format": source.title,
            **({"task": ours["task"], "settings": dict(ours.get("settings", {}))} if is_tuned else {}),
            **{key: source.config[key] for key in _SIZES if key in source.config},
            "stored_as": sorted({entry.dtype for entry in entries.values()}),
            "num_parameters": sum(parameters.values()),
            "parameters_by_part": {part: count for part, count in parameters.items() if count},
            "heads": [title for head, title in _HEADS.items() if parameters[head]]
            + ([ours["task"]] if is_tuned else []),
            "sbo_positions": table.shape[0] if table is not None else 0,
            **({"trained_positions": ours["trained_positions"]} if "trained_positions" in ours else {}),
            "pooler": "absent" if bias is None else "present" if bool(bias.read().any()) else "untrained",
            **({"notes": list(source.notes)} if source.notes else {}),
        }
    return description | {"tokenizer": _describe_tokenizer(path)}


def _describe_tokenizer(path: str | Path) -> dict[str, Any] | None:
    from spanbert.checkpoint_sources import load_tokenizer

    try:
        tokenizer = load_tokenizer(path)
    except CheckpointError:  # a model without a vocabulary is still a model
        return None
    return {
        "vocab_size": tokenizer.vocab_size,
        "cased": tokenizer.encode_ids(list(ascii_uppercase)).ids.tolist()
        != tokenizer.encode_ids(list(ascii_lowercase)).ids.tolist(),
        "fingerprint": tokenizer.fingerprint,
    }


# Runs


def _describe_run(folder: Path) -> dict[str, Any]:
    from spanbert.training.checkpointing import CheckpointFolder
    from spanbert.training.record import read_history

    path = folder / "run.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"the record of the run is not JSON: {error}", source=str(path)) from error
    if not isinstance(record, dict):
        raise InputError("the record of the run is not a JSON object", source=str(path))
    # The seeds of a run share the lock of the folder around theirs.
    if record.get("status") == "running" and not any(is_locked(place / ".lock") for place in (folder, folder.parent)):
        record["status"] = "running, or killed: no process holds its folder; --resume goes on"
    history = folder / "history.jsonl"
    rows = read_history(history, damaged_tail=True) if history.is_file() else []
    last = {row["set"]: row for row in rows if "set" in row}
    checkpoints = CheckpointFolder(folder / "checkpoints", keep=0).list()
    return {
        "kind": "run",
        "path": str(folder),
        "record": record,
        "last_figures": {name: {k: v for k, v in row.items() if k != "set"} for name, row in last.items()},
        "checkpoints": [checkpoint.name for checkpoint in checkpoints],
    }


# Printing


def _print(description: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout)
    rows = list(_rows(_for_people(description)))
    width = max(len(label) for label, _ in rows) + 2
    for label, value in rows:
        line = Text(label.ljust(width) + value if value else label, style="" if value else "bold")
        console.print(line, soft_wrap=True)


def _for_people(description: Mapping[str, Any]) -> dict[str, Any]:
    """What one asks first: of a run's record, which repeats the corpus's and every option, and of a corpus's files."""
    if description["kind"] == "ablation":
        from spanbert.ablation.folder import for_people

        return for_people(description)
    shown = dict(description)
    if "reading" in shown:
        files = shown["reading"].get("files", [])
        shown["reading"] = {**shown["reading"], "files": f"{len(files):,} (--json lists them with their hashes)"}
    if "record" in shown:
        record = shown.pop("record")
        shown |= {key: record[key] for key in _RUN_KEYS if key in record}
        counts = (record.get("corpus") or {}).get("counts")
        if counts:
            shown["corpus"] = counts
        if "metrics" in shown:  # the last figures of a finished run are its metrics
            shown.pop("last_figures", None)
            # Those of single labels ("f1/PER") are many.
            shown["metrics"] = {
                name: {figure: value for figure, value in figures.items() if "/" not in figure}
                for name, figures in shown["metrics"].items()
            }
    if "run" in shown:
        shown["run"] = _for_people(shown["run"])
        del shown["run"]["kind"], shown["run"]["path"]
    return shown


def _rows(values: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, str]]:
    """(label, value); a heading has no value, and the further values of a long list have no label."""
    for key, value in values.items():
        label = "  " * depth + key.replace("_", " ").removeprefix("num ")
        if isinstance(value, Mapping) and value:
            yield label, ""
            yield from _rows(value, depth + 1)
        elif isinstance(value, list) and len(_value(value)) > _MAX_LIST_WIDTH:
            for item in value:
                yield label, _value(item)
                label = ""
        else:
            yield label, _value(value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value) or "none"
    if value is None or value == {}:
        return "none"
    return str(value)


def _listed(names: Iterable[str], most: int = 8) -> str:
    names = list(names)
    return (", ".join(names[:most]) or "nothing") + (", ..." if len(names) > most else "")
