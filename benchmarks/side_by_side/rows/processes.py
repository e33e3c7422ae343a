"""Pre-training in two processes against one process with all cores."""

from __future__ import annotations

from side_by_side.comparison import Aim, Comparison, Options, Side, speed_ratio
from side_by_side.rows.preparing import source_words, sources

_SHARE = 0.9
_BATCH_SIZE = 64
_STEPS = 12
_LOG_EVERY = 3


def comparisons(options: Options) -> list[Comparison]:
    """One row, on a CPU with threads for both."""
    if options.device == "cuda" or options.threads < 2:
        return []
    shared = {
        "text": str(options.scratch / "processes.txt"),
        "sources": sources(options),
        "megabytes": 2,
        "corpus": str(options.scratch / "processes-corpus"),
        "tokenizer": str(options.model),
        "batch_size": _BATCH_SIZE,
        "steps": _STEPS,
        "log_every": _LOG_EVERY,
    }
    half = options.threads // 2
    one = {"processes": 1, "threads_each": 2 * half, "output": str(options.scratch / "processes-one")}
    two = {"processes": 2, "threads_each": half, "output": str(options.scratch / "processes-two")}
    side = "pretraining_processes"
    return [
        Comparison(
            name="processes",
            title="Two processes",
            does=(
                f"`spanbert pretrain` of a new 4 x 256 model on {source_words(options)}, {_BATCH_SIZE} blocks of 128 "
                f"pieces a step, the same in all, {_STEPS} steps, defaults otherwise. Two processes (torchrun, gloo, "
                f"DDP) of {_threads(half)} take half of each step; one process has {_threads(2 * half)}. Speed is what "
                f"the run writes into history.jsonl after its first {_LOG_EVERY} steps: start, validation and "
                "saving are not in it. Seconds are those of 100,000 pieces"
            ),
            unit="pieces",
            sides=(
                Side("one", f"one process of {_threads(2 * half)}", side, shared | one, proves=True),
                Side("two", f"two processes of {_threads(half)}", side, shared | two, proves=True),
            ),
            aims=(Aim("speed of two, over that of one", speed_ratio("two", "one"), least=_SHARE),),
            proof="losses of four steps of six blocks, in fp32 and without dropout",
            rounds=3,
            slow=True,
        )
    ]


def _threads(number: int) -> str:
    return "one thread" if number == 1 else f"{number} threads"
