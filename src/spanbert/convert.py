"""`spanbert convert`: other checkpoints become a folder of ours, and ours become plain BERT."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spanbert.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Bring any BERT-like checkpoint in as a model folder of ours, or take one of ours out as plain BERT.

    Every tensor that was not used, or is not there, is listed. Heads that the source lacks are not made up: they are
    left out.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """A model folder, a name on the hub, a tarball of 2019, or a training checkpoint (.pt) of the original release.
    Nothing that is pickled inside is executed."""

    output: Path
    """Folder of the converted model; it must not exist yet, be empty, or (with --overwrite) hold a model."""

    plain_bert: bool = False
    """Write only what BERT has: no span boundary head, nothing of ours in config.json, and no pooler unless
    next-sentence prediction trained it."""

    half_precision: Literal["fp16", "bf16"] | None = None
    """Store the weights in 16 bits. They are computed with in 32 bits all the same, here and in transformers."""

    tokenizer: str | None = None
    """The vocabulary, where the source comes without one: a vocab.txt, a model folder, or a name on the hub."""

    num_heads: int | None = None
    """Attention heads of a training checkpoint. None: what it says itself, or else the hidden width by 64."""

    overwrite: bool = False
    """Replace a model that is there already."""

    quiet: bool = False
    """Do not list what became of the tensors."""


def run(config: ConvertConfig) -> int:
    """Convert a model; the exit status is 0.

    Raises:
        ConfigurationError: the output folder is taken.
        CheckpointError: the source cannot be read, is not BERT's, or has no vocabulary.
    """
    _check_output(config)
    from spanbert.checkpoints import load_pretraining_model, load_tokenizer, save_pretraining_model

    tokenizer = load_tokenizer(config.tokenizer or config.source)
    model, report = load_pretraining_model(
        config.source, sbo_positions=0 if config.plain_bert else None, num_heads=config.num_heads
    )
    if not config.quiet:
        print(report, file=sys.stderr)
        if tokenizer.vocab_size < model.config.vocab_size:
            print(
                f"  the vocabulary has {tokenizer.vocab_size:,} pieces, and the model {model.config.vocab_size:,}: "
                "is it the one it was trained with?",
                file=sys.stderr,
            )
    save_pretraining_model(
        model,
        tokenizer,
        config.output,
        half_precision=config.half_precision,
        plain_bert=config.plain_bert,
        leave_out=report.new,
    )
    if not config.quiet:
        left_out = f", without the {len(report.new)} tensors that the source lacks" if report.new else ""
        print(f"wrote {config.output}{left_out}", file=sys.stderr)
    return 0


def _check_output(config: ConvertConfig) -> None:
    output = config.output
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"--output {output} is a file: give a folder")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not config.overwrite:
        raise ConfigurationError(
            f"--output {output} is not empty: give another folder, or --overwrite to replace a model"
        )
    if not (output / "config.json").is_file():
        raise ConfigurationError(f"--output {output} holds something else than a model: it is not overwritten")
