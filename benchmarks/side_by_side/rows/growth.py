"""What ten times as much costs: text to prepare, documents, their length, and what goes through the encoder at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from side_by_side.comparison import Aim, Comparison, Options, Results, Side
from side_by_side.rows.preparing import source_words, sources

_TIMES = 10
_TIME = 1.15
_MEMORY = 1.2
_TASK = "ner"
_SMALL_BATCH = 512
_LOOK_AHEAD = (
    f"batch_pieces is {_SMALL_BATCH}, so that the smaller run already has about as much as is held at a time (the "
    "documents of 64 batches)."
)


def comparisons(options: Options) -> list[Comparison]:
    """A row for each thing that grows, on a CPU."""
    if options.device == "cuda":
        return []
    return [_prepare(options), _documents(options), _length(options), _batch(options)]


def _prepare(options: Options) -> Comparison:
    megabytes = 10
    sides = [
        Side(
            key,
            f"spanbert prepare, {size} MB",
            "prepare_spanbert",
            {
                "text": str(options.scratch / f"growth-{size}.txt"),
                "sources": sources(options),
                "megabytes": size,
                "tokenizer": str(options.model),
                "output": str(options.scratch / f"growth-{size}-corpus"),
            },
        )
        for key, size in (("one", megabytes), ("ten", megabytes * _TIMES))
    ]
    return Comparison(
        name="growth-prepare",
        title="Growth: text to prepare",
        does=(
            f"`spanbert prepare` of {megabytes} and of {megabytes * _TIMES} million bytes of {source_words(options)} "
            "with the tokenizer of --model, from the start of the process to its end. Documented: time linear, memory "
            "flat. Memory is that of all processes, with the libraries they load, in a run before those that are timed"
        ),
        unit="bytes",
        sides=tuple(sides),
        aims=(_linear_time("text"), _flat_memory("text")),
        rounds=3,
        slow=True,
    )


def _documents(options: Options) -> Comparison:
    one = {"documents": 600, "words": 60, "batch_pieces": _SMALL_BATCH}
    return _prediction(
        options,
        "documents",
        one,
        one | {"documents": one["documents"] * _TIMES},
        f"{_LOOK_AHEAD} Documented: time linear; memory flat, since documents are taken as they are needed",
        (_linear_time("documents"), _flat_memory("documents")),
    )


def _length(options: Options) -> Comparison:
    one = {"documents": 8, "words": 4_000, "batch_pieces": _SMALL_BATCH}
    return _prediction(
        options,
        "length",
        one,
        one | {"words": one["words"] * _TIMES},
        f"{_LOOK_AHEAD} Documented: time linear, as a document is cut into windows; memory is that of a batch of "
        "windows, and of what is kept of each word of a document, which is linear",
        (
            _linear_time("length"),
            Aim(f"memory of {_TIMES} x length, over that of one", _memory_ratio(1)),
            Aim(f"memory of {_TIMES} x length, over {_TIMES} x that of one", _memory_ratio(_TIMES), most=_MEMORY),
        ),
    )


def _batch(options: Options) -> Comparison:
    shared, pieces = {"documents": 600, "words": 60}, 2_048
    return _prediction(
        options,
        "batch",
        shared | {"batch_pieces": pieces},
        shared | {"batch_pieces": pieces * _TIMES},
        "The same documents. Documented: time no less, memory linear",
        (
            Aim("time of 10 x batch_pieces, over that of one", _time_ratio(1), most=_TIME),
            Aim("memory of 10 x batch_pieces, over 10 x that of one", _memory_ratio(_TIMES), most=_MEMORY),
        ),
    )


def _prediction(
    options: Options,
    name: str,
    one: dict[str, Any],
    ten: dict[str, Any],
    documented: str,
    aims: tuple[Aim, ...],
) -> Comparison:
    shared: dict[str, Any] = {
        "task": _TASK,
        "base": str(options.model),
        "model": str(options.scratch / f"prediction-model-{_TASK}"),
        "sources": sources(options),
        "batch_pieces": None,
    }
    sides = [
        Side(key, f"spanbert, {_described(settings)}", "growth_prediction", shared | settings)
        for key, settings in (("one", one), ("ten", ten))
    ]
    return Comparison(
        name=f"growth-{name}",
        title=f"Growth: {'batch_pieces' if name == 'batch' else name} in prediction",
        does=(
            f"Entities of running text ({source_words(options)}) with the encoder of --model, documents taken one by "
            f"one, predictions not kept. {documented}"
        ),
        unit="words",
        sides=tuple(sides),
        aims=aims,
        rounds=3,
        slow=True,
    )


def _described(settings: dict[str, Any]) -> str:
    words = f"{settings['documents']:,} documents of {settings['words']:,} words"
    return f"{words}, batch_pieces {settings['batch_pieces']:,}" if "batch_pieces" in settings else words


def _linear_time(what: str) -> Aim:
    return Aim(f"time of {_TIMES} x {what}, over {_TIMES} x that of one", _time_ratio(_TIMES), most=_TIME)


def _flat_memory(what: str) -> Aim:
    return Aim(f"memory of {_TIMES} x {what}, over that of one", _memory_ratio(1), most=_MEMORY)


def _time_ratio(times: int) -> Callable[[Results], float]:
    return lambda results: results["ten"].seconds / (times * results["one"].seconds)


def _memory_ratio(times: int) -> Callable[[Results], float]:
    return lambda results: results["ten"].peak_mib / (times * results["one"].peak_mib)
