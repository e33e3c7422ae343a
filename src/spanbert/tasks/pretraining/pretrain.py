"""`spanbert pretrain`: corpus, model and training loop put together, and what the run leaves behind."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from spanbert.checkpoints import extend_vocabulary, load_pretraining_model, load_tokenizer, save_pretraining_model
from spanbert.encoder import count_parameters
from spanbert.errors import ConfigurationError, CorpusError, TrainingError
from spanbert.tasks.pretraining.config import PretrainConfig
from spanbert.tasks.pretraining.corpus import Corpus
from spanbert.tasks.pretraining.data import (
    BlockStream,
    MaskedCorpus,
    PretrainingData,
    PretrainingValidation,
    SegmentPairs,
    SingleSequences,
    boundary_targets,
)
from spanbert.tasks.pretraining.estimate import estimate_run, format_estimate
from spanbert.tasks.pretraining.head import PretrainingSettings, SpanBertForPreTraining, initial_config
from spanbert.tasks.pretraining.metrics import pretraining_metrics
from spanbert.tasks.pretraining.model_card import write_model_card
from spanbert.tasks.pretraining.trained_positions import continued_positions
from spanbert.training.contract import TrainingPlan
from spanbert.training.devices import make_accelerator, processor_name
from spanbert.training.evaluation import evaluate
from spanbert.training.loop import Trainer, num_steps
from spanbert.training.progress import warn
from spanbert.training.record import now, plot_history, read_history, versions, write_json
from spanbert.training.run import (
    check_output,
    course_of_run,
    last_metrics,
    output_of_our_own,
    starting_record,
    train_recorded,
)

HELD_OUT = "held-out"
"""Name of the validation set that is made of the corpus's own held-out documents."""

CURVES = (
    ("mlm_loss", "sbo_loss", "nsp_loss"),
    ("mlm_accuracy", "sbo_accuracy", "exact_span_accuracy", "nsp_accuracy"),
    ("learning_rate",),
)
"""The panels of the picture of the curves."""


@dataclasses.dataclass(frozen=True)
class _Prepared:
    """What a run is made of."""

    model: SpanBertForPreTraining
    plan: TrainingPlan
    corpus: Corpus
    validation: Mapping[str, PretrainingValidation]


@dataclasses.dataclass(frozen=True)
class PretrainingResult:
    """What a run gave.

    Attributes:
        output: the folder with the model, its curves and its record.
        metrics: the last metrics of every validation set.
        stopped_by: 0, or the number of the signal after which the run saved its state; no model is written then.
    """

    output: Path
    metrics: dict[str, dict[str, float]]
    stopped_by: int = 0


def run(config: PretrainConfig) -> int:
    """The verb: 0, or 128 + n after signal n."""
    if config.estimate:
        accelerator = make_accelerator(config)
        prepared = _prepare(config, accelerator)
        estimate = estimate_run(prepared.model, prepared.plan, config, accelerator)
        if accelerator.is_main_process:
            print(format_estimate(estimate))
        return 0
    result = pretrain(config)
    return 128 + result.stopped_by if result.stopped_by else 0


def pretrain(config: PretrainConfig) -> PretrainingResult:
    """Pre-train a model.

    Args:
        config: see `PretrainConfig`.

    Raises:
        ConfigurationError: options contradict each other, the corpus or the run in the output folder.
        CorpusError: the corpus is damaged, too small, or made with another tokenizer than the model.
        CheckpointError: the model to start from, or every checkpoint to resume from, cannot be used.
        TrainingError: the loss is not a number, or the disk is full.

    Example:
        >>> pretrain(PretrainConfig(corpus=Path("corpus"), output=Path("model"), steps=1000)).metrics["held-out"]
    """
    sources = [config.corpus, *config.validation, *([Path(config.init_from)] if config.init_from else [])]
    check_output(config, sources)
    accelerator = make_accelerator(config)
    prepared = _prepare(config, accelerator)
    try:
        with output_of_our_own(config) if accelerator.is_main_process else nullcontext():
            return _train(config, accelerator, prepared)
    except OSError as error:
        raise TrainingError(
            f"{config.output}: cannot be written: {error.strerror or error}; make room and go on with --resume"
        ) from error


