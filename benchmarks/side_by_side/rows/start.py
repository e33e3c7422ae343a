"""Seconds from the start of a process: short commands, and the first prediction beside the imports it cannot avoid."""

from __future__ import annotations

from collections.abc import Callable

from side_by_side.comparison import Aim, Comparison, Options, Results, Side

_COMMAND = 0.4
_PREDICTION = 0.7
_TASKS = ("question-answering", "ner", "relations", "classification", "coreference")
_IMPORTS = "import torch; from transformers import PreTrainedModel"
_PREDICT = "import json, spanbert, sys; print(spanbert.load(sys.argv[1]).predict(json.load(open(sys.argv[2]))))"


def comparisons(options: Options) -> list[Comparison]:
    """A row of commands and one of first predictions; with a GPU none: they would say the same."""
    return [] if options.device == "cuda" else [_commands(options), _first_prediction(options)]


def _commands(options: Options) -> Comparison:
    sides = [Side("help", "spanbert --help", "start", {"program": ["-m", "spanbert", "--help"]})]
    for task in _TASKS:
        data = options.scratch / f"start-data-{task}"
        file = str(data / "dev.jsonl")
        for verb, files in (("check", [file]), ("score", [file, str(data / "predictions.jsonl")])):
            settings = {"program": ["-m", "spanbert", verb, task, *files], "task": task, "data": str(data)}
            sides.append(Side(f"{verb}-{task}", f"spanbert {verb} {task}", "start", settings))
    return Comparison(
        name="start-commands",
        title="Start of short commands",
        does=(
            "A new process for each command, from its start to its end, files in memory: `check` of the dev.jsonl that "
            "`spanbert sample --task` writes, `score` of the same file with predictions that are all right and 1,000 "
            "bootstrap samples"
        ),
        unit="processes",
        sides=tuple(sides),
        aims=tuple(Aim(f"seconds of {side.name}", _seconds(side.key), most=_COMMAND, unit="s") for side in sides),
        rounds=7,
    )


def _first_prediction(options: Options) -> Comparison:
    sides = [Side("imports", f"python -c '{_IMPORTS}'", "start", {"program": ["-c", _IMPORTS]})]
    environment = {"SPANBERT_CACHE": str(options.scratch / "start-cache")}
    aims = []
    for task in _TASKS:
        data, model = options.scratch / f"start-data-{task}", options.scratch / f"start-model-{task}"
        shared = {"task": task, "data": str(data), "model": str(model), "base": str(options.model)}
        words = [str(model), str(data / "one.jsonl")]
        for key, name, program in (
            (f"command-{task}", f"spanbert predict, {task}", ["-m", "spanbert", "predict", *words]),
            (f"python-{task}", f"spanbert.load(...).predict(...), {task}", ["-c", _PREDICT, *words]),
        ):
            sides.append(Side(key, name, "start", shared | {"program": program}, environment=environment))
            aims.append(Aim(f"seconds over the imports: {name}", _over_imports(key), most=_PREDICTION, unit="s"))
    return Comparison(
        name="start-prediction",
        title="First prediction of a new process",
        does=(
            "A new process, from its start to its end, that answers one record of the sample corpus; models of the "
            "small BERT, fine-tuned for two steps; their golden answers were checked in the warm-up. The first side "
            f"only does `{_IMPORTS}`, which no model of `transformers` can do without"
        ),
        unit="processes",
        sides=tuple(sides),
        aims=tuple(aims),
        rounds=5,
    )


def _seconds(key: str) -> Callable[[Results], float]:
    return lambda results: results[key].seconds


def _over_imports(key: str) -> Callable[[Results], float]:
    return lambda results: results[key].seconds - results["imports"].seconds
