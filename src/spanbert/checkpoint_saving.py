"""Saving a model for pre-training as a folder.

It opens in plain `transformers` (`AutoModelForMaskedLM`, `AutoModel`, `AutoTokenizer`, and `BertForPreTraining` where
there is a next-sentence head) with the same numbers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from spanbert.checkpoint_sources import CONFIG_FILES
from spanbert.durable_files import sync_to_disk
from spanbert.encoder import SpanBertConfig
from spanbert.errors import CheckpointError
from spanbert.key_maps import TIED
from spanbert.model_differences import DIFFERENCE_FILE, WHOLE_FILE
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining
from spanbert.tokenization import PieceTokenizer

HalfPrecision = Literal["fp16", "bf16"]

SBO_POSITIONS = "cls.sbo.position_embeddings.weight"
"""The tensor whose rows are the position table of the span boundary head."""

NSP = "cls.seq_relationship."
"""What the names of the next-sentence head begin with."""

_DTYPES: dict[HalfPrecision | None, torch.dtype] = {None: torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def save_pretraining_model(
    model: SpanBertForPreTraining,
    tokenizer: PieceTokenizer,
    folder: str | Path,
    *,
    half_precision: HalfPrecision | None = None,
    plain_bert: bool = False,
    leave_out: Collection[str] = (),
    extra_files: Mapping[str, str] | None = None,
) -> None:
    """Write config.json, model.safetensors and the tokenizer's files.

    The folder appears whole or not at all; in one that is there already, files are replaced one by one, the weights
    first.

    Args:
        model: what to save.
        tokenizer: its tokenizer.
        folder: where to; parents are made.
        half_precision: store the weights in 16 bits. config.json says float32 all the same, so that they are computed
            with in 32 bits wherever the folder is opened.
        plain_bert: only what BERT has: no span boundary head, no `spanbert` in config.json, and a pooler only where
            next-sentence prediction trained it.
        leave_out: names of tensors that are not worth saving, because they were made up (`LoadReport.new`).
        extra_files: name -> text of further files, for example a model card.

    Raises:
        CheckpointError: the vocabulary has more pieces than the model, or a weight does not fit into 16 bits.
        OSError: the disk is full or failing; a folder that was not there before is not there now.
    """
    if tokenizer.vocab_size > model.config.vocab_size:
        raise CheckpointError(
            f"the vocabulary has {tokenizer.vocab_size:,} pieces and the model {model.config.vocab_size:,}: this is "
            "not the tokenizer it was trained with"
        )
    state = {name: value for name, value in model.state_dict().items() if name not in TIED and name not in leave_out}
    if plain_bert:
        # transformers' BertForMaskedLM has no pooler; BertModel and BertForPreTraining do.
        is_masked_lm = _architecture(state) == "BertForMaskedLM"
        dropped = ("cls.sbo.", "bert.pooler.") if is_masked_lm else ("cls.sbo.",)
        state = {name: value for name, value in state.items() if not name.startswith(dropped)}
    weights = {name: stored_form(name, value, half_precision) for name, value in state.items()}
    write_model_folder(
        Path(folder),
        weights,
        _config_json(model.config, weights, plain_bert),
        tokenizer,
        num_positions=model.config.max_position_embeddings,
        extra_files=extra_files or {},
    )


def write_model_folder(
    folder: Path,
    weights: dict[str, Tensor],
    config: Mapping[str, Any],
    tokenizer: PieceTokenizer,
    *,
    num_positions: int,
    extra_files: Mapping[str, str],
    weights_file: str = WHOLE_FILE,
) -> None:
    """Write weights, config.json, the tokenizer's files and others; whole or not at all where the folder is new.

    Args:
        folder: where to; parents are made.
        weights: tensors on the CPU, contiguous, none sharing memory.
        config: what config.json says.
        tokenizer: the model's.
        num_positions: the longest input in pieces.
        extra_files: name -> text.
        weights_file: model.safetensors, or difference.safetensors where config.json names a base.

    Raises:
        OSError: the disk is full or failing.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Inside a folder that is there: beside it may be another file system, or nobody else's to write to.
    unfinished = folder / ".unfinished" if folder.is_dir() else folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        save_file(weights, unfinished / weights_file, metadata={"format": "pt"})
        # safetensors keeps the file to its owner; other users of the machine may read a model as they may its config.
        (unfinished / weights_file).chmod(0o666 & ~_umask())
        tokenizer.save(unfinished)
        _state_longest_input(unfinished / "tokenizer_config.json", num_positions)
        for name, text in {**extra_files, CONFIG_FILES[0]: json.dumps(config, indent=2) + "\n"}.items():
            (unfinished / name).write_text(text, encoding="utf-8")
        _put_in_place(unfinished, folder)
        # The other kind of weights, of a model that was here before; config.json means it no longer.
        (folder / (WHOLE_FILE if weights_file == DIFFERENCE_FILE else DIFFERENCE_FILE)).unlink(missing_ok=True)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _state_longest_input(tokenizer_config: Path, num_positions: int) -> None:
    """Tell transformers' pipelines how long an input may be; only the model knows."""
    values = json.loads(tokenizer_config.read_text(encoding="utf-8"))
    values["model_max_length"] = num_positions
    tokenizer_config.write_text(json.dumps(values, indent=1, sort_keys=True), encoding="utf-8")


def stored_form(name: str, value: Tensor, half_precision: HalfPrecision | None) -> Tensor:
    """A tensor as it is written: on the CPU, in 16 bits where that is asked for, else in 32.

    Raises:
        CheckpointError: a number of it does not fit into fp16.
    """
    stored = value.detach().to("cpu", _DTYPES[half_precision]).contiguous()
    if half_precision == "fp16" and not bool(torch.isfinite(stored).all()):
        raise CheckpointError(f"{name} holds numbers beyond the range of fp16 (65,504): store the model as bf16")
    return stored


def _config_json(config: SpanBertConfig, weights: Collection[str], plain_bert: bool) -> dict[str, Any]:
    """What config.json says of these weights."""
    fields: dict[str, Any] = json.loads(config.to_json_string())
    fields |= {"architectures": [_architecture(weights)], "model_type": "bert", "dtype": "float32"}
    settings = PretrainingSettings.of(config)
    sbo_positions = settings.sbo_positions if SBO_POSITIONS in weights else 0
    fields["spanbert"] = replace(settings, sbo_positions=sbo_positions, nsp=f"{NSP}weight" in weights).to_json()
    if plain_bert:
        del fields["spanbert"]
    return fields


def _architecture(weights: Collection[str]) -> str:
    """The class of `transformers` that has most of these tensors."""
    if "cls.predictions.bias" not in weights:
        return "BertModel"
    return "BertForPreTraining" if f"{NSP}weight" in weights else "BertForMaskedLM"


def _put_in_place(unfinished: Path, folder: Path) -> None:
    files = sorted(unfinished.iterdir(), key=lambda file: (file.suffix != ".safetensors", file.name))
    for file in files:
        sync_to_disk(file)
    sync_to_disk(unfinished)
    if not folder.exists():
        unfinished.rename(folder)
    else:
        for file in files:
            file.replace(folder / file.name)
        sync_to_disk(folder)
        return
    sync_to_disk(folder.parent)
