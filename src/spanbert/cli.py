"""The command `spanbert`: a table of verbs, each a dataclass of options and a function that takes it.

Nothing of a verb is imported before it is asked for, so that `spanbert --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from spanbert.errors import CheckpointError, SpanBertError


class Verb(NamedTuple):
    """A verb of the command line: where its options and its code live, and its line in `spanbert --help`."""

    options: str
    code: str
    summary: str
    joins: Literal["settings", "data", "model"] | None = None
    """What of a task joins the verb's own options: of the task named by the first word all settings or only the data
    options, or the data options of the task that the model is fine-tuned for. Then the code takes (config, task,
    options) instead of (config)."""
    pretrained: tuple[str, str] | None = None
    """Options and code for a model that is fine-tuned for no task, of a verb that joins by the model."""


_PRETRAINING = "spanbert.tasks.pretraining"

VERBS = {
    "sample": Verb(
        "spanbert.sample_corpus.export:SampleConfig",
        "spanbert.sample_corpus.export:run",
        "write out the sample corpus that ships with the package",
    ),
    "preview": Verb(
        f"{_PRETRAINING}.preview:PreviewConfig",
        f"{_PRETRAINING}.preview:run",
        "show, in colour, what a masking scheme masks in your text",
    ),
    "prepare": Verb(
        f"{_PRETRAINING}.prepare:PrepareConfig",
        f"{_PRETRAINING}.prepare:run",
        "turn raw text into a tokenised corpus (and train a vocabulary)",
    ),
    "pretrain": Verb(
        f"{_PRETRAINING}.config:PretrainConfig",
        f"{_PRETRAINING}.pretrain:run",
        "pre-train a SpanBERT on a corpus, from scratch or from a model",
    ),
    "finetune": Verb(
        "spanbert.finetuning.config:FinetuneFilesConfig",
        "spanbert.finetuning.finetune:run",
        "train a model for a task on examples with known answers",
        "settings",
    ),
    "evaluate": Verb(
        "spanbert.evaluation.evaluate:EvaluateConfig",
        "spanbert.evaluation.evaluate:run",
        "measure a model: on examples with known answers, or a pre-trained one on a corpus",
        "model",
        (f"{_PRETRAINING}.evaluate:EvaluateConfig", f"{_PRETRAINING}.evaluate:run"),
    ),
    "predict": Verb(
        "spanbert.predict:PredictConfig", "spanbert.predict:run", "let a fine-tuned model answer for records of a file"
    ),
    "check": Verb(
        "spanbert.check:CheckConfig",
        "spanbert.check:run",
        "say what is in a task's data file, and what is wrong",
        "data",
    ),
    "score": Verb(
        "spanbert.score:ScoreConfig", "spanbert.score:run", "official figures of predictions in files", "data"
    ),
    "ablate": Verb(
        "spanbert.ablation.config:AblateConfig",
        "spanbert.ablation.ablate:run",
        "the paper's question at your size: pre-train in several ways, fine-tune all, compare",
    ),
    "fill": Verb(
        f"{_PRETRAINING}.fill:FillConfig",
        f"{_PRETRAINING}.fill:run",
        "fill [MASK] spans of a text with ranked candidates",
    ),
    "info": Verb("spanbert.info:InfoConfig", "spanbert.info:run", "describe a model, a corpus, a run or an ablation"),
    "convert": Verb(
        "spanbert.convert:ConvertConfig",
        "spanbert.convert:run",
        "bring in other checkpoints, or take ours out to plain BERT",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb.

    Args:
        arguments: the command line without the program's name; None means this process's own.

    Returns:
        The exit status: 0, 1 after an error that was printed, 2 for a command line that is not understood, 130 after
        Ctrl-C, 128 + n after signal n.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in {"-h", "--help", "help"}:
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        # Brings the packages for mail and zip files with it: a tenth of the start of `spanbert check`.
        from importlib.metadata import version

        print(f"spanbert {version('spanbert')}")
        return 0
    name = words[0]
    if name not in VERBS:
        nearest = get_close_matches(name, VERBS, n=1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"the verbs are {', '.join(VERBS)}"
        print(f"spanbert: there is no verb '{name}': {hint}", file=sys.stderr)
        return 2
    try:
        return _run(name, words[1:])
    except SpanBertError as error:
        print(f"spanbert {name}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        _let_go_of_stdout()
        return 141
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        print(f"spanbert {name}: error: cannot write: {error}", file=sys.stderr)
        _let_go_of_stdout()
        return 1


_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
"""The disk is full, or what the user may write to it."""


def _let_go_of_stdout() -> None:
    """Without this Python would try at exit to write what is left over, and complain once more."""
    with contextlib.suppress(OSError, ValueError):  # in tests it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(name: str, words: Sequence[str]) -> int:
    verb, program = VERBS[name], f"spanbert {name}"
    if verb.joins is None:
        return _run_alone(verb.options, verb.code, words, program)
    from spanbert.options import take_config_flag
    from spanbert.task_options import PRETRAINING, model_of, parse_model_command, parse_task_command, task_of_model

    options = _import(verb.options)
    if verb.joins != "model":
        command = parse_task_command(options, verb.joins, words, program=program)
    elif (model := model_of(words)) is None:
        return _run_alone(verb.options, verb.code, words, program, notes=_how_to_see_all(name))
    elif (task := task_of_model(model)) != PRETRAINING:
        command = parse_model_command(options, model, task, words, program=program)
    elif verb.pretrained is not None:
        if (file := next((word for word in take_config_flag(list(words))[0] if Path(word).is_file()), model)) != model:
            raise CheckpointError(
                f"{model} is not fine-tuned for any task and has no answers for {file}: fine-tune it with `spanbert "
                f"finetune TASK --model {model} ...`. A model that is only pre-trained is measured on a corpus, the "
                "folder that `spanbert prepare` wrote"
            )
        return _run_alone(*verb.pretrained, words, program)
    else:
        raise CheckpointError(
            f"{model} is not fine-tuned for a task and has nothing to answer yet; see `spanbert finetune --help`"
        )
    status: int = _import(verb.code)(command.config, command.task, command.options)
    return status


def _run_alone(options: str, code: str, words: Sequence[str], program: str, *, notes: str = "") -> int:
    from spanbert.options import parse_options

    config: object = parse_options(_import(options), words, program=program, notes=notes)
    status: int = _import(code)(config)
    return status


def _how_to_see_all(name: str) -> str:
    """What `--help` adds where a verb joins the options of a model's task, and no model is named."""
    text = f"`spanbert {name} MODEL --help` also shows how the model's task reads files"
    return text + (", or what a model that is only pre-trained takes." if VERBS[name].pretrained else ".")


def _import(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _help() -> str:
    from spanbert.tasks import TASKS

    *tasks, last_task = TASKS
    rows = "\n".join(f"  {name:<10} {verb.summary}" for name, verb in VERBS.items())
    return f"""usage: spanbert VERB [OPTIONS]

Pre-train span-aware Transformer encoders (SpanBERT) on your own text, fine-tune them (or any BERT) for a task, and let
them answer.

{rows}

From text to a model:
  spanbert prepare my-texts/ --output corpus
  spanbert pretrain corpus --output model
  spanbert fill model "The capital of [MASK] is Paris."

From examples to answers (TASK is {", ".join(tasks)} or {last_task}):
  spanbert check TASK train.jsonl
  spanbert finetune TASK --train train.jsonl --output tuned
  spanbert evaluate tuned test.jsonl
  spanbert predict tuned new.jsonl > answers.jsonl

With the models that come along (spanbert-mini-en-qa, -ner, -coref; see docs/models.md):
  spanbert predict spanbert-mini-en-ner text.txt --format text

`spanbert VERB --help` explains the options of a verb; every verb also takes --config FILE.toml."""