def _train(config: PretrainConfig, accelerator: Accelerator, prepared: _Prepared) -> PretrainingResult:
    model, plan, corpus = prepared.model, prepared.plan, prepared.corpus
    record = starting_record(config, accelerator, model, verb="pretrain", data={"corpus": corpus.describe()})
    about = [
        f"{count_parameters(model.parameters()):,} parameters, {plan.data.num_examples:,} blocks an epoch, "
        f"{num_steps(config, plan.data.num_examples):,} steps, {record['machine']['precision']} on "
        f"{record['machine']['device_name']}"
    ]
    for name, data in prepared.validation.items():
        about.append(f"validating on {data.num_examples:,} blocks of {name}{_too_few(data.num_examples)}")
    trainer, stopped_by = train_recorded(config, accelerator, model, plan, record, about=about)
    trained = _gathered(model, trainer, accelerator)
    metrics: dict[str, dict[str, float]] = {}
    if accelerator.is_main_process:
        metrics = last_metrics(config.output)
        record |= {"metrics": metrics, "ended": now(), "status": "interrupted" if stopped_by else "finished"}
        _finish(config, trained, corpus, record)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return PretrainingResult(config.output, metrics, stopped_by)


def _too_few(num_blocks: int) -> str:
    return "" if num_blocks >= 20 else ": too few to tell progress from chance (see --held-out)"


def _prepare(config: PretrainConfig, accelerator: Accelerator) -> _Prepared:
    corpus = Corpus.open(config.corpus)
    if accelerator.is_main_process:
        corpus.verify()
    model = _make_model(config, corpus, verbose=accelerator.is_main_process and not config.quiet)
    limit = int(model.config.max_position_embeddings)
    if config.sequence_length > limit:
        raise ConfigurationError(f"--sequence-length {config.sequence_length}: the model's position table has {limit}")
    _reach_positions(model, config, verbose=accelerator.is_main_process and not config.quiet)
    held_out_seed = config.seed if config.held_out_seed is None else config.held_out_seed
    held_out = corpus.held_out_documents(config.held_out, held_out_seed)

    def masked(source: Corpus, documents: Any) -> MaskedCorpus:
        return MaskedCorpus(
            source,
            _blocks(config, source, documents),
            config.masking,
            micro_batch_pieces=config.micro_batch_pieces,
            sbo_positions=boundary_targets(PretrainingSettings.of(model.config).sbo_positions, config.preset),
            seed=config.seed,
        )

    training = masked(corpus, ~held_out)
    if not len(training.stream):
        raise CorpusError(f"{config.corpus}: nothing to train on: lower --held-out or bring more text")
    validation: dict[str, PretrainingValidation] = {}
    others: list[Corpus] = []
    if config.held_out and not held_out.any() and accelerator.is_main_process:
        warn(
            f"{config.corpus} is one document: nothing can be held out to validate on; bring another with --validation"
        )
    if held_out.any():
        validation[HELD_OUT] = PretrainingValidation(masked(corpus, held_out), config.max_validation_blocks)
    for path in config.validation:
        other = Corpus.open(path, tokenizer_fingerprint=corpus.tokenizer_fingerprint)
        if path.name in validation:
            raise ConfigurationError(f"--validation {path}: there are two validation sets named {path.name!r}")
        validation[path.name] = PretrainingValidation(masked(other, None), config.max_validation_blocks)
        others.append(other)
    plan = TrainingPlan(
        data=PretrainingData(training, config.batch_size, seed=config.seed),
        validation={
            name: partial(evaluate, data=data, summarise=pretraining_metrics) for name, data in validation.items()
        },
        hot_modules=tuple(model.bert.encoder.layer),
        # The released model divides the summed boundary loss by the number of targets plus one.
        denominator_offsets={"sbo": 1.0} if config.preset == "as-released" else {},
        fingerprint=course_of_run(config, accelerator)
        | {"corpus": corpus.hash, "validation": [other.hash for other in others]},
        environment=versions() | {"threads": torch.get_num_threads(), "processor": processor_name()},
    )
    return _Prepared(model, plan, corpus, validation)


