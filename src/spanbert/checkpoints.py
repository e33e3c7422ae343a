"""Loading a model for pre-training from anything BERT-like, with an account of every tensor.

The names of the other rooms of checkpoints (saving, sources, growing a vocabulary) can be had from here too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from spanbert.checkpoint_saving import NSP, SBO_POSITIONS, HalfPrecision, save_pretraining_model
from spanbert.checkpoint_sources import Source, TensorEntry, load_tokenizer, open_source, resolve_name
from spanbert.encoder import SpanBertConfig
from spanbert.errors import CheckpointError, ConfigurationError
from spanbert.key_maps import TIED
from spanbert.tasks.pretraining.head import (
    FORMAT,
    PretrainingSettings,
    SpanBertForPreTraining,
    initial_config,
)
from spanbert.vocabulary_growth import add_domain_words, extend_vocabulary

__all__ = [
    "HalfPrecision",
    "LoadReport",
    "add_domain_words",
    "extend_vocabulary",
    "load_pretraining_model",
    "load_tokenizer",
    "resolve_name",
    "save_pretraining_model",
]

# The fields of a configuration that say what the encoder computes; the rest belongs to other tasks and programs.
_BERT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
    "position_embedding_type",
    "is_decoder",
    "add_cross_attention",
)


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of a source, and where every tensor of the model comes from.

    Attributes:
        source: the source as it was asked for, and what it is.
        loaded: the source's name of a tensor -> ours.
        new: our names of tensors that the source lacks; they were initialised at random.
        unused: the source's name of a tensor -> why it was not loaded.
        notes: choices that were made on the way.
        task: what the source was fine-tuned for; None where it was not, or does not say so as our models do.
        trained_positions: as `PretrainingSettings.trained_positions`.
    """

    source: str
    loaded: Mapping[str, str]
    new: tuple[str, ...]
    unused: Mapping[str, str]
    notes: tuple[str, ...]
    task: str | None = None
    trained_positions: int | None = None

    def __str__(self) -> str:
        """The report for people: counts, and the names of all that is new or unused."""
        lines = [
            self.source,
            f"  {len(self.loaded):>4} tensors loaded",
            f"  {len(self.new):>4} new, initialised at random",
        ]
        lines += [f"         {name}" for name in self.new]
        lines.append(f"  {len(self.unused):>4} unused")
        width = max(map(len, self.unused), default=0)
        lines += [f"         {name:<{width}}  {reason}" for name, reason in self.unused.items()]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)


def load_pretraining_model(
    name_or_path: str | Path,
    *,
    sbo_positions: int | None = None,
    nsp: bool | None = None,
    dropout: float | None = None,
    attention_dropout: float | None = None,
    require_heads: bool = False,
    num_heads: int | None = None,
    seed: int = 0,
) -> tuple[SpanBertForPreTraining, LoadReport]:
    """Load a model with its pre-training heads, in fp32, in evaluation mode.

    Args:
        name_or_path: a folder of any BERT-like model, a name on the hub, a tarball of 2019, or a training checkpoint of
            the original release.
        sbo_positions: rows of the span boundary head's position table, 0 for no such head; a source that has the head
            keeps its own number, and the report says so. None: as the source has it.
        nsp: whether there is a next-sentence head; None: as the source has it.
        dropout: of hidden states in training; None: as the source says.
        attention_dropout: of attention weights in training; None: as the source says.
        require_heads: refuse a source that lacks a tensor of a head instead of making one up.
        num_heads: attention heads of an original training checkpoint that does not say.
        seed: of the initial values of what the source lacks.

    Raises:
        CheckpointError: there is no such model, it is damaged or not BERT's, a tensor's shape does not fit, a part of
            the encoder is missing, or a head that is required.
    """
    with open_source(name_or_path, num_heads=num_heads) as source:
        by_our_name = _by_our_name(source)
        settings, notes = _settings(source, by_our_name, sbo_positions, nsp)
        config = _config(source, settings)
        if dropout is not None:
            config.hidden_dropout_prob = dropout
        if attention_dropout is not None:
            config.attention_probs_dropout_prob = attention_dropout
        model = _without_values(config, source.name)
        parameters = {name: value for name, value in model.state_dict().items() if name not in TIED}
        matching = _match(by_our_name, parameters, settings)
        new = tuple(name for name in parameters if name not in matching.entries)
        _refuse_missing(source, new, matching.unused, require_heads)
        _refuse_misfits(source, matching, parameters)
        _initialise(model, new, seed)
        for name, entry in matching.entries.items():
            parameters[name].copy_(entry.read())
    task = (source.config.get("spanbert") or {}).get("task", "pretraining")
    report = LoadReport(
        f"{source.name}: {source.title}",
        matching.loaded,
        new,
        matching.unused,
        (*source.notes, *notes),
        None if task == "pretraining" else str(task),
        settings.trained_positions,
    )
    model.train(False)
    return model, report


@dataclass(frozen=True)
class _Matching:
    """What is loaded from where: our name -> tensor; their name -> our name; their name -> why it is not used."""

    entries: dict[str, TensorEntry]
    loaded: dict[str, str]
    unused: dict[str, str]


def _by_our_name(source: Source) -> dict[str, tuple[str, TensorEntry]]:
    """Our name -> (their name, tensor), for every tensor of the source."""
    named: dict[str, tuple[str, TensorEntry]] = {}
    for theirs, entry in source.tensors.items():
        ours = source.key_map.to_ours(theirs)
        if ours in named:
            raise CheckpointError(f"{source.name} holds {ours} twice: as {named[ours][0]} and as {theirs}")
        named[ours] = theirs, entry
    return named


