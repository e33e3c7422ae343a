"""A few inputs with their scores and answers, stored with a model: a changed library that changes answers is an error.

They are compared once for each combination of library versions, processor, precision and model files. Three questions
are asked of each input:

* Is the text cut into the same word pieces? There is no tolerance.
* Are the scores the same, computed in fp32? They are stored as fp32 gives them, whatever the model is run in, since the
  tolerance that bf16 needs would hide more than it shows. A model that is run in bf16 is asked again in bf16, with that
  tolerance: this finds a precision that is broken, and nothing finer.
* Does the decoder, given the scores of then, give the answer of then? It computes no more than a sum here and there, so
  its answer has to be equal, and ties between today's scores, which rounding may decide either way, play no part.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from spanbert.durable_files import hash_file
from spanbert.errors import CheckpointError, ConfigurationError, InputError
from spanbert.example_files import read_json_lines
from spanbert.golden_answers import (
    answer_difference,
    answer_entry,
    pieces_from_json,
    scores_from_json,
    short,
    short_pair,
)
from spanbert.shipped_models import is_shipped
from spanbert.task import Problem, Scored, Task
from spanbert.training.progress import warn
from spanbert.training.record import versions, write_json

if TYPE_CHECKING:
    from spanbert.predicting import Predictor

GOLDEN_FILE = "golden.json"

Golden = Literal["check", "accept", "skip"]

_FORMAT = 1
_TOLERANCE = {"fp32": 1e-3, "bf16": 0.25}
"""By precision, the largest difference of a score, as a share of the larger of 1, the score, and the size of the scores
around it. Another processor moves fp32 scores by about 1e-5, bf16 those of a deep encoder by several hundredths."""


def make_golden(predictor: Predictor[Any, Any], examples: Iterable[Any]) -> str:
    """The text of `golden.json`: what the model says today of a few examples, in fp32 whatever it is run in.

    Args:
        predictor: the model, with all that its task learned.
        examples: such as `Task.golden_examples()`; short ones, since all their scores are stored.

    Raises:
        InputError: an example is too long.
    """
    predictor = _in_precision(predictor, "fp32")
    entries = [answer_entry(predictor.task, scored) for scored in predictor.score(examples)]
    return json.dumps(
        {"format": _FORMAT, "made_with": _circumstances(predictor), "examples": entries}, ensure_ascii=False, indent=1
    )


def read_golden_inputs(task: Task[Any, Any], path: str | Path) -> list[Any]:
    """The examples of a JSON-lines file, which are to be stored with a model.

    Raises:
        InputError: a line is no example of the task.
    """
    examples = []
    for item in read_json_lines(path):
        if isinstance(item, Problem):
            raise InputError(f"{item.kind}: {item.detail}", source=str(path), line=item.line)
        try:
            examples.append(task.example(task.with_id(item.value, str(item.line))))
        except InputError as error:
            raise InputError(str(error), source=str(path), line=item.line) from error
    if not examples:
        raise InputError("there is no input in it", source=str(path))
    return examples


def check_golden(predictor: Predictor[Any, Any], folder: str | Path, mode: Golden = "check") -> bool:
    """Compare what the model says today with what is stored beside it, unless that was done before under the same
    circumstances; a model without stored answers passes with a warning.

    Args:
        predictor: the model as it was loaded from `folder`.
        folder: the model's folder.
        mode: "accept" stores today's answers in place of the old ones instead; "skip" does nothing. Nothing is written
            to the folder of a shipped model: what is accepted of it is kept in `cache_folder()`.

    Returns:
        Whether anything was computed.

    Raises:
        CheckpointError: an answer has changed, or the file is damaged or cannot be written.
        ConfigurationError: there is no such mode.
    """
    if mode not in get_args(Golden):
        raise ConfigurationError(f"golden {mode!r} is none of {', '.join(get_args(Golden))}")
    if mode == "skip":
        return False
    path = golden_file(Path(folder))
    if not path.is_file():
        warn(
            f"{folder} has no {GOLDEN_FILE}: nothing tells whether its answers are still those of the day it was made; "
            '--golden skip (in Python golden="skip") opens it without this warning'
        )
        return False
    stored = _read(path, predictor.task)
    if mode == "accept":
        _write_accepted(Path(folder), json.loads(make_golden(predictor, stored.examples)))
        return True
    circumstances = {**_circumstances(predictor), "files": _identity(Path(folder)), "answers": hash_file(path)}
    memory = _in_cache("good", circumstances)
    if memory is not None and memory.is_file():
        return False
    for precision in dict.fromkeys(("fp32", predictor.precision)):
        asked = _in_precision(predictor, precision)
        tolerance = max(_TOLERANCE[precision], _TOLERANCE[stored.made_with["precision"]])
        for entry, scored in zip(stored.entries, asked.score(stored.examples), strict=True):
            if (difference := answer_difference(asked, entry, scored, tolerance)) is not None:
                raise CheckpointError(_complaint(asked, folder, stored.made_with, entry, scored, difference))
    _remember(memory, circumstances)
    return True


def answers_anew(predictor: Predictor[Any, Any], folder: Path) -> str:
    """The text of `golden.json` with what the model says today of the inputs that are stored in its folder.

    Raises:
        CheckpointError: the file is not there or damaged.
    """
    return make_golden(predictor, _read(golden_file(folder), predictor.task).examples)


def golden_file(folder: Path) -> Path:
    """Where the stored answers of a model are: in its folder, or in the cache if those of a shipped model were replaced
    by accepted ones."""
    accepted = _accepted_file(folder)
    return accepted if accepted is not None and accepted.is_file() else folder / GOLDEN_FILE


def _accepted_file(folder: Path) -> Path | None:
    """Where accepted answers of a shipped model are kept; None for other models, and where there is no cache."""
    return _in_cache(f"accepted-{folder.name}", _identity(folder)) if is_shipped(folder) else None


def _write_accepted(folder: Path, answers: dict[str, Any]) -> None:
    path = _accepted_file(folder) if is_shipped(folder) else folder / GOLDEN_FILE
    if path is None:
        raise CheckpointError("accepted answers of a shipped model need a cache: name a folder in $SPANBERT_CACHE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, answers)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written ({error.strerror}): copy the model, or skip") from error


def _in_precision(predictor: Predictor[Any, Any], precision: str) -> Predictor[Any, Any]:
    """The same model, run in another precision: its weights are fp32 in both."""
    if predictor.precision == precision:
        return predictor
    other = copy.copy(predictor)
    other.precision = precision
    return other


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a golden.json says."""

    made_with: Mapping[str, str]
    entries: Sequence[Mapping[str, Any]]
    examples: Sequence[Any]


