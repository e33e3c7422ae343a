"""`spanbert convert`: other checkpoints become a folder of ours; ours become smaller, whole again, or plain BERT."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from spanbert.errors import ConfigurationError
from spanbert.task_options import PRETRAINING, task_of_model


@dataclass(frozen=True, kw_only=True)
class ConvertConfig:
    """Bring any BERT-like checkpoint in as a folder of ours, store one of ours in less room, or make it plain BERT.

    Every tensor that was not used, or is not there, is listed. Heads that the source lacks are not made up: they are
    left out. A fine-tuned model of ours stays one, with its stored answers, unless --plain-bert asks for its encoder.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    """A model folder, the name of a shipped model or one on the hub, a tarball of 2019, or a training checkpoint (.pt)
    of the original release. Nothing that is pickled inside is executed."""

    output: Path
    """Folder of the converted model; it must not exist yet, be empty, or (with --overwrite) hold a model."""

    plain_bert: bool = False
    """Write only what BERT has: no span boundary head, nothing of ours in config.json, and no pooler unless
    next-sentence prediction trained it."""

    half_precision: Literal["fp16", "bf16"] | None = None
    """Store the weights in 16 bits. They are computed with in 32 bits all the same, here and in transformers."""

    base: str | None = None
    """Store of a fine-tuned model only what differs from this one: a model folder, the name of a shipped model or one
    on the hub. Converting the result without --base makes it whole again; transformers opens only whole folders."""

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
        ConfigurationError: the output folder is taken, or an option does not fit the kind of model.
        CheckpointError: the source cannot be read, is not BERT's, or has no vocabulary; the base cannot be read; a
            fine-tuned source no longer gives its stored answers.
    """
    _check_output(config)
    if not config.plain_bert and task_of_model(config.source) != PRETRAINING:
        _convert_fine_tuned(config)
    else:
        _convert_pretrained(config)
    return 0


def _convert_pretrained(config: ConvertConfig) -> None:
    from spanbert.checkpoints import load_pretraining_model, load_tokenizer, save_pretraining_model

    if config.base is not None:
        raise ConfigurationError("--base is for fine-tuned models, which share tensors with what they began from")
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


def _convert_fine_tuned(config: ConvertConfig) -> None:
    from spanbert.checkpoint_sources import model_folder
    from spanbert.golden import GOLDEN_FILE, answers_anew, check_golden, golden_file
    from spanbert.model_differences import name_of_base
    from spanbert.predicting import Predictor
    from spanbert.task_checkpoints import load_task_model, round_as_stored, save_task_model

    if config.tokenizer is not None or config.num_heads is not None:
        raise ConfigurationError("--tokenizer and --num-heads are not for fine-tuned models, which say both themselves")
    model, task, tokenizer = load_task_model(config.source)
    source = model_folder(config.source)
    has_answers = golden_file(source).is_file()
    if has_answers:
        check_golden(Predictor(model, task, tokenizer, device="cpu", precision="fp32"), source)
    files = {}
    is_rounded = round_as_stored(model, config.half_precision, config.base)
    if has_answers and not is_rounded:
        files[GOLDEN_FILE] = golden_file(source).read_text(encoding="utf-8")
    elif has_answers:  # which rounding moves a little
        files[GOLDEN_FILE] = answers_anew(Predictor(model, task, tokenizer, device="cpu", precision="fp32"), source)
    if (source / _CARD).is_file():
        card = (source / _CARD).read_text(encoding="utf-8").partition(_ABOUT_DIFFERENCE)[0]
        files[_CARD] = card + (_about_difference(name_of_base(config.base, config.output)) if config.base else "")
    save_task_model(
        model,
        task,
        tokenizer,
        config.output,
        half_precision=config.half_precision,
        base=config.base,
        extra_files=files,
    )
    if not config.quiet:
        size = sum(file.stat().st_size for file in config.output.glob("*.safetensors"))
        print(f"wrote {config.output}, a model for {task.name}, weights of {size / 1e6:.1f} MB", file=sys.stderr)


_CARD = "README.md"
_ABOUT_DIFFERENCE = "\n## Stored as a difference\n"


def _about_difference(base: str) -> str:
    """What the card of a difference says at its end."""
    return (
        f"{_ABOUT_DIFFERENCE}\nThis folder holds only the tensors that `{base}` does not have, and opens where that "
        "model is.\nPlain `transformers` cannot open it; `spanbert convert FOLDER --output WHOLE` makes it whole.\n"
    )


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