def _settings(
    source: Source, named: Mapping[str, tuple[str, TensorEntry]], sbo_positions: int | None, nsp: bool | None
) -> tuple[PretrainingSettings, list[str]]:
    """Which heads the model gets, what else its config.json says, and what there is to say about it."""
    settings = source.config.get("spanbert") or {}
    if settings.get("format", FORMAT) > FORMAT:
        raise CheckpointError(
            f"{source.name} was written by a newer version of this package (format {settings['format']}, this version "
            f"reads up to {FORMAT}): pip install --upgrade spanbert"
        )
    notes = []
    num_there = named[SBO_POSITIONS][1].shape[0] if SBO_POSITIONS in named else int(settings.get("sbo_positions", 0))
    if sbo_positions is None:
        sbo_positions = num_there
    elif sbo_positions and num_there not in (0, sbo_positions):
        notes.append(f"the span boundary head keeps its {num_there} positions; {sbo_positions} were asked for")
        sbo_positions = num_there
    if nsp is None:
        nsp = f"{NSP}weight" in named or bool(settings.get("nsp", False))
    trained_positions = settings.get("trained_positions")
    return PretrainingSettings(sbo_positions=sbo_positions, nsp=nsp, trained_positions=trained_positions), notes


def _config(source: Source, settings: PretrainingSettings) -> SpanBertConfig:
    fields = {name: source.config[name] for name in _BERT_FIELDS if name in source.config}
    if "num_attention_heads" not in fields:
        raise CheckpointError(f"{source.name} does not say how many attention heads it has: give --num-heads")
    try:
        return initial_config(settings, **fields)
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source.name}: its config.json is not a BERT configuration: {error}") from error


def _without_values(config: SpanBertConfig, name: str) -> SpanBertForPreTraining:
    """A model whose parameters have room and no values yet: drawing values only to replace them takes seconds."""
    try:
        with torch.device("meta"):
            model = SpanBertForPreTraining(config)
    except (ConfigurationError, KeyError) as error:
        raise CheckpointError(f"{name}: its configuration is not supported: {error}") from error
    model.to_empty(device="cpu")
    model.tie_weights()
    return model


def _match(
    named: Mapping[str, tuple[str, TensorEntry]], parameters: Mapping[str, Tensor], settings: PretrainingSettings
) -> _Matching:
    matching = _Matching({}, {}, {})
    for ours, (theirs, entry) in named.items():
        target = TIED.get(ours, ours)
        if target not in parameters or (ours.startswith("cls.sbo.") and not settings.sbo_positions):
            matching.unused[theirs] = _why_unused(ours)
        elif target != ours and target in named and not _equal(entry, named[target][1]):
            matching.unused[theirs] = f"differs from {named[target][0]}, and here the two are one tensor"
        else:
            matching.loaded[theirs] = target
            if target == ours or target not in named:
                matching.entries[target] = entry
    return matching


def _equal(one: TensorEntry, other: TensorEntry) -> bool:
    return one.shape == other.shape and torch.equal(one.read().float(), other.read().float())


def _why_unused(name: str) -> str:
    if name.startswith("cls.sbo."):
        return "the model is made without a span boundary head"
    if name.startswith(NSP):
        return "the model is made without a next-sentence head"
    if name.endswith((".position_ids", ".token_type_ids")):
        return "a constant, not a weight"
    if name.startswith("bert."):
        return "the configuration has no such part"
    return "a head of another task"


def _refuse_missing(source: Source, new: Iterable[str], unused: Mapping[str, str], require_heads: bool) -> None:
    missing = [name for name in new if name.startswith("bert.") and not name.startswith("bert.pooler.")]
    if missing:
        raise CheckpointError(f"{source.name} lacks {_listed(missing)}: without these it is no BERT encoder")
    if not require_heads:
        return
    if missing := [name for name in new if name.startswith("cls.")]:
        raise CheckpointError(
            f"{source.name} lacks {_listed(missing)}: this needs the trained pre-training heads, and none are made up. "
            "Train them by continuing from this model (`spanbert pretrain --from`), or take a model that has them"
        )
    if untied := [name for name, reason in unused.items() if "one tensor" in reason]:
        raise CheckpointError(f"{source.name}: {_listed(untied)} is not tied to the piece embeddings: not supported")


def _refuse_misfits(source: Source, matching: _Matching, parameters: Mapping[str, Tensor]) -> None:
    for theirs, ours in matching.loaded.items():
        entry, shape = source.tensors[theirs], tuple(parameters[ours].shape)
        if entry.shape != shape:
            raise CheckpointError(
                f"{source.name}: the tensor {theirs} has the shape {list(entry.shape)} and its configuration means "
                f"{list(shape)}: weights and config.json do not belong together"
            )
        if "float" not in entry.dtype:
            raise CheckpointError(
                f"{source.name}: the tensor {theirs} is stored as {entry.dtype}, not as float numbers"
            )


def _listed(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more tensors" if len(names) > most else "")


def _initialise(model: SpanBertForPreTraining, new: Collection[str], seed: int) -> None:
    """Give initial values to the modules that hold a new tensor; what is loaded replaces the rest of theirs."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for prefix, module in model.named_modules():
            if any(f"{prefix}.{name}" in new for name, _ in module.named_parameters(recurse=False)):
                model._init_weights(module)