def _read(path: Path, task: Task[Any, Any]) -> _Stored:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > _FORMAT:
            raise CheckpointError(f"{path} was written by a newer version: pip install --upgrade spanbert, or skip")
        entries = content["examples"]
        examples = [task.example(entry["input"]) for entry in entries]
        for entry in entries:
            scores_from_json(entry["windows"])
            for window in entry["windows"]:
                pieces_from_json(window)
        if content["made_with"]["precision"] not in _TOLERANCE:
            raise ValueError("unknown precision")
        return _Stored(content["made_with"], entries, examples)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise CheckpointError(
            f"{path} is damaged ({type(error).__name__}: {error}): bring the model's folder here again; {_WAY_OUT}"
        ) from error


_WAY_OUT = 'the option --golden skip (in Python golden="skip") goes on without the stored answers'


def _complaint(
    predictor: Predictor[Any, Any],
    folder: str | Path,
    made_with: Mapping[str, str],
    entry: Mapping[str, Any],
    scored: Scored[Any],
    difference: str,
) -> str:
    now = _circumstances(predictor)
    others = [f"{name} {made_with.get(name)} -> {now[name]}" for name in now if made_with.get(name) != now[name]]
    answer_then, answer_now = short_pair(entry["prediction"], predictor.task.decode(scored).to_json())
    changes = "; ".join(others) or "the same as then, so the files of the model or this machine have changed"
    return (
        f"{folder}: this model no longer gives the answers that were stored with it ({GOLDEN_FILE})\n"
        f"  input       {short(entry['input'])}\n"
        f"  answer then {answer_then}\n"
        f"  answer now  {answer_now}\n"
        f"  difference  {difference}\n"
        f"  versions    {changes}\n"
        "Its answers are not to be trusted here: install the versions of then, or bring the model's folder here again. "
        'If you have looked at them and they are right, --golden accept (in Python golden="accept") stores today\'s '
        f"answers in {GOLDEN_FILE}; {_WAY_OUT}."
    )


# Circumstances, and the memory of those that were found good


def _circumstances(predictor: Predictor[Any, Any]) -> dict[str, str]:
    """What answers may depend on beside the model's own files."""
    import torch

    from spanbert.training.devices import processor_name

    device = predictor.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return {**versions(), "device": device.type, "device_name": name, "precision": predictor.precision}


def _identity(folder: Path) -> dict[str, str]:
    """What tells the files of a model from others: a hash, for weights only size and time, since hashing takes long."""
    identity = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in {".safetensors", ".bin"}:
            status = path.stat()
            identity[path.name] = f"{status.st_size} bytes of {status.st_mtime_ns}"
        elif path.name in {GOLDEN_FILE, "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}:
            identity[path.name] = hash_file(path)
    return identity


def cache_folder() -> Path:
    """Where this package keeps what it can do without: $SPANBERT_CACHE, or `spanbert` in the user's cache folder."""
    if own := os.environ.get("SPANBERT_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "spanbert"
    return Path("~/.cache/spanbert").expanduser()


def _in_cache(what: str, key: Mapping[str, Any]) -> Path | None:
    """The file of the cache for what is known under a key; None where there is no home for it."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    try:
        return cache_folder() / "golden" / f"{what}-{digest}.json"
    except RuntimeError:  # the user has no home
        return None


def _remember(memory: Path | None, circumstances: Mapping[str, Any]) -> None:
    """Without a place to write to, the check is done again next time, and that is all."""
    if memory is None:
        return
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(circumstances, indent=1), encoding="utf-8")
    except OSError:
        pass