def _blocks(config: PretrainConfig, corpus: Corpus, documents: Any) -> BlockStream:
    if config.nsp:
        return SegmentPairs(corpus, config.sequence_length, documents, seed=config.seed)
    return SingleSequences(corpus, config.sequence_length, documents)


def _make_model(config: PretrainConfig, corpus: Corpus, *, verbose: bool) -> SpanBertForPreTraining:
    settings = PretrainingSettings(
        sbo_positions=boundary_targets(config.sbo_positions, config.preset) if config.uses_sbo else 0,
        nsp=config.nsp,
        trained_positions=config.sequence_length if config.sequence_length < config.max_positions else None,
    )
    torch.manual_seed(config.seed)
    if config.init_from is None:
        layers, width, heads = config.shape
        return SpanBertForPreTraining(
            initial_config(
                settings,
                vocab_size=corpus.vocab_size,
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=4 * width,
                max_position_embeddings=config.max_positions,
                initializer_range=config.initializer_range,
                hidden_dropout_prob=0.1 if config.dropout is None else config.dropout,
                attention_probs_dropout_prob=config.attention_dropout or 0.0,
                pad_token_id=corpus.tokenizer.pad_id,
            )
        )
    model, report = load_pretraining_model(
        config.init_from,
        sbo_positions=settings.sbo_positions,
        nsp=settings.nsp,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        seed=config.seed,
    )
    num_new = extend_vocabulary(model, load_tokenizer(config.init_from), corpus.tokenizer, source=str(corpus.path))
    if verbose:
        print(report, file=sys.stderr)
        if num_new:
            print(f"{num_new} pieces of the corpus's vocabulary are new to the model", file=sys.stderr)
    return model


def _reach_positions(model: SpanBertForPreTraining, config: PretrainConfig, *, verbose: bool) -> None:
    """Let positions that no earlier training has reached, and this one will, begin where they will have to go."""
    trained = PretrainingSettings.of(model.config).trained_positions
    if trained is None or config.sequence_length <= trained:
        return
    embeddings = model.bert.embeddings.position_embeddings
    with torch.no_grad():
        embeddings.weight.copy_(continued_positions(embeddings.weight, trained))
    if verbose:
        print(
            f"{config.init_from} has read {trained} pieces at a time: the positions behind continue the curve of those "
            "before",
            file=sys.stderr,
        )
    reached = config.sequence_length if config.sequence_length < len(embeddings.weight) else None
    settings = dataclasses.replace(PretrainingSettings.of(model.config), trained_positions=reached)
    model.config.spanbert = settings.to_json()


def _gathered(model: SpanBertForPreTraining, trainer: Trainer, accelerator: Accelerator) -> SpanBertForPreTraining:
    """The trained model in one piece; FSDP has it in shards, which all processes bring together."""
    if accelerator.distributed_type != DistributedType.FSDP:
        return model
    state = accelerator.get_state_dict(trainer.model)
    whole = SpanBertForPreTraining(model.config)
    if accelerator.is_main_process:
        whole.load_state_dict(state)
    return whole


def _finish(config: PretrainConfig, model: SpanBertForPreTraining, corpus: Corpus, record: dict[str, Any]) -> None:
    output = config.output.resolve()
    if record["status"] == "finished":
        save_pretraining_model(model, corpus.tokenizer, output)
        write_model_card(output / "README.md", record)
    write_json(output / "run.json", record)
    rows = read_history(output / "history.jsonl") if (output / "history.jsonl").exists() else []
    if rows:
        plot_history(rows, output / "curves.png", title=f"pre-training of {output.name}", panels=CURVES)
