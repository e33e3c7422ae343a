"""`spanbert evaluate`: a pre-trained model measured on a corpus, under masks that never change."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from spanbert.errors import ConfigurationError
from spanbert.tasks.pretraining.masking_options import MaskingOptions
from spanbert.training.config import Device, Precision

if TYPE_CHECKING:
    from accelerate import Accelerator

    from spanbert.tasks.pretraining.blocks import BoolArray
    from spanbert.tasks.pretraining.data import PretrainingValidation
    from spanbert.tasks.pretraining.head import SpanBertForPreTraining


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(MaskingOptions):
    """Measure a pre-trained model on a corpus: losses, perplexity, accuracy of pieces and of whole spans."""

    model: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="MODEL")]
    """Model folder or hub name."""

    corpus: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CORPUS")]
    """Folder written by `spanbert prepare` with the model's own tokenizer."""

    sequence_length: int = 128
    """Pieces of a block, [CLS] and [SEP] counted."""

    nsp: bool = False
    """Measure on two-segment blocks, for a model that was trained with next-sentence prediction."""

    max_blocks: int | None = None
    """At most so many blocks, evenly spread over the corpus; the default is all."""

    micro_batch_pieces: int = 8192
    """Most pieces, padding counted, that go through the model at once."""

    seed: int = 0
    """Seed of the masks."""

    device: Device = "auto"
    """auto takes a GPU when there is one."""

    precision: Precision = "auto"
    """bf16 autocast or fp32; auto takes bf16 where the processor multiplies it in hardware."""

    threads: int | None = None
    """CPU threads of torch; the default is all cores."""

    json: bool = False
    """Print JSON."""


def run(config: EvaluateConfig) -> int:
    """The verb."""
    metrics = evaluate_pretraining(config)
    if config.json:
        print(json.dumps(metrics))
    else:
        for name, value in metrics.items():
            print(f"{name.replace('_', ' '):<20} {value:.4f}")
    return 0


def evaluate_pretraining(config: EvaluateConfig, *, documents: BoolArray | None = None) -> dict[str, float]:
    """Metrics of a model on a corpus; see `pretraining_metrics` for their names.

    Args:
        config: see `EvaluateConfig`.
        documents: bool [number of documents], those to measure on, as `Corpus.held_out_documents` gives them; None
            means all.

    Raises:
        CheckpointError: the folder has no masked language model, or cannot be read.
        CorpusError: the corpus was made with another tokenizer.
    """
    from spanbert.tasks.pretraining.metrics import pretraining_metrics
    from spanbert.training.evaluation import evaluate

    model, accelerator, data = open_evaluation(config, documents=documents)
    return evaluate(model, accelerator, data=data, summarise=pretraining_metrics)


def open_evaluation(
    config: EvaluateConfig, *, documents: BoolArray | None = None
) -> tuple[SpanBertForPreTraining, Accelerator, PretrainingValidation]:
    """The model, ready on its device; the engine; and the masked blocks to measure on.

    Args:
        config: see `EvaluateConfig`.
        documents: as for `evaluate_pretraining`.

    Raises:
        SpanBertError: as `evaluate_pretraining`.
    """
    from spanbert.checkpoints import load_pretraining_model, load_tokenizer
    from spanbert.tasks.pretraining.corpus import Corpus
    from spanbert.tasks.pretraining.data import (
        BlockStream,
        MaskedCorpus,
        PretrainingValidation,
        SegmentPairs,
        SingleSequences,
        boundary_targets,
    )
    from spanbert.tasks.pretraining.head import PretrainingSettings
    from spanbert.training.devices import choose_device, new_accelerator, resolve_precision, set_threads
    from spanbert.training.progress import warn

    corpus = Corpus.open(config.corpus, tokenizer_fingerprint=load_tokenizer(config.model).fingerprint)
    model, _ = load_pretraining_model(config.model, require_heads=True)
    if config.nsp and model.cls.seq_relationship is None:
        raise ConfigurationError(f"--nsp: {config.model} has no next-sentence head")
    limit = int(model.config.max_position_embeddings)
    if not 3 <= config.sequence_length <= limit:
        raise ConfigurationError(f"--sequence-length must lie between 3 and the model's {limit} positions")
    trained = PretrainingSettings.of(model.config).trained_positions
    if trained is not None and config.sequence_length > trained:
        warn(f"{config.model}: only {trained} positions are trained, and --sequence-length is {config.sequence_length}")
    if config.max_blocks is not None and config.max_blocks < 1:
        raise ConfigurationError(f"--max-blocks must be at least 1, not {config.max_blocks}")
    if config.micro_batch_pieces < 1 or not 1 <= (config.threads or 1) <= 1024 or config.threads == 0:
        raise ConfigurationError("--micro-batch-pieces is at least 1, and --threads lies between 1 and 1024")
    set_threads(config.threads)
    device = choose_device(config.device)
    precision = resolve_precision(config.precision, device)
    stream: BlockStream = (
        SegmentPairs(corpus, config.sequence_length, documents, seed=config.seed)
        if config.nsp
        else SingleSequences(corpus, config.sequence_length, documents)
    )
    masked = MaskedCorpus(
        corpus,
        stream,
        config.masking,
        micro_batch_pieces=config.micro_batch_pieces,
        sbo_positions=boundary_targets(PretrainingSettings.of(model.config).sbo_positions, config.preset),
        seed=config.seed,
    )
    accelerator = new_accelerator(device, precision)
    data = PretrainingValidation(masked, config.max_blocks or len(stream))
    return accelerator.prepare_model(model, evaluation_mode=True), accelerator, data
