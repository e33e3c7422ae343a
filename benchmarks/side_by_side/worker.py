"""One side of a comparison in a process of its own; needs nothing but the standard library.

The parent writes a line of JSON with the settings, then a line for each command: `prove` or `run`. The worker answers
the settings when it has loaded what it needs, `prove` with numbers that must equal the other sides', and `run` with its
seconds, what it got done, and the peak of its resident memory since it was loaded.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Job:
    """What a side does.

    Attributes:
        run: the work that is timed; gives the number of units done (pieces, texts, ...), or a mapping with the key
            "units" and figures that the table shows beside the time. A mapping may bring "seconds" of its own, where
            only a part of the work is to count.
        prove: numbers that are the same on all sides that compute the same thing, in fp32 and without dropout.
        warm_up: how often `run` is called before the first round that counts.
    """

    run: Callable[[], float | dict[str, Any]]
    prove: Callable[[], Sequence[float]] | None = None
    warm_up: int = 1


def resident_mib(field: str) -> float:
    """VmRSS, or VmHWM, the highest VmRSS since it was last reset; MiB. 0 where the system does not tell."""
    if not _STATUS.exists():
        return 0.0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def serve(load: Callable[[dict[str, Any]], Job]) -> None:
    """Load what the settings say, then do what the lines say."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    job = load(json.loads(sys.stdin.readline()))
    gc.collect()
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text("5")  # proc_pid_clear_refs(5): resets VmHWM
    loaded = resident_mib("VmRSS")
    print(json.dumps({"loaded_mib": loaded, "warm_up": job.warm_up}), file=answers, flush=True)
    for line in sys.stdin:
        answer = _prove(job) if line.strip() == "prove" else _run(job, loaded)
        print(json.dumps(answer), file=answers, flush=True)


def _prove(job: Job) -> dict[str, Any]:
    if job.prove is None:
        return {"proof": None}
    return {"proof": [float(number) for number in job.prove()]}


def _run(job: Job, loaded: float) -> dict[str, Any]:
    begin = time.perf_counter()
    done = job.run()
    seconds = time.perf_counter() - begin
    figures = dict(done) if isinstance(done, dict) else {"units": done}
    return {"seconds": seconds, "peak_mib": resident_mib("VmHWM") - loaded, **figures}
